//! Refused requests in the log: each one while they are few, a number when they are a flood.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;

use crate::clock::Stopwatch;

/// The most lines in a [`WINDOW`].
pub(super) const LINES: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);

/// Tells of refused requests.
pub(super) struct Refusals {
    server: &'static str,
    window: Mutex<Window>,
}

struct Window {
    begun: Stopwatch,
    told: u32,
    untold: u64,
}

/// What to do about one more.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Tell of it, and of as many before it that were not told.
    Tell(u64),
    /// Tell of it, and that there is silence from now on.
    TellLast,
    Count,
}

impl Refusals {
    pub(super) fn new(server: &'static str) -> Self {
        let window = Window {
            begun: Stopwatch::start(),
            told: 0,
            untold: 0,
        };
        Self {
            server,
            window: Mutex::new(window),
        }
    }

    /// Logs who was refused and why, never what was sent.
    pub(super) fn tell(&self, peer: &impl Display, status: StatusCode, reason: &str) {
        let (server, status) = (self.server, status.as_u16());
        let verdict = self.window.lock().unwrap_or_else(PoisonError::into_inner).next();
        match verdict {
            Verdict::Tell(0) => tracing::warn!(server, %peer, status, "refused a request: {reason}"),
            Verdict::Tell(untold) => {
                tracing::warn!(server, %peer, status, untold, "refused a request: {reason}");
            }
            Verdict::TellLast => tracing::warn!(
                server, %peer, status,
                "refused a request: {reason} (the next ones are only counted, for up to a minute)"
            ),
            Verdict::Count => {}
        }
    }
}

impl Window {
    fn next(&mut self) -> Verdict {
        if self.begun.elapsed() >= WINDOW {
            self.begun = Stopwatch::start();
            self.told = 0;
        }
        self.told += 1;
        match self.told {
            told if told < LINES => Verdict::Tell(std::mem::take(&mut self.untold)),
            LINES => Verdict::TellLast,
            _ => {
                self.told = LINES;
                self.untold += 1;
                Verdict::Count
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_in_a_few_lines_and_counted() {
        let refusals = Refusals::new("test");
        let mut window = refusals.window.into_inner().unwrap();
        for _ in 1..LINES {
            assert_eq!(window.next(), Verdict::Tell(0));
        }
        assert_eq!(window.next(), Verdict::TellLast);
        for _ in 0..1000 {
            assert_eq!(window.next(), Verdict::Count);
        }
        assert_eq!((window.told, window.untold), (LINES, 1000));
    }
}
