//! Vectors, forms and refusals of the push; the whole path from bytes to a notice.

mod properties;
mod vectors;

#[path = "../../tests/it/seal.rs"]
#[expect(unreachable_pub, reason = "it is shared with the integration tests")]
mod seal;

use super::*;
use crate::clock::text;
use seal::{Push, Sender};
use vectors::{V1, V1R, V2, V2R, V3, V6, Vector};

const OURS: &str = "wx134c8103faa5a59e";

fn key(text: &str) -> AesKey {
    AesKey::parse(text).unwrap()
}

fn sender_of(vector: &Vector) -> Sender {
    Sender {
        random: vector.random.as_bytes().try_into().unwrap(),
        timestamp: vector.timestamp.to_owned(),
        nonce: vector.nonce.to_owned(),
        ..Sender::new(vector.appid, vector.token, key(vector.key).expose())
    }
}

fn callback_of(vector: &Vector) -> Callback {
    let token = CallbackToken::parse(vector.token).unwrap();
    Callback::new(vector.appid.to_owned(), token, key(vector.key), None)
}

fn sender() -> Sender {
    Sender::new(OURS, "callback-token", &[7; 32])
}

/// The same key as [`sender`]'s.
const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
const OTHER_KEY: &str = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg";

fn callback() -> Callback {
    let token = CallbackToken::parse("callback-token").unwrap();
    Callback::new(OURS.to_owned(), token, key(KEY), None)
}

fn read(push: &Push) -> Result<Genuine, Refusal> {
    callback().read(&push.query, push.body.as_bytes())
}

#[track_caller]
fn refused(push: &Push, refusal: Refusal) {
    assert_eq!(read(push).unwrap_err(), refusal);
}

fn ticket_of(genuine: Genuine) -> (String, String) {
    match genuine.notice {
        Notice::Ticket { ticket, created_at } => (ticket.expose().to_owned(), text(created_at)),
        Notice::Event(info_type) => panic!("{info_type:?}"),
    }
}

fn event_of(genuine: Genuine) -> String {
    match genuine.notice {
        Notice::Event(info_type) => info_type.as_str().to_owned(),
        Notice::Ticket { .. } => panic!("a ticket"),
    }
}

#[test]
fn the_official_vectors_are_opened_and_sealed_byte_for_byte() {
    for vector in [V1, V1R, V2, V2R, V3, V6] {
        let sealed = cipher::decode(vector.encrypt).unwrap();
        let opened = cipher::open(&key(vector.key), &sealed).unwrap();
        assert_eq!(opened.message(), vector.message.as_bytes());
        assert_eq!(opened.appid(), vector.appid.as_bytes());
        assert_eq!(
            sender_of(&vector).encrypt(vector.message.as_bytes()),
            vector.encrypt
        );
    }
}

#[test]
fn the_official_vectors_are_signed_as_they_say() {
    for vector in [V1, V1R, V2, V2R, V6] {
        let token = CallbackToken::parse(vector.token).unwrap();
        let parts = [vector.timestamp, vector.nonce, vector.encrypt];
        assert!(signature::holds(&token, &parts, vector.msg_signature));
        assert_eq!(sender_of(&vector).signature(vector.encrypt), vector.msg_signature);
    }
}

#[test]
fn a_pushed_ticket_is_read() {
    let query = format!(
        "signature=x&timestamp={}&nonce={}&encrypt_type=aes&msg_signature={}",
        V6.timestamp, V6.nonce, V6.msg_signature
    );
    for (left, right) in [("<![CDATA[", "]]>"), ("", ""), ("\n  ", "\n")] {
        let body = format!(
            "<xml><AppId>{left}{}{right}</AppId><Encrypt>{left}{}{right}</Encrypt></xml>",
            V6.appid, V6.encrypt
        );
        let genuine = callback_of(&V6).read(&query, body.as_bytes()).unwrap();
        assert!(!genuine.by_previous_key);
        let expected = (
            "ticket@@@test-0001".to_owned(),
            "2014-10-13T09:30:05.000Z".to_owned(),
        );
        assert_eq!(ticket_of(genuine), expected);
    }
}

#[test]
fn a_message_of_the_other_url_is_not_taken_for_an_event() {
    let push = Push {
        query: sender_of(&V1).query(V1.encrypt),
        body: format!(
            "<xml><ToUserName>x</ToUserName><Encrypt>{}</Encrypt></xml>",
            V1.encrypt
        ),
    };
    let refusal = callback_of(&V1)
        .read(&push.query, push.body.as_bytes())
        .unwrap_err();
    assert_eq!(refusal, Refusal::NoInfoType);
}

#[test]
fn every_genuine_event_is_told_by_its_type_made_fit_for_a_log() {
    for (info_type, told) in [
        ("authorized", "authorized"),
        ("notify_third_fasteregister", "notify_third_fasteregister"),
        ("something.new-1", "something.new-1"),
        ("<![CDATA[a b\n<>\u{e9}]]>", "a?b????"),
        (&"x".repeat(1000), &"x".repeat(64)),
    ] {
        assert_eq!(event_of(read(&sender().event(info_type)).unwrap()), told);
    }
}

#[test]
fn while_the_key_is_changed_both_open() {
    let token = CallbackToken::parse("callback-token").unwrap();
    let callback = Callback::new(OURS.to_owned(), token, key(OTHER_KEY), Some(key(KEY)));
    let before = sender().event("authorized");
    assert!(
        callback
            .read(&before.query, before.body.as_bytes())
            .unwrap()
            .by_previous_key
    );
    let now = Sender {
        key: key(OTHER_KEY).expose().to_vec(),
        ..sender()
    };
    let after = now.event("authorized");
    assert!(
        !callback
            .read(&after.query, after.body.as_bytes())
            .unwrap()
            .by_previous_key
    );
    let third = Sender {
        key: vec![9; 32],
        ..sender()
    };
    let strange = third.event("authorized");
    let refusal = callback
        .read(&strange.query, strange.body.as_bytes())
        .unwrap_err();
    assert_eq!(refusal, Refusal::Sealed);
}

#[test]
fn what_another_token_signed_is_refused_before_anything_else_is_looked_at() {
    let other = Sender {
        token: "another-token".to_owned(),
        sealed_appid: "wx2".to_owned(),
        key: vec![9; 32],
        ..sender()
    };
    refused(&other.event("authorized"), Refusal::Signature);
    refused(&other.envelope("no base64"), Refusal::Signature);
}

#[test]
fn what_is_for_another_platform_is_refused_wherever_that_stands() {
    let sealed = Sender {
        sealed_appid: "wx2".to_owned(),
        ..sender()
    };
    refused(&sealed.event("authorized"), Refusal::OtherPlatform);
    for appid in ["", "wx134c8103faa5a59", "wx134c8103faa5a59ee"] {
        let sealed = Sender {
            sealed_appid: appid.to_owned(),
            ..sender()
        };
        refused(&sealed.event("authorized"), Refusal::OtherPlatform);
    }
    let other = Sender::new("wx2", "callback-token", &[7; 32]);
    let around = Sender {
        sealed_appid: OURS.to_owned(),
        ..other.clone()
    };
    refused(
        &around.push(&sender().ticket_message("t", 1)),
        Refusal::OtherPlatform,
    );
    refused(
        &sender().push(&other.ticket_message("t", 1)),
        Refusal::OtherPlatform,
    );
    // What an authorised account's own appid says is no matter.
    read(&sender().push("<xml><AppId>wx2</AppId><InfoType>authorized</InfoType></xml>")).unwrap();
}

#[test]
fn a_push_that_is_not_encrypted_is_refused() {
    let plain = Push {
        query: sender().query(""),
        body: sender().ticket_message("ticket@@@1", 1),
    };
    refused(&plain, Refusal::Plain);
    let mut raw = sender().event("authorized");
    raw.query = raw.query.replace("encrypt_type=aes", "encrypt_type=raw");
    refused(&raw, Refusal::Plain);
}

#[test]
fn a_document_type_is_refused_outside_and_inside() {
    let bomb = "<!DOCTYPE xml [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>";
    let mut outside = sender().event("authorized");
    outside.body.insert_str(0, bomb);
    refused(&outside, Refusal::DocType);
    let inside = format!("{bomb}<xml><InfoType>&b;</InfoType></xml>");
    refused(&sender().push(&inside), Refusal::DocType);
    refused(
        &sender().push("<xml><InfoType>&amp;b</InfoType></xml>"),
        Refusal::Malformed,
    );
}

#[test]
fn a_query_that_is_no_pushs_is_refused() {
    let push = sender().event("authorized");
    let with = |query: String| Push {
        query,
        body: push.body.clone(),
    };
    for name in ["timestamp", "nonce", "msg_signature"] {
        refused(
            &with(push.query.replace(&format!("{name}="), "other=")),
            Refusal::Query,
        );
        refused(&with(format!("{}&{name}=1", push.query)), Refusal::Query);
    }
    refused(&with(String::new()), Refusal::Query);
    refused(
        &with("timestamp=&nonce=&msg_signature=".to_owned()),
        Refusal::Query,
    );
    refused(
        &with(format!("{}{}", "timestamp=1", "1".repeat(100))),
        Refusal::Query,
    );
    // encrypt_type may be left out; the rest of the query is nobody's business; what is escaped is read.
    let bare = push
        .query
        .replace("&encrypt_type=aes", "")
        .replace("signature=0&", "x=%41&");
    read(&with(bare.replace("nonce=1792462871", "nonce=%31792462871"))).unwrap();
}

#[test]
fn what_is_signed_but_not_sealed_as_weixin_does_is_refused() {
    let sender = sender();
    let sealed = |bytes: Vec<u8>| sender.envelope(&sender.encrypt_bytes(bytes));
    let mut good = b"0123456789abcdef\0\0\0\x05<xml>".to_vec();
    good.extend(OURS.bytes());
    for encrypt in ["", "=", "AAAA", "no base64 at all", &"A".repeat(43)] {
        refused(&sender.envelope(encrypt), Refusal::Sealed);
    }
    let padded = |bytes: &[u8], last: u8, length: usize| {
        let mut bytes = bytes.to_vec();
        bytes.resize(length, last);
        sealed(bytes)
    };
    // 43 bytes of content, so a pad of 21. A shorter pad leaves its rest to the appid.
    assert_eq!(good.len(), 43);
    refused(&padded(&good, 21, 64), Refusal::Malformed);
    for (last, refusal) in [
        (0, Refusal::Sealed),
        (22, Refusal::Sealed),
        (33, Refusal::Sealed),
        (255, Refusal::Sealed),
        (20, Refusal::OtherPlatform),
        (5, Refusal::OtherPlatform),
    ] {
        refused(&padded(&good, last, 64), refusal);
    }
    // A length that is longer than what is there, and no room for a length.
    let mut long = good.clone();
    long[16..20].copy_from_slice(&u32::MAX.to_be_bytes());
    refused(&padded(&long, 21, 64), Refusal::Sealed);
    refused(&padded(b"0123456789abcdef", 16, 32), Refusal::Sealed);
    refused(&padded(b"", 16, 16), Refusal::Sealed);
    refused(&padded(b"", 32, 32), Refusal::Sealed);
}

#[test]
fn a_ticket_message_must_hold_a_ticket_and_its_time() {
    let sender = sender();
    for ticket in ["", "two words", "\u{e9}", &"x".repeat(513)] {
        refused(&sender.ticket(ticket, 1), Refusal::NoTicket);
    }
    let message = sender.ticket_message("t", 1);
    for time in [
        "",
        "soon",
        "-1",
        "+1",
        "1.5",
        "253402300800",
        "99999999999999999999999",
    ] {
        refused(
            &sender.push(&message.replace(">1<", &format!(">{time}<"))),
            Refusal::NoCreateTime,
        );
    }
    let (_, last) = ticket_of(read(&sender.ticket("t", 253_402_300_799)).unwrap());
    assert_eq!(last, "9999-12-31T23:59:59.000Z");
    refused(
        &sender.push(&message.replace("ComponentVerifyTicket", "Other")),
        Refusal::NoTicket,
    );
    refused(
        &sender.push(&message.replace("CreateTime", "Other")),
        Refusal::NoCreateTime,
    );
    refused(
        &sender.push(&message.replace("InfoType", "Other")),
        Refusal::NoInfoType,
    );
    refused(
        &sender.push("{\"InfoType\":\"component_verify_ticket\"}"),
        Refusal::Malformed,
    );
}

#[test]
fn one_changed_bit_of_a_genuine_push_is_refused() {
    let push = sender().ticket("ticket@@@genuine", 1_413_192_605);
    // All of the body; of the query all but what is not needed: `signature`, and the name of `encrypt_type`.
    let unneeded = push.query.find("encrypt_type").unwrap()..push.query.find("aes&").unwrap();
    let needed =
        (push.query.find("timestamp").unwrap()..push.query.len()).filter(|at| !unneeded.contains(at));
    for (at, bit) in needed.flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut query = push.query.clone().into_bytes();
        query[at] ^= 1 << bit;
        // A head that is no ASCII is refused before.
        let Ok(query) = String::from_utf8(query) else {
            continue;
        };
        let read = callback().read(&query, push.body.as_bytes());
        assert!(read.is_err(), "{query}");
    }
    for bit in 0..push.body.len() * 8 {
        let mut body = push.body.clone().into_bytes();
        body[bit / 8] ^= 1 << (bit % 8);
        let read = callback().read(&push.query, &body);
        assert!(read.is_err(), "bit {bit}: {}", String::from_utf8_lossy(&body));
    }
}
