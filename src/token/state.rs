//! The state of the token: current, rejected or not, and what keeps us from having a new one.

use std::fmt;
use std::sync::Arc;

use super::refresh_limiter::RefreshLimiter;
use crate::clock::{Timestamp, text};
use crate::credential::Token;

/// What keeps us from having a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which kind.
    pub kind: TroubleKind,
    /// What happened, in words.
    pub reason: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Weixin's code, where one came.
    pub errcode: Option<i64>,
}

/// The kinds of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// It passes by itself.
    Passing,
    /// A ticket is needed.
    Ticket,
    /// Somebody must help.
    Blocked,
}

/// Somebody whose call Weixin refused with the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejector {
    /// A call of ours about this environment.
    Environment(String),
    /// A client of `share.socket`, by its user and process.
    Client(String),
}

impl fmt::Display for Rejector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(env) => write!(f, "environment {env}"),
            Self::Client(peer) => write!(f, "client {peer}"),
        }
    }
}

/// The rejection of the current token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The first who rejected it.
    pub by: Rejector,
    /// The time of that rejection.
    pub at: Timestamp,
    /// The earliest time for a new one.
    pub refresh_at: Timestamp,
    /// The refreshes in a row before this one that were forced, too.
    pub forced: u32,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            by,
            at,
            refresh_at,
            forced,
        } = self;
        write!(f, "the token was rejected by {by} at {}", text(*at))?;
        if *forced > 0 {
            write!(f, ", as {forced} before it within ten minutes of their issue")?;
        }
        write!(f, "; the next one is fetched at {}", text(*refresh_at))
    }
}

/// The effect of a rejection.
#[derive(Clone, Debug)]
pub enum Rejected {
    /// Nothing: this one is the current token, and another than the rejected one.
    Use(Arc<Token>),
    /// A new token is being fetched: [`super::Tokens::replacement`] waits for it.
    Refreshing,
    /// Nothing before this: refreshes are spaced out, and the token stays in use.
    Cooldown(Timestamp),
}

/// How the token is.
#[derive(Clone, Debug, Default)]
pub struct TokenState {
    /// The token to call with; also one that was rejected, until there is another.
    pub token: Option<Arc<Token>>,
    /// What keeps us from having a new one.
    pub trouble: Option<Trouble>,
    /// Set while the token is rejected, no call has passed with it since, and there is no other.
    pub rejection: Option<Rejection>,
    /// Weixin took the token in a call.
    pub(super) passed: bool,
    /// The last token that was replaced since somebody rejected it.
    pub(super) replaced: Option<Arc<Token>>,
    pub(super) limiter: RefreshLimiter,
}

impl TokenState {
    pub(super) fn is_current(&self, token: &Token) -> bool {
        self.token.as_deref().is_some_and(|current| current.is(token))
    }
}
