//! What grows and is pruned, in pieces so small that nobody waits: candidates are read without a lock, then deleted.

use sqlx::SqliteConnection;

use super::writer::{Change, Order};
use super::{Store, StoreError};
use crate::clock::{Timestamp, text};

/// The most rows that one transaction deletes.
const PIECE: i64 = 500;

impl Store {
    /// Deletes those calls made before `cutoff` that are in the piece after the id `after`. Returns how many, and the id to go
    /// on from: `None` after a piece that holds neither old calls nor calls whose time is ahead of `now`.
    ///
    /// # Errors
    /// When the database can't be read, or the writer has ended.
    pub async fn prune_attempts(
        &self,
        cutoff: Timestamp,
        now: Timestamp,
        after: i64,
    ) -> Result<(u64, Option<i64>), StoreError> {
        let (cutoff, now) = (text(cutoff), text(now));
        // By id, which is the order in which they were written: no index on `at` is needed. A clock that was set back has
        // left calls with times ahead, behind which older ones may stand.
        let rows = self
            .readers
            .read(|pool| {
                sqlx::query!(
                    r#"SELECT id AS "id!", at FROM attempt WHERE id > ?1 ORDER BY id LIMIT ?2"#,
                    after,
                    PIECE
                )
                .fetch_all(pool)
            })
            .await?;
        let old: Vec<i64> = rows
            .iter()
            .filter(|row| row.at < cutoff)
            .map(|row| row.id)
            .collect();
        let ahead = rows.iter().any(|row| row.at > now);
        let last = rows.last().map(|row| row.id).filter(|_| ahead || !old.is_empty());
        if old.is_empty() {
            return Ok((0, last));
        }
        let order = |done| Order::Change(Change::PruneAttempts(old), done);
        Ok((self.writer.write(order).await?, last))
    }

    /// Deletes a piece of the requests that were finished before `cutoff`, from `after` on in the order of
    /// environments; returns where to go on, `None` when there are no more.
    ///
    /// # Errors
    /// When the database can't be read, or the writer has ended.
    pub async fn prune_status(&self, cutoff: Timestamp, after: &str) -> Result<Option<String>, StoreError> {
        let cutoff = text(cutoff);
        let old = self
            .readers
            .read(|pool| {
                sqlx::query_scalar!(
                    "SELECT env FROM status WHERE env > ?1 AND finished_at < ?2 ORDER BY env LIMIT ?3",
                    after,
                    cutoff,
                    PIECE
                )
                .fetch_all(pool)
            })
            .await?;
        let last = old.last().cloned();
        if last.is_some() {
            self.writer
                .write(|done| Order::Change(Change::PruneStatus(old), done))
                .await?;
        }
        Ok(last)
    }

    /// Shortens the `-wal` file by a checkpoint. (No `PRAGMA optimize`: its statistics are of a queue that is mostly empty, and
    /// make SQLite choose plans that scan whole tables while a full one is drained.)
    ///
    /// # Errors
    /// When the writer has ended.
    pub async fn optimize(&self) -> Result<(), StoreError> {
        self.writer
            .write(|done| Order::Change(Change::Optimize, done))
            .await
            .map(|_| ())
    }
}

pub(super) async fn prune_attempts(
    connection: &mut SqliteConnection,
    ids: &[i64],
) -> Result<u64, StoreError> {
    let ids = serde_json::Value::from(ids).to_string();
    let pruned = sqlx::query!(
        "DELETE FROM attempt WHERE id IN (SELECT value FROM json_each(?1))",
        ids
    )
    .execute(connection)
    .await?;
    Ok(pruned.rows_affected())
}

pub(super) async fn prune_status(
    connection: &mut SqliteConnection,
    envs: &[String],
) -> Result<u64, StoreError> {
    let envs = serde_json::Value::from(envs).to_string();
    // One may have been requested again since it was read.
    let pruned = sqlx::query!(
        r#"DELETE FROM status
            WHERE env IN (SELECT value FROM json_each(?1)) AND finished_at IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.env = status.env)"#,
        envs
    )
    .execute(connection)
    .await?;
    Ok(pruned.rows_affected())
}

pub(super) async fn optimize(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
