//! What a row of `queue` is once it is believed.
//!
//! The columns that the daemon keeps for itself are [`Progress`]: what a request has been through so far, and all
//! that a decision about it needs besides the answer at hand.

use std::fmt;
use std::time::Duration;

use crate::clock::{Timestamp, after, between};

/// An environment ID: 1 to 128 of `A-Z a-z 0-9 - _` (CONTRACT 1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Env(String);

/// Why a text is no environment ID.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no environment ID: it must be 1 to 128 characters of A-Z a-z 0-9 - _")]
pub struct NotAnEnv(String);

impl Env {
    /// The longest environment ID, in characters.
    pub const LONGEST: usize = 128;

    /// Takes a text for an environment ID.
    ///
    /// # Errors
    /// When it is empty, longer than [`Env::LONGEST`], or holds any other character.
    pub fn parse(text: &str) -> Result<Self, NotAnEnv> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=Self::LONGEST).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnEnv(text.chars().take(Self::LONGEST + 1).collect()))
        }
    }

    /// The ID itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The two calls about an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// `componenttcb/createstaticstore`.
    Create,
    /// `componenttcb/describestaticstore`.
    Describe,
}

impl Call {
    /// Both, in the order in which a request meets them.
    pub const ALL: [Self; 2] = [Self::Create, Self::Describe];

    /// The word for it in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Describe => "describe",
        }
    }
}

/// What a request has been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Failures in a row of the kind that passes.
    pub failures: u32,
    /// Answers in a row whose code nobody knows.
    pub unknowns: u32,
    /// When the present row of failures began.
    pub failing_since: Option<Timestamp>,
    /// When Weixin was first known to have accepted it.
    pub accepted_at: Option<Timestamp>,
    /// How often it was looked at since it was accepted.
    pub looks: u32,
}

impl Progress {
    /// Returns the same progress without a time in which the request could not be tried: `idle` counts neither as failing
    /// nor as opening (CONTRACT 2, "Giving up").
    #[must_use]
    pub fn without(self, idle: Duration) -> Self {
        Self {
            failing_since: self.failing_since.map(|since| after(since, idle)),
            accepted_at: self.accepted_at.map(|at| after(at, idle)),
            ..self
        }
    }
}

/// A claimed row: somebody's wish for one website, held by this claim until it is settled.
#[derive(Clone, Debug)]
pub struct Request {
    /// `queue.id`, never used twice.
    pub id: i64,
    /// The claim that holds the row; a settlement under another changes nothing.
    pub claim: i64,
    /// The environment.
    pub env: Env,
    /// The call to make.
    pub call: Call,
    /// What it has been through.
    pub progress: Progress,
    /// The moment from which on the last outcome allowed this call; `None` before the first outcome.
    pub due_at: Option<Timestamp>,
    /// The moment of the claim.
    pub claimed_at: Timestamp,
}

impl Request {
    /// The time in which the call was due and not made: the daemon was paused, blocked, stopped, suspended, busy with other
    /// requests or without a token, or its clock jumped forward.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.due_at
            .map_or(Duration::ZERO, |due_at| between(due_at, self.claimed_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_id_has_1_to_128_of_the_allowed_characters() {
        for good in ["a", "test-env1", "A_Z-09", &"x".repeat(128)] {
            assert_eq!(Env::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", " ", "a b", "é", "a\0", "a;DROP", &"x".repeat(129)] {
            assert!(
                Env::parse(bad).unwrap_err().to_string().contains("1 to 128"),
                "{bad:?}"
            );
        }
    }
}
