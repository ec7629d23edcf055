//! Another program that also fetches tokens ends ours, and we end its: an endless duel that eats the daily quota.
//!
//! A token that dies young is a blow. The first is answered at once; from the second on each answer waits longer.

use std::time::Duration;

use crate::clock::{Timestamp, after, between};
use crate::outcome::Backoff;

/// A token that was rejected within this time of being fetched died young.
const YOUNG: Duration = Duration::from_secs(600);
/// From the second blow on.
const SPACING: Backoff = Backoff {
    initial: Duration::from_secs(5),
    max: Duration::from_secs(600),
};

/// Counts the blows.
#[derive(Debug, Default)]
pub(super) struct Duel {
    blows: u32,
}

impl Duel {
    /// A token that was fetched at `obtained_at` was rejected now: when the next may be fetched.
    pub(super) fn blow(&mut self, obtained_at: Timestamp, now: Timestamp) -> Timestamp {
        if between(obtained_at, now) >= YOUNG {
            self.blows = 0;
            return now;
        }
        self.blows = self.blows.saturating_add(1);
        if self.blows == 1 {
            now
        } else {
            after(now, SPACING.bound(self.blows - 1))
        }
    }

    /// The end of the longest wait, if that began now.
    pub(super) fn longest(now: Timestamp) -> Timestamp {
        after(now, SPACING.max)
    }

    /// How many tokens in a row died young.
    pub(super) fn blows(&self) -> u32 {
        self.blows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_young_death_is_answered_at_once_and_each_further_one_later() {
        let mut duel = Duel::default();
        let start = Timestamp::UNIX_EPOCH;
        let mut now = start;
        let waits: Vec<i64> = (0..9)
            .map(|_| {
                let next = duel.blow(now, after(now, Duration::from_secs(1)));
                let wait = (next - now).num_seconds() - 1;
                now = next;
                wait
            })
            .collect();
        assert_eq!(waits, [0, 5, 10, 20, 40, 80, 160, 320, 600]);
    }

    #[test]
    fn a_token_that_lived_ends_the_duel() {
        let mut duel = Duel::default();
        let start = Timestamp::UNIX_EPOCH;
        for _ in 0..3 {
            duel.blow(start, start);
        }
        let later = after(start, YOUNG);
        assert_eq!((duel.blow(start, later), duel.blows()), (later, 0));
    }
}
