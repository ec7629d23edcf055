//! The two calls that need no token: a ticket is exchanged for one, or a new ticket is asked for.

use serde::{Deserialize, Serialize};

use super::errcode::{self, ExchangeClass};
use super::{CallError, Weixin, answer};
use crate::credential::{AppSecret, Ticket};
use crate::transport;
use std::time::Duration;

/// The longest life of a token that is believed, in seconds; the documented one is 7200 (weixin-api.md 2.1).
const LONGEST_LIFE: u64 = 86_400;

/// What an exchange gave.
pub struct Grant {
    /// The `component_access_token`; the caller makes it a credential at once.
    pub component_access_token: secrecy::SecretString,
    /// How long it lives.
    pub expires_in: Duration,
}

/// Why an exchange gave no token.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// It passes: try again.
    #[error("{reason}")]
    Passes {
        /// Weixin's code, where one came.
        errcode: Option<i64>,
        /// What it said, or why it said nothing.
        reason: String,
    },
    /// The ticket is no longer good.
    #[error("{reason}")]
    Ticket {
        /// Weixin's code.
        errcode: i64,
        /// What it said.
        reason: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Somebody must help.
    #[error("{reason}")]
    Blocked {
        /// Weixin's code, where one came.
        errcode: Option<i64>,
        /// What it said.
        reason: String,
        /// What to do about it.
        remedy: &'static str,
    },
}

#[derive(Serialize)]
struct Exchange<'a> {
    component_appid: &'a str,
    component_appsecret: &'a str,
    component_verify_ticket: &'a str,
}

/// Its secret goes by another name than the exchange's (weixin-api.md 2.5).
#[derive(Serialize)]
struct StartPush<'a> {
    component_appid: &'a str,
    component_secret: &'a str,
}

#[derive(Deserialize)]
struct Granted {
    errcode: Option<i64>,
    errmsg: Option<String>,
    component_access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Weixin {
    /// Exchanges a ticket for a new token (weixin-api.md 2.1). The old one dies within minutes.
    ///
    /// # Errors
    /// When no token came back; the variant says what that leads to.
    pub async fn exchange(
        &self,
        component_appid: &str,
        secret: &AppSecret,
        ticket: &Ticket,
    ) -> Result<Grant, ExchangeError> {
        let body = Exchange {
            component_appid,
            component_appsecret: secret.expose(),
            component_verify_ticket: ticket.expose(),
        };
        let answer = self.ask(self.exchange.clone(), &body).await?;
        grant(&answer, &[secret.expose(), ticket.expose()])
    }

    /// Asks Weixin to push a ticket (weixin-api.md 2.5).
    ///
    /// # Errors
    /// When Weixin refuses, or did not answer.
    pub async fn start_push_ticket(
        &self,
        component_appid: &str,
        secret: &AppSecret,
    ) -> Result<(), ExchangeError> {
        let body = StartPush {
            component_appid,
            component_secret: secret.expose(),
        };
        let answer = self.ask(self.start_push.clone(), &body).await?;
        granted(&answer, &[secret.expose()]).map(|_| ())
    }

    async fn ask<B: Serialize>(&self, url: reqwest::Url, body: &B) -> Result<Vec<u8>, ExchangeError> {
        let answer = self.send(url, body).await.body;
        answer.map_err(|error| from_transport(&error))
    }
}

/// Reads the answer to an exchange. The secrets in `hide` are in no error, should Weixin quote them.
///
/// # Errors
/// When it grants no token.
pub fn grant(answer: &[u8], hide: &[&str]) -> Result<Grant, ExchangeError> {
    let granted = granted(answer, hide)?;
    let life = granted
        .expires_in
        .filter(|life| *life > 0)
        .map(|life| life.min(LONGEST_LIFE));
    match (granted.component_access_token, life) {
        (Some(token), Some(life)) if !token.is_empty() => Ok(Grant {
            component_access_token: token.into(),
            expires_in: Duration::from_secs(life),
        }),
        _ => Err(passes(
            "the answer has no component_access_token with an expires_in".to_owned(),
        )),
    }
}

fn granted(answer: &[u8], hide: &[&str]) -> Result<Granted, ExchangeError> {
    // What can't be read is not shown: it might be a token in a shape that we do not know.
    let granted: Granted = serde_json::from_slice(answer)
        .map_err(|error| passes(format!("the answer could not be read: {}", place(&error))))?;
    match granted.errcode {
        None | Some(0) => Ok(granted),
        Some(code) => Err(refused(code, granted.errmsg.as_deref().unwrap_or_default(), hide)),
    }
}

/// Says where JSON went wrong without quoting it, as serde_json's own message may.
fn place(error: &serde_json::Error) -> String {
    format!(
        "{:?} error at line {} column {}",
        error.classify(),
        error.line(),
        error.column()
    )
}

fn passes(reason: String) -> ExchangeError {
    ExchangeError::Passes {
        errcode: None,
        reason,
    }
}

fn from_transport(error: &CallError) -> ExchangeError {
    let reason = answer::printable(&error.to_string());
    match error {
        CallError::Redirect(_) => ExchangeError::Blocked {
            errcode: None,
            reason,
            remedy: answer::REDIRECT_REMEDY,
        },
        _ => passes(reason),
    }
}

fn refused(code: i64, errmsg: &str, hide: &[&str]) -> ExchangeError {
    let reason = format!(
        "Weixin answered errcode {code}: {}",
        transport::quote(errmsg, hide)
    );
    match errcode::exchange(code) {
        (ExchangeClass::Passes, _) => ExchangeError::Passes {
            errcode: Some(code),
            reason,
        },
        (ExchangeClass::Ticket, remedy) => ExchangeError::Ticket {
            errcode: code,
            reason,
            remedy,
        },
        (ExchangeClass::Blocked, remedy) => ExchangeError::Blocked {
            errcode: Some(code),
            reason,
            remedy,
        },
    }
}
