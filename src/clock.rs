//! The time: the only module that reads it.
//!
//! Decisions take `now` as an argument; a [`Clock`] is read at the edge. The manual clock exists because tokio's
//! paused time jumps whenever the runtime looks idle, which it does while SQLite or a socket works.

mod manual;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};

use manual::Manual;
pub use manual::Turn;

/// A moment in UTC. The database holds it as [`text`].
pub type Timestamp = DateTime<Utc>;

/// How long the system clock sleeps before it looks at the wall clock again, so that a deadline is met when the
/// machine was suspended or its time was set.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// A clock that goes back by less is being adjusted, not set.
pub const SET_BACK: Duration = Duration::from_secs(2);

/// Writes a moment as the database holds it: `2026-11-23T16:25:07.123Z`, 24 characters, sortable.
#[must_use]
pub fn text(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Reads what [`text`] wrote; `None` for anything else.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.with_timezone(&Utc))
}

/// Adds a duration to a moment; at the end of time it stays there.
#[must_use]
pub fn after(at: Timestamp, wait: Duration) -> Timestamp {
    chrono::Duration::from_std(wait)
        .ok()
        .and_then(|wait| at.checked_add_signed(wait))
        .unwrap_or(Timestamp::MAX_UTC)
}

/// What lies between two moments; zero when `later` is the earlier one.
#[must_use]
pub fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    (later - earlier).to_std().unwrap_or(Duration::ZERO)
}

/// Tells the time and waits for it: the system's, or one that a test moves.
#[derive(Clone, Debug)]
pub struct Clock(Inner);

#[derive(Clone, Debug)]
enum Inner {
    System,
    Manual(Arc<Manual>),
}

impl Clock {
    /// The system's wall clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Inner::System)
    }

    /// A clock that stands at `start` until [`Clock::advance`] or [`Clock::set`] moves it.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Inner::Manual(Arc::new(Manual::new(start.trunc_subsecs(3)))))
    }

    /// The time now, to the millisecond (what the database keeps).
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Inner::System => Utc::now().trunc_subsecs(3),
            Inner::Manual(clock) => clock.now(),
        }
    }

    /// Moves a manual clock forward; the system's is not ours to move.
    pub fn advance(&self, by: Duration) {
        self.set(after(self.now(), by));
    }

    /// Sets a manual clock, also back; the system's is not ours to set.
    pub fn set(&self, to: Timestamp) {
        if let Inner::Manual(clock) = &self.0 {
            clock.set(to);
        }
    }

    /// Returns once the clock shows `at` or later, or was set back meanwhile: then `at` may be as far away as that, and whoever
    /// waits has to look again.
    pub async fn sleep_until(&self, at: Timestamp) {
        let clock = match &self.0 {
            Inner::System => return self.sleep_by_the_system(at).await,
            Inner::Manual(clock) => clock,
        };
        clock.sleep_until(at).await;
    }

    async fn sleep_by_the_system(&self, at: Timestamp) {
        let mut seen = self.now();
        loop {
            let now = self.now();
            let left = between(now, at);
            if left.is_zero() || between(now, seen) >= SET_BACK {
                return;
            }
            seen = now;
            tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
        }
    }

    /// Returns once the clock has gone on by `wait` from now (not from the first poll).
    pub fn sleep(&self, wait: Duration) -> impl Future<Output = ()> + '_ {
        self.sleep_until(after(self.now(), wait))
    }
}

/// Order: what happens at one moment happens in any order, unless a test wants to repeat it.
impl Clock {
    /// Waits for the turn to do `what` about `whom`, which lasts until it is dropped: at once, unless the turns are given by
    /// hand. Calls to Weixin are made in turns, and so are claims.
    pub async fn turn(&self, what: &str, whom: &str) -> Turn {
        match &self.0 {
            Inner::System => Turn(None),
            Inner::Manual(clock) => clock.turn(format!("{what} {whom}")).await,
        }
    }

    /// Gives the turns by hand from now on; the system's clock lets everybody act at once.
    pub fn take_turns(&self) {
        if let Inner::Manual(clock) = &self.0 {
            clock.take_turns();
        }
    }

    /// What waits for its turn, in the order of the alphabet.
    #[must_use]
    pub fn waiting(&self) -> Vec<String> {
        match &self.0 {
            Inner::System => Vec::new(),
            Inner::Manual(clock) => clock.waiting(),
        }
    }

    /// Gives its turn to one of those; whether there was such a one.
    pub fn let_go(&self, who: &str) -> bool {
        match &self.0 {
            Inner::System => false,
            Inner::Manual(clock) => clock.let_go(who),
        }
    }

    /// How many turns that were given are not over.
    #[must_use]
    pub fn acting(&self) -> usize {
        match &self.0 {
            Inner::System => 0,
            Inner::Manual(clock) => clock.acting(),
        }
    }
}

/// Measures how long something took, unmoved by changes of the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts to measure.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// The time since [`Stopwatch::start`].
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        parse(text).unwrap()
    }

    #[test]
    fn a_moment_is_written_in_24_sortable_characters_and_read_back() {
        for moment in ["2026-11-23T16:25:07.123Z", "2026-01-02T00:00:00.000Z"] {
            assert_eq!(text(at(moment)), moment);
            assert_eq!(moment.len(), 24);
        }
        assert_eq!(parse("tomorrow"), None);
    }

    #[tokio::test]
    async fn a_manual_clock_wakes_a_sleeper_when_its_time_has_come() {
        let clock = Clock::manual(at("2026-11-23T00:00:00.000Z"));
        let sleeper = clock.sleep(Duration::from_secs(60));
        tokio::pin!(sleeper);
        clock.advance(Duration::from_secs(59));
        assert!(poll_once(sleeper.as_mut()).await.is_none());
        clock.advance(Duration::from_secs(1));
        sleeper.await;
    }

    #[tokio::test]
    async fn a_sleeper_is_woken_when_the_clock_is_set_back_but_not_when_it_is_adjusted() {
        let clock = Clock::manual(at("2026-11-23T12:00:00.000Z"));
        let sleeper = clock.sleep(Duration::from_secs(60));
        tokio::pin!(sleeper);
        assert!(poll_once(sleeper.as_mut()).await.is_none());
        clock.set(at("2026-11-23T11:59:59.000Z"));
        assert!(poll_once(sleeper.as_mut()).await.is_none());
        clock.set(at("2026-11-22T12:00:00.000Z"));
        sleeper.await;
    }

    async fn poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        std::future::poll_fn(|context| match std::pin::Pin::new(&mut future).poll(context) {
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }
}
