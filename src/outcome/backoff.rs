//! Exponential backoff with full jitter: a wait drawn evenly from zero to a bound that doubles.
//!
//! Full jitter spreads what failed together over the whole bound, so that it does not come back together
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).

use std::time::Duration;

/// How long to wait after the n-th failure in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The bound after the first failure.
    pub initial: Duration,
    /// The bound that is never passed.
    pub max: Duration,
}

impl Backoff {
    /// The longest wait after `failures` failures in a row; the first is 1.
    #[must_use]
    pub fn bound(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(63);
        let bound = self
            .initial
            .as_nanos()
            .saturating_mul(1_u128 << doublings)
            .min(self.max.as_nanos());
        Duration::from_nanos(u64::try_from(bound).unwrap_or(u64::MAX))
    }

    /// The wait after `failures` failures in a row, where `draw` is evenly drawn from 0 to 1.
    #[must_use]
    pub fn wait(&self, failures: u32, draw: f64) -> Duration {
        self.bound(failures).mul_f64(draw.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_bound_doubles_up_to_the_maximum_and_no_wait_passes_it(
            initial in 1_u64..10_000, factor in 1_u64..100_000, failures in 1_u32..=u32::MAX, draw in 0.0..=1.0_f64,
        ) {
            let backoff = Backoff {
                initial: Duration::from_millis(initial),
                max: Duration::from_millis(initial * factor),
            };
            prop_assert_eq!(backoff.bound(1), backoff.initial);
            prop_assert!(backoff.bound(failures) <= backoff.max);
            prop_assert!(backoff.bound(failures) >= backoff.bound(failures - 1));
            if backoff.bound(failures) < backoff.max && failures < 60 {
                prop_assert_eq!(backoff.bound(failures), backoff.initial * (1 << (failures - 1)));
            }
            prop_assert!(backoff.wait(failures, draw) <= backoff.bound(failures));
        }
    }

    #[test]
    fn the_draw_spreads_over_the_whole_bound() {
        let backoff = Backoff {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(300),
        };
        assert_eq!(backoff.wait(4, 0.0), Duration::ZERO);
        assert_eq!(backoff.wait(4, 0.5), Duration::from_secs(4));
        assert_eq!(backoff.wait(4, 1.0), Duration::from_secs(8));
        assert_eq!(backoff.wait(u32::MAX, 1.0), Duration::from_secs(300));
    }
}
