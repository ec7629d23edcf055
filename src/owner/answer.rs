//! What the owner answers, read with distrust: any field may be missing, null or of another type.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::OwnerError;
use crate::clock::{Timestamp, after, parse};
use crate::credential::Token;
use crate::transport;

/// The longest life of a token that is believed; the documented one is 7200 s (weixin-api.md 2.1).
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);

#[derive(Deserialize)]
struct Lent {
    component_access_token: Option<String>,
    expires_in: Option<Value>,
    expires_at: Option<Value>,
}

#[derive(Deserialize)]
struct Lacking {
    reason: Option<String>,
    remedy: Option<String>,
}

/// Reads the token of an answer; `asked_at` is when it was asked for, from which an `expires_in` counts.
///
/// # Errors
/// When it holds none that can be used.
pub fn token(body: &[u8], asked_at: Timestamp) -> Result<Token, OwnerError> {
    // What can't be read is not shown: it might be a token in a shape that we do not know.
    let lent: Lent = serde_json::from_slice(body).map_err(|_| garbled("it is no such JSON"))?;
    let text = lent.component_access_token.unwrap_or_default();
    if text.is_empty() {
        return Err(garbled("it has no component_access_token"));
    }
    let expires_at =
        expiry(lent.expires_in.as_ref(), lent.expires_at.as_ref(), asked_at).ok_or_else(|| {
            garbled("it has neither expires_in (seconds) nor expires_at (2026-11-23T16:25:07.123Z)")
        })?;
    if expires_at <= asked_at {
        return Err(passes(
            "the owner of the token gives one that has expired".to_owned(),
        ));
    }
    Token::new(&text, asked_at, expires_at).map_err(|error| garbled(&error.to_string()))
}

/// When a token ends. What counts from now needs no agreement of two clocks, so it goes first; a number may be written
/// as text, as some languages do.
fn expiry(expires_in: Option<&Value>, expires_at: Option<&Value>, asked_at: Timestamp) -> Option<Timestamp> {
    let seconds = |value: &Value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    let longest = after(asked_at, LONGEST_LIFE);
    let from_now = expires_in
        .and_then(seconds)
        .filter(|seconds| seconds.is_finite())
        .map(|seconds| {
            let life = seconds.clamp(0.0, LONGEST_LIFE.as_secs_f64());
            after(asked_at, Duration::from_secs_f64(life))
        });
    from_now
        .or_else(|| parse(expires_at?.as_str()?))
        .map(|at| at.min(longest))
}

/// What an HTTP status other than 2xx means. The `secrets` are hidden, should the owner quote them.
#[must_use]
pub fn refusal(status: u16, body: &[u8], secrets: &[&str]) -> OwnerError {
    match status {
        503 => lacking(body, secrets),
        300..=399 => blocked(
            format!(
                "the owner of the token answers with a redirect (HTTP {status}), which is never followed"
            ),
            "Let token.url name the place that the redirect leads to.",
        ),
        401 | 403 => blocked(
            format!("the owner of the token refuses us (HTTP {status})"),
            "Put the credential that it wants to see into the file that token.bearer_file names.",
        ),
        404 | 405 => blocked(
            format!("there is no token at token.url (HTTP {status})"),
            "Let token.url name the resource that a GET reads the token from.",
        ),
        408 | 429 | 500.. => passes(format!("the owner of the token answers HTTP {status}")),
        _ => blocked(
            format!("the owner of the token answers HTTP {status}"),
            "See that token.url names the resource that a GET reads the token from.",
        ),
    }
}

/// The owner has none at the moment, and says why; or something in front of it says that it is not there.
fn lacking(body: &[u8], secrets: &[&str]) -> OwnerError {
    let said = serde_json::from_slice::<Lacking>(body).ok();
    let shown = |text: String| transport::quote(&text, secrets);
    let (reason, remedy) = said.map_or((None, None), |said| (said.reason, said.remedy));
    let lacks = reason.is_some();
    let reason = match reason {
        Some(reason) => format!("the owner of the token has none: {}", shown(reason)),
        None => "the owner of the token has none (HTTP 503)".to_owned(),
    };
    OwnerError {
        reason,
        remedy: remedy.map(shown),
        lacks,
    }
}

pub(super) fn garbled(what: &str) -> OwnerError {
    blocked(
        format!("the answer of the owner of the token cannot be used: {what}"),
        "See that token.url names a program that answers as `share.socket` of a staticstored does.",
    )
}

pub(super) fn passes(reason: String) -> OwnerError {
    OwnerError {
        reason,
        remedy: None,
        lacks: false,
    }
}

pub(super) fn blocked(reason: String, remedy: &str) -> OwnerError {
    OwnerError {
        reason,
        remedy: Some(remedy.to_owned()),
        lacks: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn life(fields: &str) -> Result<i64, String> {
        let body = format!(r#"{{"component_access_token":"canary"{fields}}}"#);
        match token(body.as_bytes(), NOW) {
            Ok(token) => Ok((token.expires_at - NOW).num_seconds()),
            Err(error) => Err(error.reason),
        }
    }

    #[test]
    fn the_life_is_read_from_whichever_field_is_there_and_never_believed_to_be_over_a_day() {
        for (fields, seconds) in [
            (r#","expires_in":7200"#, 7200),
            (r#","expires_in":"7200""#, 7200),
            (r#","expires_in":60.5"#, 60),
            (r#","expires_at":"1970-01-01T00:10:00.000Z""#, 600),
            (r#","expires_in":null,"expires_at":"1970-01-01T00:10:00Z""#, 600),
            (r#","expires_in":"soon","expires_at":"1970-01-01T00:10:00Z""#, 600),
            // Two clocks may differ.
            (r#","expires_in":60,"expires_at":"2001-01-01T00:00:00.000Z""#, 60),
            (r#","expires_in":1e300"#, 86_400),
            (r#","expires_at":"9999-01-01T00:00:00.000Z""#, 86_400),
        ] {
            assert_eq!(life(fields), Ok(seconds), "{fields}");
        }
        for fields in [
            r#","expires_in":0"#,
            r#","expires_in":-5"#,
            r#","expires_at":"1969-12-31T23:59:59.000Z""#,
        ] {
            assert!(life(fields).unwrap_err().contains("has expired"), "{fields}");
        }
        for fields in ["", r#","expires_in":[]"#, r#","expires_at":5"#] {
            assert!(
                life(fields).unwrap_err().contains("neither expires_in"),
                "{fields}"
            );
        }
    }

    #[test]
    fn an_answer_that_cannot_be_used_is_not_shown_and_the_remedy_names_the_key() {
        for body in [
            &b"canary"[..],
            b"",
            b"[\"canary\"]",
            b"{\"access_token\":\"canary\"}",
            b"{\"component_access_token\":7}",
            b"{\"component_access_token\":\"two canary words\",\"expires_in\":7200}",
            b"{\"component_access_token\":\"\",\"expires_in\":7200}",
            b"\xff\xfe",
        ] {
            let error = token(body, NOW).unwrap_err();
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
            assert!(error.remedy.unwrap().contains("token.url"));
        }
    }

    #[test]
    fn each_status_says_what_to_do_and_what_passes_has_no_remedy() {
        for (status, key) in [
            (301, "token.url"),
            (401, "token.bearer_file"),
            (403, "token.bearer_file"),
            (404, "token.url"),
            (405, "token.url"),
            (418, "token.url"),
        ] {
            let error = refusal(status, b"canary", &[]);
            assert!(error.reason.contains(&status.to_string()), "{error:?}");
            assert!(error.remedy.unwrap().contains(key), "{status}");
        }
        for status in [408, 429, 500, 502, 503, 504, 599] {
            assert_eq!(refusal(status, b"canary", &[]).remedy, None, "{status}");
        }
    }

    #[test]
    fn the_owners_own_reason_and_remedy_are_told_on_one_line_without_our_secrets() {
        let body = r#"{"reason":"no ticket\nfor bearer-1","remedy":"wait, token-1"}"#;
        let error = refusal(503, body.as_bytes(), &["bearer-1", "token-1"]);
        assert_eq!(
            error.reason,
            "the owner of the token has none: no ticket for [hidden]"
        );
        assert_eq!(error.remedy.as_deref(), Some("wait, [hidden]"));
        let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(5000));
        let error = refusal(503, long.as_bytes(), &[]);
        assert!(error.reason.len() < 600 && error.remedy.is_none());
    }
}
