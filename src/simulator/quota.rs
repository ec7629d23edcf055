//! Counts calls in a fixed window of time: the second and the day that Weixin's limits are about.

use crate::clock::Timestamp;

use super::answer::Refusal;

/// China's time is ahead of UTC by so many seconds.
const CHINA: i64 = 8 * 60 * 60;

/// How long a limit counts before it starts afresh.
#[derive(Clone, Copy, Debug)]
pub(super) enum Window {
    Second,
    /// From midnight to midnight in China.
    Day,
}

impl Window {
    fn seconds(self) -> i64 {
        match self {
            Self::Second => 1,
            Self::Day => 24 * 60 * 60,
        }
    }

    fn refusal(self) -> Refusal {
        match self {
            Self::Second => Refusal::TOO_FAST,
            Self::Day => Refusal::DAILY_QUOTA,
        }
    }
}

/// The calls in the window that is running.
#[derive(Debug, Default)]
pub(super) struct Quota {
    window: i64,
    used: u64,
}

impl Quota {
    /// Counts a call, and refuses it when `limit` came before it in its window.
    pub(super) fn take(&mut self, limit: u64, window: Window, now: Timestamp) -> Result<(), Refusal> {
        let current = (now.timestamp() + CHINA).div_euclid(window.seconds());
        if current != self.window {
            *self = Self {
                window: current,
                used: 0,
            };
        }
        self.used += 1;
        if self.used > limit {
            Err(window.refusal())
        } else {
            Ok(())
        }
    }
}
