//! Answers to the daemon's calls: of Weixin, and of a token's owner.

use std::time::Duration;

use serde_json::{Value, json};
use staticstored::clock::{Timestamp, after};
use staticstored::outcome::{StoreRecord, StoreState};
use staticstored::owner;
use staticstored::request::Env;
use staticstored::weixin::{Answer, Found, LONGEST_ERRMSG, LONGEST_RID, answer, exchange};

use super::is_a_line;

const ENV: &str = "ENV";
/// What we sent, and an answer may quote.
const SECRETS: [&str; 2] = ["canary-of-an-appsecret-0123", "ticket@@@canary-0123456789"];
const DAY: Duration = Duration::from_secs(86_400);

/// The body of an answer of Weixin, to whichever call.
pub fn answer(body: &[u8]) {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let errcode = |value: &Value| {
        let code = value.get("errcode")?;
        code.as_i64().or_else(|| code.as_str()?.trim().parse().ok())
    };
    if let Ok(read) = answer::create(body) {
        told(&read);
        assert!(read.found.is_none());
        if let Some(value) = &value {
            assert_eq!(
                errcode(value),
                Some(read.errcode),
                "nothing but an errcode is one"
            );
        }
    }
    if let Ok(read) = answer::describe(body, &Env::parse(ENV).unwrap()) {
        told(&read);
        if let Some(value) = &value {
            assert_eq!(errcode(value).unwrap_or(0), read.errcode);
        }
        assert_eq!(read.found.is_some(), read.errcode == 0);
        if let Some(Found(Some(record))) = &read.found {
            kept(record);
            let online = value.is_none_or(|value| says_online(&value));
            assert!(
                record.state != StoreState::Online || online,
                "Weixin did not say so"
            );
        }
    }
    match exchange::grant(body, &SECRETS) {
        Ok(grant) => assert!((Duration::from_secs(1)..=DAY).contains(&grant.expires_in)),
        Err(error) => {
            let told = error.to_string();
            assert!(is_a_line(&told), "{told:?}");
            assert!(!SECRETS.iter().any(|secret| told.contains(secret)), "{told}");
        }
    }
}

/// An errmsg, and the request id in it.
pub fn errmsg(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let body = json!({ "errcode": -1, "errmsg": text }).to_string();
    let read = answer::create(body.as_bytes()).expect("this is an answer");
    assert_eq!(read.errcode, -1);
    told(&read);
    if let Some(rid) = &read.rid {
        let (_, after) = text.rsplit_once("rid:").expect("a rid is named");
        assert!(
            after.trim_start().starts_with(rid.as_str()),
            "{rid:?} is not in {text:?}"
        );
    }
}

/// An answer of the program that owns the token: the first byte stands for its HTTP status.
pub fn owner(data: &[u8]) {
    let Some((first, body)) = data.split_first() else {
        return;
    };
    let asked_at = Timestamp::UNIX_EPOCH + chrono::TimeDelta::days(20_000);
    let told = |error: owner::OwnerError| {
        for text in [Some(error.reason), error.remedy].into_iter().flatten() {
            assert!(is_a_line(&text), "{text:?}");
            assert!(!SECRETS.iter().any(|secret| text.contains(secret)), "{text}");
            assert!(text.chars().count() < 600, "{text}");
        }
    };
    match owner::answer::token(body, asked_at) {
        Ok(token) => {
            assert!(token.expires_at > asked_at && token.expires_at <= after(asked_at, DAY));
            assert!(!format!("{token:?}").contains(token.expose()) || token.expose().len() < 8);
        }
        Err(error) => told(error),
    }
    told(owner::answer::refusal(300 + u16::from(*first), body, &SECRETS));
}

/// What an answer leaves in the database.
fn told(read: &Answer) {
    assert!(is_a_line(&read.errmsg), "{:?}", read.errmsg);
    assert!(read.errmsg.chars().count() <= LONGEST_ERRMSG);
    if let Some(rid) = &read.rid {
        let is_rid = |c: char| c.is_ascii_hexdigit() || c == '-';
        assert!(rid.len() <= LONGEST_RID && rid.chars().all(is_rid), "{rid:?}");
        assert!(rid.contains(|c: char| c.is_ascii_hexdigit()), "{rid:?}");
    }
}

fn kept(record: &StoreRecord) {
    let site = &record.site;
    for text in [&site.domain, &site.bucket, &site.region].into_iter().flatten() {
        assert!(is_a_line(text) && !text.is_empty(), "{text:?}");
        assert!(text.chars().count() <= LONGEST_ERRMSG);
    }
    if let StoreState::Unknown(word) = &record.state {
        assert!(is_a_line(word), "{word:?}");
    }
}

/// Whether somewhere in the list there is an item of ours that is online.
fn says_online(value: &Value) -> bool {
    let lists = ["Data", "data"].map(|name| value.get(name).and_then(Value::as_array));
    let ours = |item: &Value| {
        item["status"] == "online" && (item["env"] == ENV || item["env"].is_null())
            // An item may be written as a list of its fields.
            || item.is_array()
    };
    lists.into_iter().flatten().flatten().any(ours)
}
