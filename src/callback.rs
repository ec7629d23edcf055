//! Weixin's push: from the bytes that came to what they say, or why they are refused.
//!
//! Who sent it is asked before anything is decrypted, and whom it is for before anything is believed. Nothing that came
//! is ever part of a refusal: a log must not become the place where somebody else's text, or a ticket, is read.

mod cipher;
mod refusal;
mod signature;
mod xml;

use chrono::Datelike as _;

use crate::clock::Timestamp;
use crate::credential::{AesKey, CallbackToken, Ticket};

pub use refusal::Refusal;

/// The longest timestamp or nonce.
const LONGEST_PART: usize = 64;
/// The `InfoType` of a ticket.
const TICKET: &str = "component_verify_ticket";

/// What a genuine push says.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A new ticket.
    Ticket {
        /// The ticket.
        ticket: Ticket,
        /// When Weixin made the push, by Weixin's clock.
        created_at: Timestamp,
    },
    /// Something else happened: an account was authorised, for instance.
    Event(InfoType),
}

/// What kind of event it is, made fit for a log: at most 64 of `A-Z a-z 0-9 - _ .`, a `?` for every other character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InfoType(String);

impl InfoType {
    /// The most characters that are kept.
    pub const LONGEST: usize = 64;

    fn new(text: &str) -> Self {
        let fit = |c: char| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '?'
            }
        };
        Self(text.chars().take(Self::LONGEST).map(fit).collect())
    }

    /// The kind as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A push that Weixin made for us.
#[derive(Clone, Debug)]
pub struct Genuine {
    /// What it says.
    pub notice: Notice,
    /// Whether it was sealed with the key before the current one.
    pub by_previous_key: bool,
}

/// Reads pushes.
#[derive(Clone, Debug)]
pub struct Callback {
    appid: String,
    token: CallbackToken,
    key: AesKey,
    previous_key: Option<AesKey>,
}

impl Callback {
    /// Reads what is pushed to the platform `appid`; while the key is being changed, both keys open.
    #[must_use]
    pub fn new(appid: String, token: CallbackToken, key: AesKey, previous_key: Option<AesKey>) -> Self {
        Self {
            appid,
            token,
            key,
            previous_key,
        }
    }

    /// Reads a push: the query of its URL, and its body.
    ///
    /// # Errors
    /// When it is not Weixin's, or not for this platform, or not of a known form.
    pub fn read(&self, query: &str, body: &[u8]) -> Result<Genuine, Refusal> {
        let query = Query::read(query)?;
        let [encrypt, envelope_appid] = xml::values(body, ["Encrypt", "AppId"])?;
        let encrypt = encrypt.ok_or(Refusal::Plain)?;
        if !signature::holds(
            &self.token,
            &[&query.timestamp, &query.nonce, &encrypt],
            &query.msg_signature,
        ) {
            return Err(Refusal::Signature);
        }
        if envelope_appid.is_some_and(|appid| appid != self.appid) {
            return Err(Refusal::OtherPlatform);
        }
        let (opened, by_previous_key) = self.open(&encrypt)?;
        let notice = self.notice(opened.message())?;
        Ok(Genuine {
            notice,
            by_previous_key,
        })
    }

    /// Opens the seal by the current key, then by the previous one.
    fn open(&self, encrypt: &str) -> Result<(cipher::Opened, bool), Refusal> {
        let sealed = cipher::decode(encrypt).ok_or(Refusal::Sealed)?;
        let refusal = match self.open_by(&self.key, &sealed) {
            Ok(opened) => return Ok((opened, false)),
            Err(refusal) => refusal,
        };
        let previous = self.previous_key.as_ref().ok_or(refusal)?;
        self.open_by(previous, &sealed)
            .map(|opened| (opened, true))
            .map_err(|_| refusal)
    }

    fn open_by(&self, key: &AesKey, sealed: &[u8]) -> Result<cipher::Opened, Refusal> {
        let opened = cipher::open(key, sealed).map_err(|cipher::Sealed| Refusal::Sealed)?;
        if opened.appid() == self.appid.as_bytes() {
            Ok(opened)
        } else {
            Err(Refusal::OtherPlatform)
        }
    }

    fn notice(&self, message: &[u8]) -> Result<Notice, Refusal> {
        let [info_type, created_at, ticket, appid] = xml::values(
            message,
            ["InfoType", "CreateTime", "ComponentVerifyTicket", "AppId"],
        )?;
        let info_type = info_type
            .filter(|text| !text.is_empty())
            .ok_or(Refusal::NoInfoType)?;
        if info_type != TICKET {
            return Ok(Notice::Event(InfoType::new(&info_type)));
        }
        if appid.is_some_and(|appid| appid != self.appid) {
            return Err(Refusal::OtherPlatform);
        }
        Ok(Notice::Ticket {
            ticket: ticket
                .and_then(|text| Ticket::parse(&text).ok())
                .ok_or(Refusal::NoTicket)?,
            created_at: created_at
                .and_then(|text| moment(&text))
                .ok_or(Refusal::NoCreateTime)?,
        })
    }
}

/// Seconds since 1970.
fn moment(text: &str) -> Option<Timestamp> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| digits)?;
    // A year of four digits, so that its text sorts.
    Timestamp::from_timestamp(seconds, 0).filter(|at| at.year() <= 9999)
}

/// What is needed of the query; `signature` is not (weixin-api.md 3.1).
struct Query {
    timestamp: String,
    nonce: String,
    msg_signature: String,
}

impl Query {
    fn read(query: &str) -> Result<Self, Refusal> {
        let names = ["timestamp", "nonce", "msg_signature", "encrypt_type"];
        let mut values = [const { None }; 4];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if let Some(at) = names.iter().position(|wanted| *wanted == name)
                && values[at].replace(value.into_owned()).is_some()
            {
                return Err(Refusal::Query);
            }
        }
        let [timestamp, nonce, msg_signature, encrypt_type] = values;
        if encrypt_type.is_some_and(|kind| kind != "aes") {
            return Err(Refusal::Plain);
        }
        let short = |text: &String| (1..=LONGEST_PART).contains(&text.len());
        Ok(Self {
            timestamp: timestamp.filter(short).ok_or(Refusal::Query)?,
            nonce: nonce.filter(short).ok_or(Refusal::Query)?,
            msg_signature: msg_signature.ok_or(Refusal::Query)?,
        })
    }
}

#[cfg(test)]
mod tests;
