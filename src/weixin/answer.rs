//! What comes back from Weixin, read with distrust: an envelope before its payload, any field null.

use std::time::Duration;

use serde_json::Value;

use super::errcode;
use super::json::Object;
use crate::outcome::{Effect, Load, Meaning, Site, StoreRecord, StoreState};
use crate::request::Env;
use crate::transport;

/// The longest errmsg that is kept, in characters.
pub const LONGEST_ERRMSG: usize = transport::LONGEST_QUOTE;
/// The longest rid that is one, in characters; Weixin's have 26 (weixin-api.md 2.6).
pub const LONGEST_RID: usize = 64;

/// What Weixin said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `errcode`.
    pub errcode: i64,
    /// `errmsg`, without what can't be printed, cut at [`LONGEST_ERRMSG`].
    pub errmsg: String,
    /// Weixin's request id, also where the errmsg was cut before it.
    pub rid: Option<String>,
    /// What describestaticstore found, where that was asked and answered with errcode 0.
    pub found: Option<Found>,
}

/// What describestaticstore found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found(pub Option<StoreRecord>);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The request never left: no address, no connection, no TLS.
    #[error("no connection to Weixin: {0}")]
    Unsent(String),
    /// It left, and nothing or only a part came back.
    #[error("no answer from Weixin: {0}")]
    Lost(String),
    /// An HTTP status that stands for a fault on the way.
    #[error("HTTP status {0}{hint}", hint = hint(*.0))]
    Status(u16),
    /// A redirect; none is ever followed, since the token would go with it.
    #[error("HTTP redirect (status {0}), which is never followed")]
    Redirect(u16),
    /// A body that is no answer of this API.
    #[error("the answer could not be read: {0}")]
    Garbled(String),
}

/// An exchange with Weixin: what came of it, and what the record says of it.
#[derive(Debug)]
pub struct Reply {
    /// What came of it.
    pub result: Result<Answer, CallError>,
    /// The HTTP status, where one came.
    pub http_status: Option<u16>,
    /// From the call to the end of its answer.
    pub latency: Duration,
}

pub(super) const REDIRECT_REMEDY: &str = "Something between here and Weixin answers with a redirect: check api.base_url, api.proxy and \
     any captive portal.";

impl Reply {
    /// Gives the reply a meaning.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        match &self.result {
            Ok(Answer {
                found: Some(Found(record)),
                ..
            }) => Meaning::Store(record.clone()),
            Ok(answer) => errcode::meaning(answer.errcode),
            Err(CallError::Unsent(_) | CallError::Status(407 | 429)) => {
                Meaning::Passes(Effect::None, Load::Busy)
            }
            Err(CallError::Redirect(_)) => Meaning::Line(REDIRECT_REMEDY),
            Err(_) => Meaning::Passes(Effect::Possible, Load::Busy),
        }
    }

    /// The errcode, where one came.
    #[must_use]
    pub fn errcode(&self) -> Option<i64> {
        self.result.as_ref().ok().map(|answer| answer.errcode)
    }

    /// Weixin's request id, where one came.
    #[must_use]
    pub fn rid(&self) -> Option<String> {
        self.result.as_ref().ok().and_then(|answer| answer.rid.clone())
    }

    /// What Weixin said, or why it said nothing.
    #[must_use]
    pub fn errmsg(&self) -> String {
        match &self.result {
            Ok(answer) => answer.errmsg.clone(),
            Err(error) => printable(&error.to_string()),
        }
    }
}

/// Says what a status of a page on the way stands for.
const fn hint(status: u16) -> &'static str {
    match status {
        403 => " (Forbidden): a firewall or a proxy may refuse the call",
        404 => " (Not Found): check api.base_url",
        407 => " (Proxy Authentication Required): check the user and the password in api.proxy",
        413 => " (Content Too Large): a firewall or a proxy may refuse the call",
        _ => "",
    }
}

/// Says if a body is an answer of this API, whatever the HTTP status.
pub(super) fn has_errcode(body: &[u8]) -> bool {
    envelope(body).is_ok_and(|(_, errcode)| errcode.is_some_and(|code| code != 0))
}

/// Cuts Weixin's request id out of an errmsg: `… rid: 6512ab34-0c1d2e3f-4a5b6c7d` (weixin-api.md 2.6).
fn rid(errmsg: &str) -> Option<&str> {
    let (_, rest) = errmsg.rsplit_once("rid:")?;
    let rest = rest.trim_start();
    let end = rest
        .find(|c: char| !c.is_ascii_hexdigit() && c != '-')
        .unwrap_or(rest.len());
    let rid = &rest[..end];
    let is_one = rid.len() <= LONGEST_RID && rid.contains(|c: char| c.is_ascii_hexdigit());
    is_one.then_some(rid)
}

/// Keeps what can be printed, on one line, up to [`LONGEST_ERRMSG`] characters.
pub(super) fn printable(text: &str) -> String {
    transport::quote(text, &[])
}

struct Item {
    env: Option<String>,
    domain: Option<String>,
    bucket: Option<String>,
    region: Option<String>,
    status: Option<String>,
}

fn garbled(what: impl Into<String>) -> CallError {
    CallError::Garbled(what.into())
}

fn envelope(body: &[u8]) -> Result<(Object, Option<i64>), CallError> {
    let object = Object::read(body).map_err(|error| garbled(format!("it is no JSON object: {error}")))?;
    let errcode = object.errcode().map_err(garbled)?;
    Ok((object, errcode))
}

/// Reads the answer to createstaticstore: an envelope with an errcode (there is nothing else to know success by).
///
/// # Errors
/// When it is no such envelope.
pub fn create(body: &[u8]) -> Result<Answer, CallError> {
    let (object, errcode) = envelope(body)?;
    let errcode = errcode.ok_or_else(|| garbled("no errcode"))?;
    Ok(answer(errcode, &object.errmsg(), None))
}

/// Reads the answer to describestaticstore: with errcode 0, or none but a list, what it found for `env`.
///
/// # Errors
/// When it is no such envelope, or about other environments.
pub fn describe(body: &[u8], env: &Env) -> Result<Answer, CallError> {
    let (object, errcode) = envelope(body)?;
    let lists: Vec<&Value> = ["Data", "data"]
        .iter()
        .filter_map(|name| object.get(name))
        .collect();
    if errcode.is_none() && lists.is_empty() {
        return Err(garbled("neither errcode nor Data"));
    }
    let errcode = errcode.unwrap_or(0);
    let mut errmsg = object.errmsg();
    if errcode != 0 {
        return Ok(answer(errcode, &errmsg, None));
    }
    let item = item(&lists, env)?;
    // "ok" alone would not say why a website is not online.
    if let Some(status) = item
        .as_ref()
        .map(Item::status)
        .filter(|status| *status != "online")
    {
        errmsg = format!("{errmsg}; status: {status}");
    }
    Ok(answer(errcode, &errmsg, Some(Found(item.map(StoreRecord::from)))))
}

fn answer(errcode: i64, errmsg: &str, found: Option<Found>) -> Answer {
    Answer {
        errcode,
        errmsg: printable(errmsg),
        rid: rid(errmsg).map(str::to_owned),
        found,
    }
}

/// Picks the record that counts out of all those about our environment: the best one.
fn item(lists: &[&Value], env: &Env) -> Result<Option<Item>, CallError> {
    let mut values = Vec::new();
    for list in lists {
        values.extend(list.as_array().into_iter().flatten());
    }
    if values.is_empty() {
        let readable = lists.is_empty() || lists.iter().any(|list| list.is_array());
        return readable.then_some(None).ok_or_else(|| garbled("Data is no list"));
    }
    let best = values
        .into_iter()
        .filter_map(|value| Item::of(value, env))
        .min_by_key(|item| (item.env.is_none(), item.rank()));
    best.map(Some)
        .ok_or_else(|| garbled("Data is about other environments"))
}

impl Item {
    /// Reads a record that may be about `env`; a field of a wrong type counts as missing.
    fn of(value: &Value, env: &Env) -> Option<Self> {
        let fields = value.as_object()?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let named = fields.get("env").filter(|name| !name.is_null());
        let ours = named.is_none_or(|name| name.as_str() == Some(env.as_str()));
        ours.then(|| Self {
            env: text("env"),
            domain: text("domain"),
            bucket: text("bucket"),
            region: text("region").or_else(|| text("regoin")),
            status: text("status"),
        })
    }

    fn rank(&self) -> u8 {
        match self.status() {
            "online" => 0,
            "init" | "process" => 1,
            _ => 2,
        }
    }

    fn status(&self) -> &str {
        self.status.as_deref().unwrap_or("null")
    }
}

impl From<Item> for StoreRecord {
    fn from(item: Item) -> Self {
        let state = match item.status() {
            "init" | "process" => StoreState::Opening,
            "online" => StoreState::Online,
            "destroying" => StoreState::Destroying,
            "offline" => StoreState::Offline,
            state @ ("create_fail" | "destroy_fail") => StoreState::Broken(state.to_owned()),
            other => StoreState::Unknown(printable(other)),
        };
        let kept = |field: Option<String>| field.filter(|text| !text.is_empty()).map(|text| printable(&text));
        let site = Site {
            domain: kept(item.domain),
            bucket: kept(item.bucket),
            region: kept(item.region),
        };
        Self { state, site }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> Env {
        Env::parse("ENV").unwrap()
    }

    fn found(body: &str) -> Option<StoreRecord> {
        describe(body.as_bytes(), &env()).unwrap().found.unwrap().0
    }

    #[test]
    fn the_documented_answer_is_read() {
        let body = r#"{"errcode":0,"errmsg":"ok","Data":[{"env":"ENV","domain":"ENV-1250000000.tcloudbaseapp.com",
            "bucket":"xxxx-static-ENV-1250000000","regoin":"ap-shanghai","status":"online"}]}"#;
        let record = found(body).unwrap();
        assert_eq!(record.state, StoreState::Online);
        assert_eq!(
            record.site.domain.as_deref(),
            Some("ENV-1250000000.tcloudbaseapp.com")
        );
        assert_eq!(record.site.region.as_deref(), Some("ap-shanghai"));
    }

    #[test]
    fn data_and_region_are_read_in_both_spellings_and_null_or_empty_means_no_record() {
        let record =
            found(r#"{"errcode":0,"data":[{"env":"ENV","region":"ap-x","status":"process"}]}"#).unwrap();
        assert_eq!(
            (record.state, record.site.region.as_deref()),
            (StoreState::Opening, Some("ap-x"))
        );
        for nothing in [
            r#"{"errcode":0}"#,
            r#"{"errcode":0,"Data":null}"#,
            r#"{"errcode":0,"data":[]}"#,
            r#"{"Data":[]}"#,
        ] {
            assert_eq!(found(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn each_status_is_a_state_and_an_unknown_one_is_kept_as_it_came() {
        for (status, state) in [
            (r#""init""#, StoreState::Opening),
            (r#""destroying""#, StoreState::Destroying),
            (r#""offline""#, StoreState::Offline),
            (r#""create_fail""#, StoreState::Broken("create_fail".into())),
            (r#""weird""#, StoreState::Unknown("weird".into())),
            ("null", StoreState::Unknown("null".into())),
        ] {
            let body = format!(r#"{{"errcode":0,"Data":[{{"env":null,"status":{status}}}]}}"#);
            assert_eq!(found(&body).unwrap().state, state);
        }
    }

    #[test]
    fn what_is_no_answer_is_garbled_and_never_a_success() {
        for body in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"errmsg":"ok"}"#,
            r#"{"errcode":"x"}"#,
            r#"{"errcode":null}"#,
        ] {
            assert!(
                matches!(create(body.as_bytes()), Err(CallError::Garbled(_))),
                "{body}"
            );
        }
        let other = r#"{"errcode":0,"Data":[{"env":"SOMEBODY-ELSE","status":"online"}]}"#;
        assert!(matches!(
            describe(other.as_bytes(), &env()),
            Err(CallError::Garbled(_))
        ));
    }

    #[test]
    fn an_errcode_is_read_whatever_is_odd_beside_it() {
        for body in [
            &b"{\"errcode\":85088,\"errmsg\":\"\xb0\xa1\"}"[..],
            b"\xef\xbb\xbf{\"errcode\":85088}",
            b"{\"errcode\":85088,\"errmsg\":\"a\nb\x01\"}",
            br#"{"errcode":85088,"errmsg":"\ud83d cut \\\" \udc00"}"#,
            br#"{"errcode":"85088","errmsg":null}"#,
            br#"{"errcode":85088,"errmsg":{"a":[1]}}"#,
            br#"{"errcode":85088,"errmsg":7}"#,
        ] {
            assert_eq!(create(body).unwrap().errcode, 85088, "{body:?}");
            assert_eq!(describe(body, &env()).unwrap().errcode, 85088, "{body:?}");
        }
    }

    #[test]
    fn no_reader_takes_what_is_not_one_complete_object_for_a_success() {
        for body in [
            &b"[0,\"ok\"]"[..],
            br#"{"errcode":0"#,
            br#"{"errcode":0,"errmsg":"o"#,
            br#"{"errcode":0}x"#,
            br#"{"errcode":85088,"errcode":0,"Data":[]}"#,
            br#"{"errcode":"","Data":[]}"#,
            br#"{"errcode":0.5,"Data":[]}"#,
            br#"{"errcode":[],"Data":[]}"#,
            b"0",
        ] {
            assert!(create(body).is_err(), "{body:?}");
            assert!(describe(body, &env()).is_err(), "{body:?}");
        }
    }

    #[test]
    fn of_several_records_the_best_counts_and_an_odd_one_spoils_none() {
        let body = r#"{"errcode":0,"Data":[5,{"env":7,"status":"online"},{"env":"ENV","status":"offline"},
            {"env":"ENV","status":"init","domain":[]}],"data":[{"env":"ENV","status":"online","domain":1}]}"#;
        assert_eq!(found(body).unwrap().state, StoreState::Online);
        let body = r#"{"errcode":0,"Data":[{"env":"ENV","status":"offline"},{"env":"ENV","status":"init"}]}"#;
        assert_eq!(found(body).unwrap().state, StoreState::Opening);
        let body = r#"{"errcode":0,"Data":[],"data":[{"env":"ENV","status":"online"}]}"#;
        assert_eq!(found(body).unwrap().state, StoreState::Online);
    }

    #[test]
    fn a_status_says_what_to_check_and_a_proxy_that_wants_a_password_sent_nothing() {
        let reply = |status| Reply {
            result: Err(CallError::Status(status)),
            http_status: Some(status),
            latency: Duration::ZERO,
        };
        for (status, word) in [
            (403, "firewall"),
            (404, "api.base_url"),
            (407, "api.proxy"),
            (413, "proxy"),
        ] {
            assert!(reply(status).errmsg().contains(word), "{status}");
        }
        let meaning = format!("{:?}", reply(407).meaning());
        assert!(meaning.contains("None"), "{meaning}");
        assert!(has_errcode(br#"{"errcode":85088}"#) && !has_errcode(b"<html>"));
    }

    #[test]
    fn an_error_is_read_whatever_its_payload_looks_like() {
        let answer = describe(br#"{"errcode":-1,"errmsg":"busy","Data":"?"}"#, &env()).unwrap();
        assert_eq!((answer.errcode, answer.found), (-1, None));
    }

    #[test]
    fn the_rid_is_cut_from_the_errmsg() {
        assert_eq!(
            rid("system error rid: 6512ab34-0c1d2e3f-4a5b6c7d"),
            Some("6512ab34-0c1d2e3f-4a5b6c7d")
        );
        assert_eq!(rid("a rid: b0-1 in the middle"), Some("b0-1"));
        for none in ["", "ok", "rid:", "rid: -", "grid lines"] {
            assert_eq!(rid(none), None, "{none}");
        }
        let long = format!("rid: {}", "a".repeat(LONGEST_RID + 1));
        assert_eq!(rid(&long), None);
        assert_eq!(rid(&long[..long.len() - 1]).unwrap().len(), LONGEST_RID);
    }

    #[test]
    fn an_errmsg_is_kept_on_one_line_and_cut() {
        let long = format!(r#"{{"errcode":1,"errmsg":"a\nb\u0000{}"}}"#, "é".repeat(1000));
        let errmsg = create(long.as_bytes()).unwrap().errmsg;
        assert!(errmsg.starts_with("a b ") && errmsg.chars().count() == LONGEST_ERRMSG);
    }
}
