//! All that the platform remembers, and the course of a call through it: fault, effect, answer, ledger.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::{Timestamp, after};

use super::Call;
use super::rules::{Outcome, Payload};
use crate::simulator::answer::{Refusal, Reply};
use crate::simulator::fault::{Fault, Kind};
use crate::simulator::faults::{Faults, Occasion, distort};
use crate::simulator::ledger::{Entry, Ledger};
use crate::simulator::push::Schedule;
use crate::simulator::quota::Quota;
use crate::simulator::stores::Stores;
use crate::simulator::tokens::{Tickets, Times, Tokens};
use crate::simulator::{Endpoint, Options, scenario};

/// All that the platform remembers.
#[derive(Debug)]
pub(in crate::simulator) struct State {
    pub(in crate::simulator) options: Options,
    pub(in crate::simulator) faults: Faults,
    pub(in crate::simulator) ledger: Ledger,
    pub(in crate::simulator) stores: Stores,
    pub(in crate::simulator) tokens: Tokens,
    pub(in crate::simulator) tickets: Tickets,
    pub(in crate::simulator) schedule: Schedule,
    pub(in crate::simulator) busy: bool,
    busy_until: Timestamp,
    pub(super) quotas: Quotas,
    random: fastrand::Rng,
}

/// What was used of each limit.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    pub(super) exchanges_today: Quota,
    pub(super) creates_today: Quota,
    pub(super) creates_now: Quota,
    pub(super) describes_now: Quota,
}

impl State {
    pub(super) fn new(options: Options) -> Self {
        let now = options.clock.now();
        let ticket_ends = after(now, options.ticket_lifetime);
        let mut schedule = Schedule::default();
        if options.push_to.is_some() {
            schedule.start(now, options.push_interval);
        }
        Self {
            schedule,
            tickets: Tickets::new(options.ticket.clone(), ticket_ends),
            random: fastrand::Rng::with_seed(options.seed),
            options,
            faults: Faults::default(),
            ledger: Ledger::default(),
            stores: Stores::default(),
            tokens: Tokens::default(),
            busy: false,
            busy_until: Timestamp::MIN_UTC,
            quotas: Quotas::default(),
        }
    }

    /// The time by the platform's clock.
    pub(in crate::simulator) fn now(&self) -> Timestamp {
        self.options.clock.now()
    }

    /// Changes the options. Who comes to be pushed to is pushed to after an interval.
    pub(in crate::simulator) fn change(&mut self, change: impl FnOnce(&mut Options)) {
        let pushed = self.options.push_to.is_some();
        change(&mut self.options);
        match self.options.push_to.is_some() {
            true if !pushed => self.schedule.start(self.now(), self.options.push_interval),
            false => self.schedule.end(),
            true => {}
        }
    }

    /// Makes a token; the one before lives on for `overlap`.
    pub(in crate::simulator) fn issue_token(&mut self, overlap: Duration, now: Timestamp) {
        let times = Times {
            now,
            lifetime: self.options.token_lifetime,
            overlap,
        };
        self.tokens.issue(times, &mut self.random);
    }

    /// Makes a ticket.
    pub(in crate::simulator) fn issue_ticket(&mut self, now: Timestamp) -> String {
        let expires_at = after(now, self.options.ticket_lifetime);
        self.tickets.issue(expires_at, &mut self.random).to_owned()
    }

    /// Deals with a call. All of it happens at one moment, read once: by a second reading a token lost just before a
    /// call could be lost a millisecond after it.
    pub(super) fn call(&mut self, call: &Call<'_>, payload: &Result<Payload, Refusal>) -> (Reply, Fault) {
        let now = self.now();
        let env = payload.as_ref().ok().and_then(|payload| payload.env.as_deref());
        let fault = self.fault(call.endpoint, env, now);
        let outcome = match fault.takes_effect() {
            true => self.perform(call, payload, now),
            false => Ok(Outcome::nothing()),
        };
        let took_effect = outcome.as_ref().is_ok_and(|outcome| outcome.took_effect);
        let (reply, errcode) = self.reply(outcome, &fault.kind);
        let entry = Entry {
            sequence: 0,
            at: now,
            endpoint: call.endpoint,
            env: env.map(str::to_owned),
            token: call.token.and_then(|token| self.tokens.generation(token)),
            errcode,
            took_effect,
            answered: reply.is_whole(),
        };
        self.ledger.append(entry, self.options.detailed_ledger);
        (reply, fault)
    }

    /// Gives an env the faults and the store of a kind.
    pub(in crate::simulator) fn arrange(&mut self, env: &str, kind: &scenario::Kind, now: Timestamp) {
        kind.faults(env)
            .into_iter()
            .for_each(|fault| self.faults.add(fault));
        if let Some(opening) = kind.opening {
            self.stores.set_opening(env, opening);
        }
        if let Some(course) = kind.course {
            self.stores.set_course(env, course, now);
        }
    }

    /// Counts a call among its like, and returns how many came before it.
    fn count(&mut self, endpoint: Endpoint, env: Option<&str>, now: Timestamp) -> u64 {
        let Some(env) = env else {
            return self.ledger.calls(endpoint);
        };
        let is_new = self.options.faults_by_suffix && !self.stores.knows(env);
        if is_new && let Some(kind) = scenario::kind_of(env) {
            self.arrange(env, kind, now);
        }
        self.stores.count(endpoint, env)
    }

    /// Counts the call and finds what goes wrong with it.
    fn fault(&mut self, endpoint: Endpoint, env: Option<&str>, now: Timestamp) -> Fault {
        let nth = self.count(endpoint, env, now);
        if endpoint == Endpoint::Unknown {
            return Fault::anywhere().http(404);
        }
        if self.busy || now < self.busy_until {
            return Fault::refuse(Refusal::BUSY);
        }
        let occasion = Occasion { endpoint, env, nth };
        match self.faults.take(&occasion, self.options.seed) {
            Some(fault) => self.befall(fault, now),
            None => Fault::anywhere(),
        }
    }

    /// Does what a fault does to others than the call that it hits.
    fn befall(&mut self, fault: Fault, now: Timestamp) -> Fault {
        match fault.kind {
            Kind::Busy(lasts) => {
                self.busy_until = after(now, lasts);
                Fault::refuse(Refusal::BUSY)
            }
            Kind::TokenLost => {
                self.issue_token(Duration::ZERO, now);
                fault
            }
            _ => fault,
        }
    }

    /// Lays a fault over an outcome: what goes on the wire, and its errcode.
    fn reply(&mut self, outcome: Result<Outcome, Refusal>, fault: &Kind) -> (Reply, Option<i64>) {
        let (own, mut answer) = match outcome {
            Ok(outcome) => (0, outcome.answer),
            Err(Refusal(errcode, errmsg)) => (errcode, self.error(errcode, errmsg)),
        };
        distort(&mut answer, fault);
        match fault {
            Kind::Errcode(errcode, errmsg) => (
                Reply::Json(self.error(*errcode, errmsg).to_string()),
                Some(*errcode),
            ),
            Kind::Cut => (Reply::Cut, None),
            Kind::CutInBody => (Reply::CutInBody(answer.to_string()), None),
            Kind::Html(status) => (Reply::Html(*status), None),
            Kind::Redirect(location) => (Reply::Redirect(location.clone()), None),
            Kind::NoJson => (Reply::NoJson, None),
            Kind::Oversize => (Reply::Oversize, None),
            Kind::Endless => (Reply::Endless, None),
            Kind::Slow(pause) => (Reply::Slow(answer.to_string(), *pause), Some(own)),
            Kind::None | Kind::Busy(_) | Kind::TokenLost | Kind::NullFields | Kind::WrongEnv => {
                (Reply::Json(answer.to_string()), Some(own))
            }
        }
    }

    /// An error's body; Weixin puts a request id behind the errmsg.
    fn error(&mut self, errcode: i64, errmsg: &str) -> Value {
        let [one, two, three] = std::array::from_fn(|_| self.random.u32(..));
        json!({ "errcode": errcode, "errmsg": format!("{errmsg} rid: {one:08x}-{two:08x}-{three:08x}") })
    }
}
