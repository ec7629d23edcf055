//! How often and how long what passes is waited for, by the writer and by readers alike.

use std::time::Duration;

/// Between two tries when the database can't be used for now.
const RETRY: Duration = Duration::from_millis(200);
/// How many tries pass between two lines in the log.
const TRIES_PER_WARNING: u32 = 50;

/// Counts the tries.
#[derive(Default)]
pub(super) struct Patience {
    tries: u32,
}

impl Patience {
    /// How many tries failed.
    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// Whether the failure that was met just now is one to tell of: the first, then one in ten seconds.
    pub(super) fn tells(&self) -> bool {
        self.tries.is_multiple_of(TRIES_PER_WARNING)
    }

    /// Waits before the next try. In real time: it is the disk that is waited for.
    pub(super) async fn rest(&mut self) {
        self.tries += 1;
        tokio::time::sleep(RETRY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_told_and_then_one_in_ten_seconds() {
        let told: Vec<u32> = (0..=100)
            .filter(|tries| Patience { tries: *tries }.tells())
            .collect();
        assert_eq!(told, [0, 50, 100]);
        assert_eq!(RETRY * TRIES_PER_WARNING, Duration::from_secs(10));
    }

    #[tokio::test]
    async fn each_rest_is_a_try() {
        let mut patience = Patience::default();
        patience.rest().await;
        patience.rest().await;
        assert_eq!(patience.tries(), 2);
    }
}
