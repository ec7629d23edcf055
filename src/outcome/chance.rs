//! Chance, drawn from what it is about and the moment: nobody can tell it beforehand, and whoever lives the same again draws the
//! same again, in whatever order.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::clock::Timestamp;

/// Draws evenly from 0 to 1: always the same about the same thing at the same moment, and unlike about any other.
#[must_use]
pub fn chance(about: impl Hash, now: Timestamp) -> f64 {
    let mut hasher = DefaultHasher::new();
    (about, now).hash(&mut hasher);
    fastrand::Rng::with_seed(hasher.finish()).f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_about_many_things_at_one_moment_are_spread_evenly() {
        let mut tenths = [0; 10];
        for env in 0..10_000 {
            let draw = chance((format!("env-{env}"), 1), Timestamp::UNIX_EPOCH);
            tenths[(draw * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|n| (900..1100).contains(n)), "{tenths:?}");
    }

    #[test]
    fn a_draw_about_one_thing_is_the_same_again_and_another_at_another_moment() {
        let now = Timestamp::UNIX_EPOCH;
        let later = now + chrono::TimeDelta::milliseconds(1);
        assert_eq!(chance("env", now).to_bits(), chance("env", now).to_bits());
        assert_ne!(chance("env", now).to_bits(), chance("env", later).to_bits());
    }
}
