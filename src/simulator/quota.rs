//! Counts calls in a fixed window of time: the second and the day that Weixin's limits are about.

use crate::clock::Timestamp;

/// A second.
pub(super) const SECOND: i64 = 1;
/// A day, which begins at midnight in China.
pub(super) const DAY: i64 = 24 * 60 * 60;

/// China's time is ahead of UTC by so many seconds.
const CHINA: i64 = 8 * 60 * 60;

/// The calls in the window that is running.
#[derive(Debug, Default)]
pub(super) struct Quota {
    window: i64,
    used: u64,
}

impl Quota {
    /// Counts a call in the window of `length` seconds; `false` when more than `limit` came in it.
    pub(super) fn take(&mut self, limit: u64, length: i64, now: Timestamp) -> bool {
        let window = (now.timestamp() + CHINA).div_euclid(length);
        if window != self.window {
            *self = Self { window, used: 0 };
        }
        self.used += 1;
        self.used <= limit
    }
}
