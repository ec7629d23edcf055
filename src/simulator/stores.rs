//! The static stores: what each env's record shows at a moment, and how often it was created.
//!
//! A store is a timeline written when it is created and read at the moment that is asked for, so that openings need no
//! tasks and follow a manual clock.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::{Timestamp, after};

use super::Endpoint;

/// What a create leads to, and how long that takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    lasts: Duration,
    ends: &'static str,
}

impl Opening {
    /// `init` for a third of the time, then `process`, then `online`.
    #[must_use]
    pub const fn online_after(lasts: Duration) -> Self {
        Self {
            lasts,
            ends: "online",
        }
    }

    /// `init` for a third of the time, then `process`, then `create_fail`.
    #[must_use]
    pub const fn fails_after(lasts: Duration) -> Self {
        Self {
            lasts,
            ends: "create_fail",
        }
    }

    fn timeline(self, now: Timestamp) -> Vec<Turn> {
        [
            (Duration::ZERO, "init"),
            (self.lasts / 3, "process"),
            (self.lasts, self.ends),
        ]
        .map(|(wait, status)| Turn {
            from: after(now, wait),
            status: Some(status.to_owned()),
        })
        .into()
    }
}

/// The statuses of a store (`None` is a null), each with how long after the beginning it comes.
pub(super) type Course<'a> = [(Duration, Option<&'a str>)];

/// From when on a record has a status; `None` is a null.
#[derive(Clone, Debug)]
struct Turn {
    from: Timestamp,
    status: Option<String>,
}

/// What the platform knows of one env.
#[derive(Debug, Default)]
struct Environment {
    timeline: Vec<Turn>,
    opening: Option<Opening>,
    calls: [u64; Endpoint::COUNT],
    effective_creates: u64,
}

/// What a record shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// `status`, which may be null.
    pub(super) status: Option<&'a str>,
}

impl Environment {
    fn record(&self, now: Timestamp) -> Option<Record<'_>> {
        let turn = self.timeline.iter().rev().find(|turn| turn.from <= now)?;
        Some(Record {
            status: turn.status.as_deref(),
        })
    }

    /// Whether there is a record that keeps Tencent's own tools from creating.
    fn is_live(&self, now: Timestamp) -> bool {
        self.record(now)
            .is_some_and(|record| record.status != Some("offline"))
    }
}

/// All envs.
#[derive(Debug, Default)]
pub(super) struct Stores {
    environments: HashMap<String, Environment>,
    needless_creates: u64,
}

impl Stores {
    /// Counts a call about an env and returns how many of its kind came before it.
    pub(super) fn count(&mut self, endpoint: Endpoint, env: &str) -> u64 {
        let calls = &mut self.environment(env).calls[endpoint.index()];
        *calls += 1;
        *calls - 1
    }

    /// Whether anything was ever asked or told about an env.
    pub(super) fn knows(&self, env: &str) -> bool {
        self.environments.contains_key(env)
    }

    /// How many calls of a kind were about an env.
    pub(super) fn calls(&self, endpoint: Endpoint, env: &str) -> u64 {
        self.environments
            .get(env)
            .map_or(0, |environment| environment.calls[endpoint.index()])
    }

    /// Opens a store; `false` when it was there already, which changes nothing but the counts.
    pub(super) fn create(&mut self, env: &str, opening: Opening, now: Timestamp) -> bool {
        let environment = self.environment(env);
        environment.effective_creates += 1;
        if environment.is_live(now) {
            self.needless_creates += 1;
            return false;
        }
        environment.timeline = environment.opening.take().unwrap_or(opening).timeline(now);
        true
    }

    /// What describe finds; `None` is no record.
    pub(super) fn describe(&self, env: &str, now: Timestamp) -> Option<Record<'_>> {
        self.environments.get(env)?.record(now)
    }

    /// Sets how the next create of an env goes on.
    pub(super) fn set_opening(&mut self, env: &str, opening: Opening) {
        self.environment(env).opening = Some(opening);
    }

    /// Writes a store's course from now on; an empty one removes it.
    pub(super) fn set_course(&mut self, env: &str, course: &Course<'_>, now: Timestamp) {
        self.environment(env).timeline = course
            .iter()
            .map(|&(wait, status)| Turn {
                from: after(now, wait),
                status: status.map(str::to_owned),
            })
            .collect();
    }

    /// How many creates of an env were accepted.
    pub(super) fn effective_creates(&self, env: &str) -> u64 {
        self.environments
            .get(env)
            .map_or(0, |environment| environment.effective_creates)
    }

    /// How many creates found a store there, over all envs.
    pub(super) fn needless_creates(&self) -> u64 {
        self.needless_creates
    }

    fn environment(&mut self, env: &str) -> &mut Environment {
        if !self.environments.contains_key(env) {
            self.environments.insert(env.to_owned(), Environment::default());
        }
        self.environments.get_mut(env).expect("inserted above")
    }
}
