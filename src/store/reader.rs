//! Reading: what passes is tried again, as for the writer. A read that fails once must not end the daemon.

use sqlx::SqlitePool;

use super::StoreError;
use super::patience::Patience;
use crate::pulse::{Pulse, Work};

/// The connections that are read on. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    pool: SqlitePool,
    pulse: Pulse,
}

impl Readers {
    /// Reads on `pool`, and counts it by `pulse`.
    pub(super) fn new(pool: SqlitePool, pulse: Pulse) -> Self {
        Self { pool, pulse }
    }

    /// Reads until it succeeds or fails for good.
    pub(super) async fn read<'a, T, F>(&'a self, query: impl Fn(&'a SqlitePool) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = sqlx::Result<T>>,
    {
        let _at_work = self.pulse.at_work(Work::Read);
        let mut patience = Patience::default();
        loop {
            match query(&self.pool).await.map_err(StoreError::from) {
                Err(error) if error.passes() => {
                    if patience.tells() {
                        tracing::warn!(%error, "the database cannot be read; trying again");
                    }
                    patience.rest().await;
                }
                result => return result,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crate::store::scratch::Scratch;

    #[tokio::test]
    async fn what_passes_is_read_again_and_what_does_not_is_told_at_once() {
        let scratch = Scratch::new().await;
        // The readers' connections cannot write: that is refused as by a file system that is read-only for now.
        for (first, passes) in [("UPDATE service SET paused = 1", true), ("SELECT nothing", false)] {
            let tries = AtomicUsize::new(0);
            let read = scratch.store.readers.read(|pool| {
                let statement = [first, "SELECT 1"][tries.fetch_add(1, Ordering::Relaxed).min(1)];
                sqlx::query(statement).execute(pool)
            });
            assert_eq!(read.await.is_ok(), passes, "{first}");
            assert_eq!(tries.load(Ordering::Relaxed), 1 + usize::from(passes));
        }
    }
}
