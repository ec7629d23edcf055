//! Reading: what passes is tried again, as for the writer. A read that fails once must not end the daemon.

use std::time::Duration;

use sqlx::SqlitePool;

use super::StoreError;

/// Between two tries.
const RETRY: Duration = Duration::from_millis(200);
/// How many tries pass between two lines in the log.
const TRIES_PER_WARNING: u32 = 50;

/// The connections that are read on. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Readers(SqlitePool);

impl Readers {
    pub(super) fn new(pool: SqlitePool) -> Self {
        Self(pool)
    }

    /// Reads until it succeeds or fails for good.
    pub(super) async fn read<'a, T, F>(&'a self, query: impl Fn(&'a SqlitePool) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = sqlx::Result<T>>,
    {
        let mut tries = 0_u32;
        loop {
            match query(&self.0).await.map_err(StoreError::from) {
                Err(error) if error.passes() => {
                    if tries.is_multiple_of(TRIES_PER_WARNING) {
                        tracing::warn!(%error, "the database cannot be read; trying again");
                    }
                    tries += 1;
                    // Real time: it is the disk that is waited for.
                    tokio::time::sleep(RETRY).await;
                }
                result => return result,
            }
        }
    }
}
