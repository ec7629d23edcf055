//! The calls that the platform knows, by path.

/// An endpoint of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/cgi-bin/component/api_component_token`: a ticket for a token.
    Exchange,
    /// `/cgi-bin/component/api_start_push_ticket`.
    StartPushTicket,
    /// `/componenttcb/createstaticstore`.
    Create,
    /// `/componenttcb/describestaticstore`.
    Describe,
    /// Any other path, which Weixin answers with a page of HTML; no fault touches it.
    Unknown,
}

impl Endpoint {
    /// How many there are.
    pub(super) const COUNT: usize = 5;

    /// The endpoint of a path.
    pub(super) fn of(path: &str) -> Self {
        match path {
            "/cgi-bin/component/api_component_token" => Self::Exchange,
            "/cgi-bin/component/api_start_push_ticket" => Self::StartPushTicket,
            "/componenttcb/createstaticstore" => Self::Create,
            "/componenttcb/describestaticstore" => Self::Describe,
            _ => Self::Unknown,
        }
    }

    /// Its place in a table with a row for each endpoint.
    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// Whether the call is about an env and needs a token.
    pub(super) fn needs_token(self) -> bool {
        matches!(self, Self::Create | Self::Describe)
    }
}
