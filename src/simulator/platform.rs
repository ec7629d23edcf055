//! The platform's state and its rules: one short look under one mutex for each call.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::{Timestamp, after};

use super::answer::{Refusal, Reply};
use super::fault::{Fault, Faults, Kind, Occasion, distort};
use super::ledger::{Entry, Ledger};
use super::options::AbsentList;
use super::quota::{DAY, Quota, SECOND};
use super::stores::{Record, Stores};
use super::tokens::{Tickets, Times, Tokens};
use super::waiting::{Hold, Waiting};
use super::{Endpoint, Options};

/// What describe says of the place of each store.
const REGION: &str = "ap-shanghai";
/// Weixin's documents' example of the number behind a domain.
const ACCOUNT: u32 = 1_250_000_000;

/// The platform: its state, and what is under way.
#[derive(Debug)]
pub(super) struct Platform {
    state: Mutex<State>,
    pub(super) waiting: Waiting,
}

/// A call as it came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) is_post: bool,
    /// `access_token` in the query.
    pub(super) token: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// What becomes of a call on the wire.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) reply: Reply,
    pub(super) content_type: &'static str,
    pub(super) delay: Duration,
    pub(super) hold: Option<Hold>,
}

impl Platform {
    /// A platform with one ticket and no token.
    pub(super) fn new(options: Options) -> Self {
        Self {
            state: Mutex::new(State::new(options)),
            waiting: Waiting::default(),
        }
    }

    /// The state. A panic elsewhere leaves it as true as before: nothing is half done in it.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deals with a call: its effect, its place in the ledger, its answer.
    pub(super) fn call(&self, call: &Call<'_>) -> Verdict {
        let payload = call.payload();
        let verdict = {
            let mut state = self.lock();
            let (reply, fault) = state.call(call, &payload);
            Verdict {
                reply,
                content_type: state.options.content_type,
                delay: fault.delay,
                hold: fault.held.then(|| self.waiting.place()),
            }
        };
        self.waiting.notify();
        verdict
    }

    /// Makes a token that no caller gets.
    pub(super) fn issue_token(&self) {
        let mut state = self.lock();
        let overlap = state.options.token_overlap;
        state.issue_token(overlap);
    }

    /// Makes a ticket.
    pub(super) fn issue_ticket(&self) -> String {
        self.lock().issue_ticket()
    }

    /// Writes a store's course from now on.
    pub(super) fn set_timeline(&self, env: &str, turns: &[(Duration, Option<&str>)]) {
        let mut state = self.lock();
        let now = state.now();
        state.stores.set_timeline(env, turns, now);
    }

    /// A store's status now.
    pub(super) fn status(&self, env: &str) -> Option<String> {
        let state = self.lock();
        let record = state.stores.describe(env, state.now())?;
        Some(record.status.unwrap_or("null").to_owned())
    }
}

/// The fields of all requests; which of them must be there is for each endpoint to say.
#[derive(Debug, Default, Deserialize)]
struct Payload {
    env: Option<String>,
    component_appid: Option<String>,
    component_appsecret: Option<String>,
    component_secret: Option<String>,
    component_verify_ticket: Option<String>,
}

impl Call<'_> {
    fn payload(&self) -> Result<Payload, Refusal> {
        if self.body.is_empty() {
            return Err(Refusal::EMPTY);
        }
        serde_json::from_slice(self.body).map_err(|_| Refusal::NO_JSON)
    }
}

/// What a call came to, before a fault is laid over it.
#[derive(Debug)]
struct Outcome {
    answer: Value,
    took_effect: bool,
}

/// All that the platform knows.
#[derive(Debug)]
pub(super) struct State {
    pub(super) options: Options,
    pub(super) faults: Faults,
    pub(super) ledger: Ledger,
    pub(super) stores: Stores,
    pub(super) tokens: Tokens,
    pub(super) tickets: Tickets,
    pub(super) busy: bool,
    busy_until: Timestamp,
    exchanges_today: Quota,
    creates_today: Quota,
    creates_now: Quota,
    describes_now: Quota,
    random: fastrand::Rng,
}

impl State {
    fn new(options: Options) -> Self {
        let ticket_ends = after(options.clock.now(), options.ticket_lifetime);
        Self {
            tickets: Tickets::new(options.ticket.clone(), ticket_ends),
            random: fastrand::Rng::with_seed(options.seed),
            faults: Faults::default(),
            ledger: Ledger::default(),
            stores: Stores::default(),
            tokens: Tokens::default(),
            busy: false,
            busy_until: Timestamp::MIN_UTC,
            exchanges_today: Quota::default(),
            creates_today: Quota::default(),
            creates_now: Quota::default(),
            describes_now: Quota::default(),
            options,
        }
    }

    fn now(&self) -> Timestamp {
        self.options.clock.now()
    }

    fn call(&mut self, call: &Call<'_>, payload: &Result<Payload, Refusal>) -> (Reply, Fault) {
        let now = self.now();
        let env = payload.as_ref().ok().and_then(|payload| payload.env.as_deref());
        let fault = self.fault(call.endpoint, env, now);
        let token = call.token.and_then(|token| self.tokens.generation(token));
        let outcome = if fault.takes_effect() {
            self.perform(call, payload, now)
        } else {
            Ok(Outcome::nothing())
        };
        let took_effect = outcome.as_ref().is_ok_and(|outcome| outcome.took_effect);
        let (reply, errcode) = self.reply(call.endpoint, outcome, &fault.kind);
        let entry = Entry {
            sequence: 0,
            at: now,
            endpoint: call.endpoint,
            env: env.map(str::to_owned),
            token,
            errcode,
            took_effect,
            answered: reply.is_whole(),
        };
        self.ledger.append(entry, self.options.detailed_ledger);
        (reply, fault)
    }

    /// Counts the call and finds what goes wrong with it.
    fn fault(&mut self, endpoint: Endpoint, env: Option<&str>, now: Timestamp) -> Fault {
        let nth = match env {
            Some(env) => self.stores.count(endpoint, env),
            None => self.ledger.calls(endpoint),
        };
        if self.busy || now < self.busy_until {
            return Fault::anywhere().errcode(Refusal::BUSY.0, Refusal::BUSY.1);
        }
        let occasion = Occasion { endpoint, env, nth };
        let fault = self
            .faults
            .take(&occasion, self.options.seed)
            .unwrap_or_else(Fault::none);
        match fault.kind {
            Kind::Busy(lasts) => self.busy_until = after(now, lasts),
            Kind::TokenLost => self.issue_token(Duration::ZERO),
            _ => {}
        }
        fault
    }

    /// Lays the fault over the outcome: what goes on the wire, and its errcode.
    fn reply(
        &mut self,
        endpoint: Endpoint,
        outcome: Result<Outcome, Refusal>,
        fault: &Kind,
    ) -> (Reply, Option<i64>) {
        let own = match &outcome {
            Ok(_) => 0,
            Err(Refusal(errcode, _)) => *errcode,
        };
        let mut answer = match outcome {
            Ok(outcome) => outcome.answer,
            Err(Refusal(errcode, errmsg)) => self.error(errcode, errmsg),
        };
        distort(&mut answer, fault);
        match fault {
            Kind::Errcode(errcode, errmsg) => (
                Reply::Json(self.error(*errcode, errmsg).to_string()),
                Some(*errcode),
            ),
            Kind::Busy(_) => (
                Reply::Json(self.error(Refusal::BUSY.0, Refusal::BUSY.1).to_string()),
                Some(Refusal::BUSY.0),
            ),
            Kind::Cut => (Reply::Cut, None),
            Kind::CutInBody => (Reply::CutInBody(answer.to_string()), None),
            Kind::Html(status) => (Reply::Html(*status), None),
            Kind::Redirect(location) => (Reply::Redirect(location.clone()), None),
            Kind::NoJson => (Reply::NoJson, None),
            Kind::Oversize => (Reply::Oversize, None),
            Kind::Endless => (Reply::Endless, None),
            Kind::Slow(pause) => (Reply::Slow(answer.to_string(), *pause), Some(own)),
            Kind::None | Kind::TokenLost | Kind::NullFields | Kind::WrongEnv
                if endpoint == Endpoint::Unknown =>
            {
                (Reply::Html(404), None)
            }
            Kind::None | Kind::TokenLost | Kind::NullFields | Kind::WrongEnv => {
                (Reply::Json(answer.to_string()), Some(own))
            }
        }
    }

    /// An error's body; Weixin puts a request id behind the errmsg.
    fn error(&mut self, errcode: i64, errmsg: &str) -> Value {
        let [now, one, two] = [
            self.now().timestamp() as u32,
            self.random.u32(..),
            self.random.u32(..),
        ];
        json!({ "errcode": errcode, "errmsg": format!("{errmsg} rid: {now:08x}-{one:08x}-{two:08x}") })
    }

    fn perform(
        &mut self,
        call: &Call<'_>,
        payload: &Result<Payload, Refusal>,
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        if call.endpoint == Endpoint::Unknown {
            return Ok(Outcome::nothing());
        }
        if !call.is_post {
            return Err(Refusal::NO_POST);
        }
        if call.endpoint.needs_token() {
            self.tokens.check(call.token, now)?;
        }
        let payload = payload.as_ref().map_err(|refusal| *refusal)?;
        match call.endpoint {
            Endpoint::Exchange => self.exchange(payload, now),
            Endpoint::StartPushTicket => self.start_push_ticket(payload),
            Endpoint::Create => self.create(payload.env()?, now),
            Endpoint::Describe => self.describe(payload.env()?, now),
            Endpoint::Unknown => Ok(Outcome::nothing()),
        }
    }

    fn exchange(&mut self, payload: &Payload, now: Timestamp) -> Result<Outcome, Refusal> {
        if !self
            .exchanges_today
            .take(self.options.exchanges_per_day, DAY, now)
        {
            return Err(Refusal::DAILY_QUOTA);
        }
        self.check_credentials(payload, payload.component_appsecret.as_deref())?;
        self.tickets
            .check(payload.component_verify_ticket.as_deref().unwrap_or(""), now)?;
        self.issue_token(self.options.token_overlap);
        let answer = json!({
            "component_access_token": self.tokens.current(),
            "expires_in": self.options.token_lifetime.as_secs(),
        });
        Ok(Outcome {
            answer,
            took_effect: true,
        })
    }

    fn start_push_ticket(&mut self, payload: &Payload) -> Result<Outcome, Refusal> {
        self.check_credentials(payload, payload.component_secret.as_deref())?;
        let took_effect = self.options.start_push_makes_ticket;
        if took_effect {
            self.issue_ticket();
        }
        Ok(Outcome {
            answer: ok(),
            took_effect,
        })
    }

    fn check_credentials(&self, payload: &Payload, secret: Option<&str>) -> Result<(), Refusal> {
        let appid = payload
            .component_appid
            .as_deref()
            .filter(|appid| !appid.is_empty());
        let secret = secret.filter(|secret| !secret.is_empty());
        if appid.ok_or(Refusal::APPID_MISSING)? != self.options.appid {
            return Err(Refusal::APPID_INVALID);
        }
        if secret.ok_or(Refusal::SECRET_MISSING)? != self.options.appsecret {
            return Err(Refusal::SECRET_INVALID);
        }
        Ok(())
    }

    fn create(&mut self, env: &str, now: Timestamp) -> Result<Outcome, Refusal> {
        if !self
            .creates_now
            .take(self.options.creates_per_second, SECOND, now)
        {
            return Err(Refusal::TOO_FAST);
        }
        if !self.creates_today.take(self.options.creates_per_day, DAY, now) {
            return Err(Refusal::DAILY_QUOTA);
        }
        let is_new = self.stores.create(env, self.options.opening, now);
        match self.options.create_again_errcode {
            errcode if !is_new && errcode != 0 => Err(Refusal(errcode, "static store exists")),
            _ => Ok(Outcome {
                answer: ok(),
                took_effect: true,
            }),
        }
    }

    fn describe(&mut self, env: &str, now: Timestamp) -> Result<Outcome, Refusal> {
        if !self
            .describes_now
            .take(self.options.describes_per_second, SECOND, now)
        {
            return Err(Refusal::TOO_FAST);
        }
        let nth = self.ledger.calls(Endpoint::Describe);
        let list = self.options.list_field.name(nth);
        let mut answer = ok();
        match (self.stores.describe(env, now), self.options.absent_list.form(nth)) {
            (Some(record), _) => {
                answer[list] = json!([item(env, record, self.options.region_field.name(nth))]);
            }
            (None, AbsentList::Null) => answer[list] = Value::Null,
            (None, AbsentList::Empty) => answer[list] = json!([]),
            (None, AbsentList::Missing | AbsentList::Alternating) => {}
        }
        Ok(Outcome {
            answer,
            took_effect: false,
        })
    }

    fn issue_token(&mut self, overlap: Duration) {
        let times = Times {
            now: self.now(),
            lifetime: self.options.token_lifetime,
            overlap,
        };
        self.tokens.issue(times, &mut self.random);
    }

    fn issue_ticket(&mut self) -> String {
        let expires_at = after(self.now(), self.options.ticket_lifetime);
        self.tickets.issue(expires_at, &mut self.random).to_owned()
    }
}

impl Payload {
    fn env(&self) -> Result<&str, Refusal> {
        self.env
            .as_deref()
            .filter(|env| !env.is_empty())
            .ok_or(Refusal::ENV_MISSING)
    }
}

impl Outcome {
    fn nothing() -> Self {
        Self {
            answer: ok(),
            took_effect: false,
        }
    }
}

fn ok() -> Value {
    json!({ "errcode": 0, "errmsg": "ok" })
}

/// A record as describe shows it; what is not made yet is null.
fn item(env: &str, record: Record<'_>, region_field: &str) -> Value {
    let is_made = record.status != Some("init");
    json!({
        "env": env,
        "domain": is_made.then(|| format!("{env}-{ACCOUNT}.tcloudbaseapp.com")),
        "bucket": is_made.then(|| format!("0000-static-{env}-{ACCOUNT}")),
        region_field: REGION,
        "status": record.status,
    })
}
