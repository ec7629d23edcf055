//! Pushes, of Weixin and of anybody else.

use staticstored::callback::{Callback, Genuine, InfoType, Notice};
use staticstored::credential::{AesKey, CallbackToken};

use super::is_a_line;
use crate::seal::Sender;

const APPID: &str = "wx134c8103faa5a59e";
const TOKEN: &str = "AAAAA";
/// Of Weixin's own example (weixin-api.md 3.4).
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// Of the cipher.
const BLOCK: usize = 16;

fn callback() -> Callback {
    Callback::new(
        APPID.to_owned(),
        CallbackToken::parse(TOKEN).unwrap(),
        AesKey::parse(KEY).unwrap(),
        None,
    )
}

/// Bytes as all that somebody else can send (a query, a line's end, a body), as the message that Weixin seals, and as
/// what Weixin encrypts, with whatever length, appid and padding.
pub fn push(data: &[u8]) {
    let callback = callback();
    let (query, body) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let query = String::from_utf8_lossy(query);
    if let Ok(genuine) = callback.read(&query, body) {
        // Who does not know the token can only send Weixin's own pushes again.
        assert!(query.contains("msg_signature"), "{query}");
        believed(&genuine);
    }

    let weixin = Sender::new(APPID, TOKEN, AesKey::parse(KEY).unwrap().expose());
    let sealed = weixin.push(&String::from_utf8_lossy(data));
    if let Ok(genuine) = callback.read(&sealed.query, sealed.body.as_bytes()) {
        believed(&genuine);
    }

    let mut blocks = data.to_vec();
    blocks.resize(data.len().next_multiple_of(BLOCK).max(BLOCK), 0);
    let sealed = weixin.envelope(&weixin.encrypt_bytes(blocks));
    if let Ok(genuine) = callback.read(&sealed.query, sealed.body.as_bytes()) {
        believed(&genuine);
    }
}

fn believed(genuine: &Genuine) {
    assert!(!genuine.by_previous_key, "there is none");
    match &genuine.notice {
        Notice::Ticket { ticket, created_at } => {
            assert!(is_a_line(ticket.expose()) && !ticket.expose().is_empty());
            assert!(created_at.to_rfc3339().len() < 30, "{created_at}");
        }
        Notice::Event(kind) => {
            let kind = kind.as_str();
            assert!(!kind.is_empty() && kind.len() <= InfoType::LONGEST);
            assert!(
                kind.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.?".contains(&byte))
            );
        }
    }
}
