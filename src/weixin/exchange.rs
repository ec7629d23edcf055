//! The two calls that need no token: a ticket is exchanged for one, or a new ticket is asked for.

use serde::Serialize;
use serde_json::Value;

use super::errcode::{self, ExchangeClass};
use super::json::Object;
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
    let token = granted
        .get("component_access_token")
        .and_then(Value::as_str)
        .filter(|token| !token.is_empty())
        .ok_or_else(|| passes("the answer has no component_access_token".to_owned()))?;
    let life = granted.get("expires_in").and_then(life).ok_or_else(|| {
        passes("the answer has a component_access_token, but no expires_in of 1 second or more".to_owned())
    })?;
    Ok(Grant {
        component_access_token: token.to_owned().into(),
        expires_in: Duration::from_secs(life),
    })
}

/// Reads whole seconds, from 1 to [`LONGEST_LIFE`], out of a number or its text.
fn life(value: &Value) -> Option<u64> {
    let seconds = value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())
        .filter(|seconds: &f64| seconds.is_finite() && *seconds >= 1.0)?;
    Some(seconds.min(LONGEST_LIFE as f64) as u64)
}

fn granted(answer: &[u8], hide: &[&str]) -> Result<Object, ExchangeError> {
    // What can't be read is not shown: it might be a token in a shape that we do not know.
    let granted = Object::read(answer)
        .map_err(|error| passes(format!("the answer could not be read: {}", place(&error))))?;
    match granted.errcode() {
        Ok(None | Some(0)) => Ok(granted),
        Ok(Some(code)) => Err(refused(code, &granted.errmsg(), hide)),
        Err(what) => Err(passes(format!("the answer could not be read: {what}"))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_a_number_or_its_text_and_anything_else_is_said() {
        let read = |life: &str| {
            grant(
                format!(r#"{{"component_access_token":"t"{life}}}"#).as_bytes(),
                &[],
            )
        };
        for life in ["7200", "\"7200\"", "7200.0", "\" 7200.5 \""] {
            let grant = read(&format!(r#","expires_in":{life}"#)).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(grant.expires_in.as_secs(), 7200, "{life}");
        }
        for life in [
            "",
            ",\"expires_in\":null",
            ",\"expires_in\":0",
            ",\"expires_in\":-1",
            ",\"expires_in\":\"x\"",
        ] {
            let error = read(life).err().unwrap();
            assert!(
                matches!(error, ExchangeError::Passes { .. }) && error.to_string().contains("expires_in")
            );
        }
        assert!(granted(b"[]", &[]).is_err() && granted(br#"{"errcode":"x"}"#, &[]).is_err());
    }
}
