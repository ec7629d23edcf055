//! Spaces out the refreshes that rejections force: a new token costs quota, and ends the token of everybody else.
//!
//! The first rejected token is replaced at once. If the new one is rejected within ten minutes of its issue, the wait before
//! the next refresh is 5 s, and doubles up to ten minutes, until a token lives longer than that.

use std::time::Duration;

use crate::clock::{Timestamp, after, between};
use crate::outcome::Backoff;

/// A token that is rejected within this time of its issue was revoked early.
const EARLY: Duration = Duration::from_secs(600);
/// Between the rejection of a token and its refresh, from the second refresh in a row on.
const COOLDOWN: Backoff = Backoff {
    initial: Duration::from_secs(5),
    max: Duration::from_secs(600),
};

/// Counts forced refreshes. The default has counted none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RefreshLimiter {
    /// Tokens in a row that were replaced since somebody rejected them, each within [`EARLY`] of its issue but the first.
    forced: u32,
    /// The current token was rejected, and then worked for another call.
    cleared: bool,
    /// No rejection is looked at before this.
    cooldown_until: Option<Timestamp>,
}

impl RefreshLimiter {
    /// Returns the earliest refresh of the token that was issued at `issued_at` and is rejected now. Until then, further
    /// rejections change nothing.
    pub(super) fn reject(&mut self, issued_at: Timestamp, now: Timestamp) -> Timestamp {
        if between(issued_at, now) >= EARLY {
            self.forced = 0;
        }
        // Who was wrong about this token once lets others show first whether it works.
        let refreshes = self.forced.max(u32::from(self.cleared));
        let refresh_at = if refreshes == 0 {
            now
        } else {
            after(now, COOLDOWN.bound(refreshes))
        };
        self.cooldown_until = Some(refresh_at);
        refresh_at
    }

    /// The end of the cooldown, where that is after `now`.
    pub(super) fn cooldown(&self, now: Timestamp) -> Option<Timestamp> {
        self.cooldown_until.filter(|until| *until > now)
    }

    /// The rejected token works.
    pub(super) fn clear(&mut self) {
        self.cleared = true;
    }

    /// There is a new token; `forced`: since the last one was rejected.
    pub(super) fn refreshed(&mut self, forced: bool) {
        self.cleared = false;
        self.cooldown_until = None;
        self.forced = self.forced.saturating_add(u32::from(forced));
    }

    /// The number of refreshes in a row that were forced.
    pub(super) fn forced(&self) -> u32 {
        self.forced
    }

    /// The end of the longest cooldown, if that began now: nothing that an older clock gave may be later.
    pub(super) fn latest(now: Timestamp) -> Timestamp {
        after(now, COOLDOWN.max)
    }

    /// Caps the cooldown: the clock was set back to `now`.
    pub(super) fn set_back(&mut self, now: Timestamp) {
        self.cooldown_until = self.cooldown_until.map(|until| until.min(Self::latest(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn seconds(wait: chrono::TimeDelta) -> i64 {
        wait.num_seconds()
    }

    #[test]
    fn the_first_rejected_token_is_replaced_at_once_and_each_further_one_later() {
        let mut limiter = RefreshLimiter::default();
        let mut now = START;
        let waits: Vec<i64> = (0..9)
            .map(|_| {
                let refresh_at = limiter.reject(now, after(now, Duration::from_secs(1)));
                let wait = seconds(refresh_at - now) - 1;
                limiter.refreshed(true);
                now = refresh_at;
                wait
            })
            .collect();
        assert_eq!(waits, [0, 5, 10, 20, 40, 80, 160, 320, 600]);
    }

    #[test]
    fn a_token_that_lived_is_replaced_at_once() {
        let mut limiter = RefreshLimiter::default();
        for _ in 0..3 {
            limiter.reject(START, START);
            limiter.refreshed(true);
        }
        let later = after(START, EARLY);
        assert_eq!((limiter.reject(START, later), limiter.forced()), (later, 0));
    }

    #[test]
    fn a_rejection_of_a_token_that_works_waits_for_others_to_show_it_however_old_the_token_is() {
        let mut limiter = RefreshLimiter::default();
        limiter.reject(START, START);
        limiter.clear();
        for age in [0, 30, 7000] {
            let now = after(START, Duration::from_secs(age));
            let refresh_at = limiter.reject(START, now);
            assert_eq!(seconds(refresh_at - now), 5, "{age}");
            assert_eq!(limiter.cooldown(now), Some(refresh_at));
            assert_eq!(limiter.cooldown(refresh_at), None);
        }
        // The next token is not the one that was wrongly rejected.
        limiter.refreshed(false);
        assert_eq!(limiter.reject(START, START), START);
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_no_cooldown_longer_than_the_longest() {
        let mut limiter = RefreshLimiter::default();
        limiter.refreshed(true);
        limiter.reject(after(START, EARLY * 100), after(START, EARLY * 100));
        limiter.set_back(START);
        assert_eq!(limiter.cooldown(START), Some(after(START, EARLY)));
    }
}
