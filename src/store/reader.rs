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
