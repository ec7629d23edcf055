//! What we do about an answer: pure decisions, no time read, nothing called.
//!
//! `weixin` gives an answer its [`Meaning`]; [`Policy::decide`] makes of it, and of what the request has been
//! through, an [`Outcome`]; `store` writes that down. Retry or give up is decided here and nowhere else.

mod backoff;
mod chance;
mod decide;

pub use backoff::Backoff;
pub use chance::chance;
pub use decide::{CONFIRM_REMEDY, Confirm, FEWEST_TRIES, LINE_REST, MOST_UNKNOWNS, Policy, TOKEN_REMEDY};

use std::time::Duration;

use crate::clock::{Timestamp, between};
use crate::request::{Call, Progress};

/// Where a website is, as far as describestaticstore said: every field may be null (weixin-api.md 1.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// The domain under which it is served.
    pub domain: Option<String>,
    /// The bucket behind it.
    pub bucket: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
}

/// The states of a static store (weixin-api.md 1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// `init` or `process`: on its way.
    Opening,
    /// `online`.
    Online,
    /// `destroying`: will be `offline`.
    Destroying,
    /// `offline`: closed, may be opened again.
    Offline,
    /// `create_fail` or `destroy_fail`, as it came: needs an operator.
    Broken(String),
    /// Anything else, also none at all: kept as it came.
    Unknown(String),
}

/// The platform's record of an environment's static store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRecord {
    /// Its state.
    pub state: StoreState,
    /// Where it is.
    pub site: Site,
}

/// Whether a failed call may have done its work all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Refused, or never sent.
    None,
    /// Nobody knows: look before it is made again.
    Possible,
}

/// What an answer, or its absence, says of the line that all requests share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// The line works.
    Fine,
    /// Weixin is busy or out of reach: slow down.
    Busy,
}

/// What an answer, or its absence, means (CONTRACT 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Create was accepted.
    Accepted,
    /// Describe answered: there is such a store, or none.
    Store(Option<StoreRecord>),
    /// It passes.
    Passes(Effect, Load),
    /// The token is no longer good.
    Token,
    /// This environment, and only it, needs somebody's help.
    Env(&'static str),
    /// Every request would fail the same way until somebody helps.
    Line(&'static str),
    /// A code that stands for every request, and only this environment meets it while others pass.
    Alone(&'static str),
    /// A code that nobody knows.
    Unknown,
}

impl Meaning {
    /// Returns whether Weixin took the token, for sure: what passes or is not known may have failed before the token was
    /// looked at.
    #[must_use]
    pub fn takes_token(&self) -> bool {
        matches!(self, Self::Accepted | Self::Store(_) | Self::Env(_))
    }
}

/// The word for a call's outcome in `attempt.outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Weixin accepted the create, or was found to have.
    Accepted,
    /// The website is open.
    Online,
    /// Accepted, and not online yet; or being destroyed, so that it can't be created yet.
    NotYet,
    /// There is no store.
    Absent,
    /// It will be tried again.
    Retry,
    /// The token was no longer good.
    Token,
    /// The whole line is at fault.
    Line,
    /// It will not open without help.
    Failed,
}

impl Word {
    /// The word itself.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Online => "online",
            Self::NotYet => "not_yet",
            Self::Absent => "absent",
            Self::Retry => "retry",
            Self::Token => "token",
            Self::Line => "line",
            Self::Failed => "failed",
        }
    }
}

/// The states of a request that is not finished (CONTRACT 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Not tried yet.
    Pending,
    /// Accepted, not online yet.
    Opening,
    /// The last try failed in a way that passes.
    Retrying,
}

/// The states of a request that is finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Final {
    /// The website is open.
    Online,
    /// It will not open without help.
    Failed,
    /// Accepted; nobody looks whether it comes online (`confirm.enabled = false`).
    Accepted,
}

/// What happens to a request next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it leaves the queue.
    Finish(Final),
    /// Another call.
    Again {
        /// Its state until then.
        state: Open,
        /// The call.
        call: Call,
        /// When; `None`: as soon as may be.
        at: Option<Timestamp>,
        /// What it has been through, this answer included.
        progress: Progress,
    },
}

/// What we do about an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The word for it.
    pub word: Word,
    /// What happens next.
    pub next: Next,
    /// What somebody should do about it.
    pub remedy: Option<String>,
    /// Where the website is, where this answer said so.
    pub site: Option<Site>,
    /// Whether `status` keeps the errcode and errmsg of an earlier answer: this one says nothing of why.
    pub keep_answer: bool,
}

impl Outcome {
    /// Puts the next call, if there is one, off until `until` at least. The time that this adds does not count as failing.
    #[must_use]
    pub fn put_off(mut self, until: Timestamp) -> Self {
        if let Next::Again { at, progress, .. } = &mut self.next {
            *progress = progress.without(at.map_or(Duration::ZERO, |at| between(at, until)));
            *at = (*at).max(Some(until));
        }
        self
    }
}
