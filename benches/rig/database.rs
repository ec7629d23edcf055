//! The database from outside: rows go in as a feeder's would, and are counted as a user would count them.

use std::path::Path;

use anyhow::Result;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection};

/// The ticket that the daemon finds.
pub const TICKET: &str = "ticket@@@bench";

/// The env of row `number`.
pub fn env(number: u64) -> String {
    format!("bench-{number:09}")
}

/// Migrates a new database and puts a ticket in, so that the daemon gets a token.
///
/// # Errors
/// When the database can't be made.
pub async fn create(path: &Path) -> Result<SqliteConnection> {
    staticstored::store::migrate(path).await?;
    let mut connection = connect(path).await?;
    execute(
        &mut connection,
        &format!("INSERT INTO ticket (component_verify_ticket) VALUES ('{TICKET}')"),
    )
    .await?;
    Ok(connection)
}

/// Opens a connection as another program would.
///
/// # Errors
/// When the file is no database.
pub async fn connect(path: &Path) -> Result<SqliteConnection> {
    Ok(SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await?)
}

/// Inserts `rows` requests in one statement.
///
/// # Errors
/// When the database refuses them.
pub async fn fill(connection: &mut SqliteConnection, rows: u64, not_before: Option<&str>) -> Result<()> {
    let not_before = not_before.map_or_else(|| "NULL".to_owned(), |at| format!("'{at}'"));
    execute(
        connection,
        &format!(
            "INSERT INTO queue (env, not_before) \
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {rows}) \
             SELECT printf('bench-%09d', i), {not_before} FROM n"
        ),
    )
    .await
}

/// Runs a statement.
///
/// # Errors
/// When it fails.
pub async fn execute(connection: &mut SqliteConnection, sql: &str) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

/// How many requests are finished.
///
/// # Errors
/// When the database can't be read.
pub async fn finished(connection: &mut SqliteConnection) -> Result<u64> {
    let sql = "SELECT count(*) FROM status WHERE state IN ('online', 'failed', 'accepted', 'cancelled')";
    let count: i64 = sqlx::query_scalar(sql).fetch_one(connection).await?;
    Ok(u64::try_from(count)?)
}

/// How many calls are in the history. (The first and the last row are looked at, no other: whoever asks often takes nothing
/// from the daemon.)
///
/// # Errors
/// When the database can't be read.
pub async fn calls(connection: &mut SqliteConnection) -> Result<u64> {
    let count: i64 = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM attempt")
        .fetch_one(connection)
        .await?;
    Ok(u64::try_from(count)?)
}

/// How many requests wait.
///
/// # Errors
/// When the database can't be read.
pub async fn queued(connection: &mut SqliteConnection) -> Result<u64> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM queue")
        .fetch_one(connection)
        .await?;
    Ok(u64::try_from(count)?)
}
