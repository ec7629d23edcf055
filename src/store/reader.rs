//! Reading: what passes is tried again, as for the writer. A read that fails once must not end the daemon.

use sqlx::SqlitePool;

use super::StoreError;
use super::patience::Patience;

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
        let mut patience = Patience::default();
        loop {
            match query(&self.0).await.map_err(StoreError::from) {
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
