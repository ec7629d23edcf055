//! How long the database is left alone after a commit, so that other programs can write.
//!
//! Their SQLite asks for the lock only now and then: 18 times in its first second of waiting, later every 100 ms. So what they
//! need is a share of the time: while nobody else writes, half is left, for whoever may come; while somebody does, three
//! quarters. Only while a queue is drained as fast as the machine can, and nobody else writes, it is a moment now and then: so
//! long that SQLite asks at least once in it, and so often that whoever waits for a second meets one.

use std::time::Duration;

use sqlx::SqliteConnection;

use super::LARGEST_GROUP;
use crate::clock::Stopwatch;

/// Commits begin no closer together than this, but for the first after a pause and those at full speed.
const SPACING: Duration = Duration::from_millis(5);
/// How many times as long as a transaction took the database is left alone after it, and for how long at most: what took
/// longer was waiting for the disk.
const FOR_NOBODY: (u32, Duration) = (1, Duration::from_millis(50));
/// The same while other programs write.
const FOR_OTHERS: (u32, Duration) = (3, Duration::from_millis(150));
/// For how long somebody who wrote is expected to write again.
const EXPECTED: Duration = Duration::from_secs(2);
/// So many orders in one group come only where nothing but the machine limits the calls.
const FULL_SPEED: usize = LARGEST_GROUP / 4;
/// At full speed, for how long the database is left alone, and from one such moment to the next.
const MOMENT: Duration = Duration::from_millis(120);
const MOMENTS_APART: Duration = Duration::from_millis(700);

/// Who else has written, and when; and when, at full speed, they last had a moment.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// `PRAGMA data_version`: another number once another connection has committed.
    version: Option<i64>,
    others: Option<Stopwatch>,
    /// At full speed: since the last moment.
    moment: Option<Stopwatch>,
}

impl Rest {
    /// What is left to others after a transaction for so many `orders` that kept them from writing for `locked`.
    pub(super) async fn after(
        &mut self,
        orders: usize,
        locked: Duration,
        connection: &mut SqliteConnection,
    ) -> Duration {
        self.look(connection).await;
        let others = self.others.is_some_and(|since| since.elapsed() < EXPECTED);
        if others || orders < FULL_SPEED {
            self.moment = None;
            return alone(locked, others);
        }
        let since = self.moment.get_or_insert_with(Stopwatch::start).elapsed();
        // The next transaction may take as long.
        if since + locked < MOMENTS_APART {
            return Duration::ZERO;
        }
        self.moment = Some(Stopwatch::start());
        MOMENT
    }

    async fn look(&mut self, connection: &mut SqliteConnection) {
        let version = sqlx::query_scalar("PRAGMA data_version");
        // Where even that can't be read, the next transaction says why.
        let version = version.fetch_one(connection).await.ok();
        let before = std::mem::replace(&mut self.version, version);
        if before.is_some() && version.is_some() && before != version {
            self.others = Some(Stopwatch::start());
        }
    }
}

fn alone(locked: Duration, others: bool) -> Duration {
    let (times, longest) = if others { FOR_OTHERS } else { FOR_NOBODY };
    (locked * times).min(longest).max(SPACING.saturating_sub(locked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scratch::Scratch;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn half_of_the_time_is_left_or_three_quarters_where_others_write_up_to_a_bound() {
        for (locked, for_nobody, for_others) in
            [(1, 4, 4), (2, 3, 6), (4, 4, 12), (30, 30, 90), (80, 50, 150)]
        {
            let left = [alone(locked * MS, false), alone(locked * MS, true)];
            assert_eq!(left, [for_nobody * MS, for_others * MS], "{locked} ms");
        }
    }

    #[tokio::test]
    async fn others_are_expected_to_write_again_once_one_of_them_has_and_our_own_commits_are_none() {
        let scratch = Scratch::new().await;
        let mut ours = scratch.connection().await;
        let mut rest = Rest::default();
        let write = "UPDATE service SET errcode = coalesce(errcode, 0) + 1";
        for _ in 0..3 {
            assert_eq!(rest.after(1, 10 * MS, &mut ours).await, 10 * MS);
            sqlx::query(write).execute(&mut ours).await.unwrap();
        }
        scratch.execute(write).await;
        for _ in 0..2 {
            assert_eq!(rest.after(FULL_SPEED, 10 * MS, &mut ours).await, 30 * MS);
        }
    }

    #[tokio::test]
    async fn at_full_speed_others_get_a_moment_now_and_then_and_their_share_again_once_it_is_over() {
        let scratch = Scratch::new().await;
        let mut ours = scratch.connection().await;
        let mut rest = Rest::default();
        // Waits until it is as expected.
        for expected in [MOMENT, Duration::ZERO, MOMENT] {
            loop {
                let left = rest.after(FULL_SPEED, 3 * MS, &mut ours).await;
                if left == expected {
                    break;
                }
                assert!([Duration::ZERO, MOMENT].contains(&left), "{left:?}");
                tokio::time::sleep(MS).await;
            }
        }
        assert_eq!(rest.after(FULL_SPEED - 1, 10 * MS, &mut ours).await, 10 * MS);
        assert_eq!(rest.after(FULL_SPEED, 10 * MS, &mut ours).await, Duration::ZERO);
        // Not after another transaction as long as this one.
        assert_eq!(rest.after(FULL_SPEED, MOMENTS_APART, &mut ours).await, MOMENT);
    }
}
