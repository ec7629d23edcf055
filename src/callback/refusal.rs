//! Why a push is refused.

use std::fmt;

use super::xml::Unreadable;

/// Why a push is refused. It holds nothing of what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The query lacks what a push has.
    Query,
    /// The body, or the message in it, is no XML of the form that Weixin sends.
    Malformed,
    /// There is a document type in it.
    DocType,
    /// It is not encrypted.
    Plain,
    /// The signature is not made with our token.
    Signature,
    /// None of our keys opens it.
    Sealed,
    /// It is for another platform.
    OtherPlatform,
    /// It does not say what it is about.
    NoInfoType,
    /// It should hold a ticket, and holds none.
    NoTicket,
    /// It should say when it was made, and does not.
    NoCreateTime,
}

impl Refusal {
    /// All of them, for documents and tests.
    pub const ALL: [Self; 10] = [
        Self::Query,
        Self::Malformed,
        Self::DocType,
        Self::Plain,
        Self::Signature,
        Self::Sealed,
        Self::OtherPlatform,
        Self::NoInfoType,
        Self::NoTicket,
        Self::NoCreateTime,
    ];

    /// The reason in words.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Query => "the query has not the timestamp, nonce and msg_signature of a push",
            Self::Malformed => "the XML is malformed, or not of the form that Weixin sends",
            Self::DocType => "the XML has a document type",
            Self::Plain => "the push is not encrypted",
            Self::Signature => "the signature is not made with the callback token",
            Self::Sealed => "the message is not encrypted with an EncodingAESKey that is known here",
            Self::OtherPlatform => "the message is for another appid",
            Self::NoInfoType => "the message has no InfoType",
            Self::NoTicket => "the message has no ticket that can be one",
            Self::NoCreateTime => "the message has no CreateTime that can be one",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Refusal {}

impl From<Unreadable> for Refusal {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Malformed => Self::Malformed,
            Unreadable::DocType => Self::DocType,
        }
    }
}
