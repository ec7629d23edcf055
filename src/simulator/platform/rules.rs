//! What each endpoint asks for, and what it does: Weixin's rules, with nothing gone wrong.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::Timestamp;

use super::{Call, State};
use crate::simulator::Endpoint;
use crate::simulator::answer::Refusal;
use crate::simulator::options::AbsentList;
use crate::simulator::quota::Window;
use crate::simulator::stores::Record;

/// Where every store is.
const REGION: &str = "ap-shanghai";
/// The account in every domain: the one in the documents' example.
const ACCOUNT: u32 = 1_250_000_000;

/// The fields of all requests; which of them must be there is for each endpoint to say.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Payload {
    pub(super) env: Option<String>,
    component_appid: Option<String>,
    component_appsecret: Option<String>,
    component_secret: Option<String>,
    component_verify_ticket: Option<String>,
}

impl Call<'_> {
    /// Reads the body.
    pub(super) fn payload(&self) -> Result<Payload, Refusal> {
        if self.body.is_empty() {
            return Err(Refusal::EMPTY);
        }
        serde_json::from_slice(self.body).map_err(|_| Refusal::NO_JSON)
    }
}

/// What a call came to, before a fault is laid over it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) answer: Value,
    pub(super) took_effect: bool,
}

impl State {
    /// Lets a call have its effect, or refuses it.
    pub(super) fn perform(
        &mut self,
        call: &Call<'_>,
        payload: &Result<Payload, Refusal>,
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        if !call.is_post {
            return Err(Refusal::NO_POST);
        }
        if call.endpoint.needs_token() {
            self.tokens.check(call.token, now)?;
        }
        let payload = payload.as_ref().map_err(|refusal| *refusal)?;
        match call.endpoint {
            Endpoint::Exchange => self.exchange(payload, now),
            Endpoint::StartPushTicket => self.start_push_ticket(payload, now),
            Endpoint::Create => self.create(payload.env()?, now),
            Endpoint::Describe => self.describe(payload.env()?, now),
            Endpoint::Unknown => Ok(Outcome::nothing()),
        }
    }

    fn exchange(&mut self, payload: &Payload, now: Timestamp) -> Result<Outcome, Refusal> {
        self.quotas
            .exchanges_today
            .take(self.options.exchanges_per_day, Window::Day, now)?;
        self.check_credentials(payload, payload.component_appsecret.as_deref())?;
        self.tickets
            .check(payload.component_verify_ticket.as_deref().unwrap_or(""), now)?;
        self.issue_token(self.options.token_overlap, now);
        let answer = json!({
            "component_access_token": self.tokens.current(),
            "expires_in": self.options.token_lifetime.as_secs(),
        });
        Ok(Outcome {
            answer,
            took_effect: true,
        })
    }

    fn start_push_ticket(&mut self, payload: &Payload, now: Timestamp) -> Result<Outcome, Refusal> {
        self.check_credentials(payload, payload.component_secret.as_deref())?;
        let took_effect = self.options.start_push_makes_ticket;
        match took_effect {
            true if self.options.push_to.is_some() => self.schedule.ask(now, self.options.push_delay),
            true => drop(self.issue_ticket(now)),
            false => {}
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
        self.quotas
            .creates_now
            .take(self.options.creates_per_second, Window::Second, now)?;
        self.quotas
            .creates_today
            .take(self.options.creates_per_day, Window::Day, now)?;
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
        self.quotas
            .describes_now
            .take(self.options.describes_per_second, Window::Second, now)?;
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
    /// Nothing done, and no complaint.
    pub(super) fn nothing() -> Self {
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
