//! What Weixin tells a platform of its own accord, before it is sealed (weixin-api.md 3.1).

use crate::clock::Timestamp;

/// The InfoType of a ticket.
const TICKET: &str = "component_verify_ticket";

/// An event: a ticket, or that somebody authorised the platform, and so on.
#[derive(Clone, Debug)]
pub struct Event {
    info_type: String,
    created_at: Timestamp,
    ticket: Option<String>,
    plain: bool,
}

impl Event {
    /// A `component_verify_ticket`.
    #[must_use]
    pub fn ticket(ticket: &str, created_at: Timestamp) -> Self {
        Self {
            ticket: Some(ticket.to_owned()),
            ..Self::other(TICKET, created_at)
        }
    }

    /// An event of another InfoType.
    #[must_use]
    pub fn other(info_type: &str, created_at: Timestamp) -> Self {
        Self {
            info_type: info_type.to_owned(),
            created_at,
            ticket: None,
            plain: false,
        }
    }

    /// The same with its values as they are, not in CDATA: Weixin's documents show both.
    #[must_use]
    pub fn plain(self) -> Self {
        Self { plain: true, ..self }
    }

    /// Its InfoType.
    #[must_use]
    pub fn info_type(&self) -> &str {
        &self.info_type
    }

    /// The message that is sealed.
    #[must_use]
    pub fn message(&self, appid: &str) -> String {
        let value = |text: &str| match self.plain {
            true => text.to_owned(),
            false => format!("<![CDATA[{text}]]>"),
        };
        let ticket = self.ticket.as_deref().map_or_else(String::new, |ticket| {
            format!("<ComponentVerifyTicket>{}</ComponentVerifyTicket>", value(ticket))
        });
        format!(
            "<xml><AppId>{}</AppId><CreateTime>{}</CreateTime><InfoType>{}</InfoType>{ticket}</xml>",
            value(appid),
            self.created_at.timestamp(),
            value(&self.info_type),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_told_in_the_two_forms_of_the_documents() {
        let at = crate::clock::parse("2014-10-13T09:30:05.000Z").unwrap();
        let event = Event::ticket("ticket@@@test-0001", at);
        // The message of vector V6.
        assert_eq!(
            event.message("wx134c8103faa5a59e"),
            "<xml><AppId><![CDATA[wx134c8103faa5a59e]]></AppId><CreateTime>1413192605</CreateTime>\
             <InfoType><![CDATA[component_verify_ticket]]></InfoType>\
             <ComponentVerifyTicket><![CDATA[ticket@@@test-0001]]></ComponentVerifyTicket></xml>"
        );
        assert_eq!(
            event.plain().message("wx1"),
            "<xml><AppId>wx1</AppId><CreateTime>1413192605</CreateTime><InfoType>component_verify_ticket</InfoType>\
             <ComponentVerifyTicket>ticket@@@test-0001</ComponentVerifyTicket></xml>"
        );
        let other = Event::other("unauthorized", at).message("wx1");
        assert!(!other.contains("Ticket>"), "{other}");
    }
}
