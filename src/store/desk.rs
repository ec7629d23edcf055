//! What people at the command line ask of the database.
//!
//! They are guests: the daemon may be running, so writes are short (a transaction for at most [`BATCH`] rows) and go
//! through `queue` and the few columns that the contract opens to users.

mod rows;

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

pub use rows::{AttemptRow, STATES, ServiceRow, StatusRow, attempts, counts, in_state, of_envs, service};

use super::{MIGRATIONS, StoreError};
use crate::credential::Ticket;
use crate::request::Env;

/// The most rows that one transaction writes, so that the daemon's own writes never wait for long.
pub const BATCH: usize = 1000;

/// Requests a website for each environment, in this order; answers how many were not queued already.
///
/// # Errors
/// When the database fails; whole batches before that are in it.
pub async fn enqueue(
    connection: &mut SqliteConnection,
    envs: &[Env],
    priority: i64,
) -> Result<u64, StoreError> {
    let mut new = 0;
    for batch in envs.chunks(BATCH) {
        // RAISE(IGNORE) in queue_coalesce keeps those that are queued already out of the count.
        let done =
            sqlx::query("INSERT INTO queue (env, priority) SELECT value, ?2 FROM json_each(?1) ORDER BY key")
                .bind(json(batch))
                .bind(priority)
                .execute(&mut *connection)
                .await?;
        new += done.rows_affected();
    }
    Ok(new)
}

/// Requests those of the environments again whose last request failed; answers how many.
///
/// # Errors
/// When the database fails.
pub async fn retry(connection: &mut SqliteConnection, envs: &[Env]) -> Result<u64, StoreError> {
    let mut again = 0;
    for batch in envs.chunks(BATCH) {
        // CROSS JOIN fixes the order: each name is looked up, whatever SQLite believes of the sizes.
        let done = sqlx::query(
            "INSERT INTO queue (env) SELECT status.env FROM json_each(?1) AS wanted CROSS JOIN status ON status.env = wanted.value \
              WHERE status.state = 'failed' ORDER BY wanted.key",
        )
        .bind(json(batch))
        .execute(&mut *connection)
        .await?;
        again += done.rows_affected();
    }
    Ok(again)
}

/// Requests all again whose last request failed; answers how many.
///
/// # Errors
/// When the database fails; whole batches before that are queued.
pub async fn retry_failed(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    let mut again = 0;
    loop {
        // Each insert makes its status `pending`, so the next batch finds the next ones.
        let done = sqlx::query(
            "INSERT INTO queue (env) SELECT env FROM status WHERE state = 'failed' ORDER BY env LIMIT ?1",
        )
        .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
        .execute(&mut *connection)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(again);
        }
        again += done.rows_affected();
    }
}

/// Stops new calls, or lets them go on.
///
/// # Errors
/// When the database fails.
pub async fn set_paused(connection: &mut SqliteConnection, paused: bool) -> Result<(), StoreError> {
    sqlx::query("UPDATE service SET paused = ?1 WHERE id = 1")
        .bind(paused)
        .execute(connection)
        .await?;
    Ok(())
}

/// Hands over a ticket.
///
/// # Errors
/// When the database fails.
pub async fn insert_ticket(connection: &mut SqliteConnection, ticket: &Ticket) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO ticket (component_verify_ticket) VALUES (?1)")
        .bind(ticket.expose())
        .execute(connection)
        .await?;
    Ok(())
}

/// When the newest ticket arrived, as UTC text; `None` without any.
///
/// # Errors
/// When the database fails.
pub async fn ticket_received_at(connection: &mut SqliteConnection) -> Result<Option<String>, StoreError> {
    let newest = sqlx::query_scalar("SELECT received_at FROM ticket ORDER BY id DESC LIMIT 1");
    Ok(newest.fetch_optional(connection).await?)
}

/// The schema's version: what the database has (`None`: none of ours), and what this program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The newest migration that the database has seen.
    pub found: Option<i64>,
    /// The newest migration that this program knows.
    pub known: i64,
}

/// Reads the schema's version.
///
/// # Errors
/// When the database fails.
pub async fn schema(connection: &mut SqliteConnection) -> Result<Schema, StoreError> {
    let known = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0);
    let table = sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'",
    );
    if table.fetch_one(&mut *connection).await? == 0 {
        return Ok(Schema { found: None, known });
    }
    let found = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success");
    Ok(Schema {
        found: found.fetch_one(connection).await?,
        known,
    })
}

/// The version of the SQLite library.
///
/// # Errors
/// When the database fails.
pub async fn sqlite_version(connection: &mut SqliteConnection) -> Result<String, StoreError> {
    Ok(sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(connection)
        .await?)
}

/// Tries whether this user may write, and takes it back. (`BEGIN IMMEDIATE` alone succeeds on a read-only file.)
///
/// # Errors
/// When it may not, or the database is locked for longer than the busy timeout.
pub async fn try_write(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut attempt = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("UPDATE service SET paused = paused WHERE id = 1")
        .execute(&mut *attempt)
        .await?;
    Ok(attempt.rollback().await?)
}

fn json(envs: &[Env]) -> String {
    let names: Vec<&str> = envs.iter().map(Env::as_str).collect();
    serde_json::json!(names).to_string()
}

#[cfg(test)]
mod tests;
