//! The whole path from bytes to a notice, with whatever may come: nothing panics, and nothing but what Weixin sealed is
//! believed.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Text that looks like what the reader knows, more or less well formed.
fn xml_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<xml>"),
        Just("</xml>"),
        Just("<AppId>"),
        Just("</AppId>"),
        Just("<Encrypt>"),
        Just("</Encrypt>"),
        Just("<InfoType>component_verify_ticket</InfoType>"),
        Just("<InfoType>"),
        Just("</InfoType>"),
        Just("<CreateTime>1</CreateTime>"),
        Just("<ComponentVerifyTicket>t</ComponentVerifyTicket>"),
        Just("<![CDATA["),
        Just("]]>"),
        Just("<!DOCTYPE xml ["),
        Just("<!ENTITY a \"b\">"),
        Just("<!--"),
        Just("-->"),
        Just("<?xml version=\"1.0\"?>"),
        Just("&a;"),
        Just("&#x41;"),
        Just("\n"),
        Just("text"),
        Just("<a/>"),
        Just("<"),
        Just("\u{0}"),
        Just(OURS),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A change of a text at a place that is a share of its length.
#[derive(Clone, Debug)]
enum Edit {
    Replace(f64, u8),
    Insert(f64, u8),
    Delete(f64, usize),
    Repeat(f64, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = || 0.0..1.0;
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        (place(), any::<u8>()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        (place(), 1..40_usize).prop_map(|(at, length)| Edit::Delete(at, length)),
        (place(), 1..40_usize).prop_map(|(at, length)| Edit::Repeat(at, length)),
    ]
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let (Self::Replace(share, _)
        | Self::Insert(share, _)
        | Self::Delete(share, _)
        | Self::Repeat(share, _)) = self;
        if bytes.is_empty() {
            return;
        }
        let at = (share * bytes.len() as f64) as usize;
        let end = |length: usize| (at + length).min(bytes.len());
        match *self {
            Self::Replace(_, byte) => bytes[at] = byte,
            Self::Insert(_, byte) => bytes.insert(at, byte),
            Self::Delete(_, length) => drop(bytes.drain(at..end(length))),
            Self::Repeat(_, length) => {
                let again = bytes[at..end(length)].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn nothing_that_is_not_signed_is_believed(query in ".*", body in vec(any::<u8>(), 0..2000)) {
        prop_assert!(callback().read(&query, &body).is_err());
    }

    #[test]
    fn no_unsigned_document_is_believed(body in xml_like()) {
        let query = sender().query("t");
        prop_assert!(callback().read(&query, body.as_bytes()).is_err());
    }

    #[test]
    fn whatever_is_signed_is_read_or_refused(encrypt in "[A-Za-z0-9+/=\\PC]{0,200}") {
        prop_assert!(read(&sender().envelope(&encrypt)).is_err());
    }

    #[test]
    fn whatever_is_encrypted_is_read_or_refused(blocks in vec(any::<[u8; 16]>(), 0..40)) {
        let encrypt = sender().encrypt_bytes(blocks.concat());
        prop_assert!(read(&sender().envelope(&encrypt)).is_err());
    }

    #[test]
    fn whatever_is_sealed_is_read_or_refused(message in xml_like()) {
        let wrapped = format!("<xml>{message}</xml>");
        for message in [message, wrapped] {
            let holds_a_type = message.contains("<InfoType>");
            if let Ok(genuine) = read(&sender().push(&message)) {
                prop_assert!(holds_a_type, "{:?}", genuine);
            }
        }
    }

    #[test]
    fn a_ticket_is_read_as_it_was_sealed(ticket in "[!-~&&[^<&]]{1,512}", seconds in 0..253_402_300_800_i64) {
        // In CDATA only its end has a meaning.
        prop_assume!(!ticket.contains("]]>"));
        let (read, at) = ticket_of(read(&sender().ticket(&ticket, seconds)).unwrap());
        prop_assert_eq!(read, ticket);
        prop_assert_eq!(crate::clock::parse(&at).unwrap().timestamp(), seconds);
    }

    #[test]
    fn a_changed_push_is_refused_or_says_the_same(
        in_query in vec(edit(), 0..3),
        in_body in vec(edit(), 0..4),
    ) {
        let push = sender().ticket("ticket@@@genuine", 1_413_192_605);
        let (mut query, mut body) = (push.query.clone().into_bytes(), push.body.clone().into_bytes());
        in_query.iter().for_each(|edit| edit.apply(&mut query));
        in_body.iter().for_each(|edit| edit.apply(&mut body));
        let Ok(query) = String::from_utf8(query) else {
            return Ok(());
        };
        if let Ok(genuine) = callback().read(&query, &body) {
            prop_assert_eq!(ticket_of(genuine), ticket_of(read(&push).unwrap()));
        }
    }
}
