//! What people look at: the rows of `status`, `service` and `attempt`, with the names of the contract.

use serde::Serialize;
use sqlx::sqlite::SqliteConnection;

use crate::request::Env;
use crate::store::StoreError;

/// The states of a request, those first that need attention.
pub const STATES: [&str; 7] = [
    "failed",
    "retrying",
    "opening",
    "pending",
    "online",
    "accepted",
    "cancelled",
];

/// A row of `status`: the columns that the contract promises.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns of status, described in the contract")]
pub struct StatusRow {
    pub env: String,
    pub state: String,
    pub attempts: i64,
    pub errcode: Option<i64>,
    pub errmsg: Option<String>,
    pub rid: Option<String>,
    pub remedy: Option<String>,
    pub domain: Option<String>,
    pub bucket: Option<String>,
    pub region: Option<String>,
    pub requested_at: String,
    pub updated_at: String,
    pub next_attempt_at: Option<String>,
    pub finished_at: Option<String>,
}

/// The row of `service`.
#[derive(Clone, Debug, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns of service, described in the contract")]
pub struct ServiceRow {
    pub state: String,
    pub reason: Option<String>,
    pub remedy: Option<String>,
    pub errcode: Option<i64>,
    pub version: Option<String>,
    pub pid: Option<i64>,
    pub host: Option<String>,
    pub heartbeat_at: Option<String>,
    pub token_expires_at: Option<String>,
    pub paused: bool,
}

/// A row of `attempt`.
#[derive(Clone, Debug, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns of attempt, described in the contract")]
pub struct AttemptRow {
    pub at: String,
    pub call: String,
    pub errcode: Option<i64>,
    pub errmsg: Option<String>,
    pub http_status: Option<i64>,
    pub latency_ms: i64,
    pub outcome: String,
}

/// How many requests there are in each state; states without any are left out.
///
/// # Errors
/// When the database fails.
pub async fn counts(connection: &mut SqliteConnection) -> Result<Vec<(String, i64)>, StoreError> {
    Ok(
        sqlx::query_as("SELECT state, count(*) FROM status GROUP BY state")
            .fetch_all(connection)
            .await?,
    )
}

/// The requests in a state, the ones that changed last first; `limit` at most.
///
/// # Errors
/// When the database fails.
pub async fn in_state(
    connection: &mut SqliteConnection,
    state: &str,
    limit: i64,
) -> Result<Vec<StatusRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT env, state, attempts, errcode, errmsg, rid, remedy, domain, bucket, region, requested_at, updated_at, \
                next_attempt_at, finished_at \
           FROM status WHERE state = ?1 ORDER BY updated_at DESC, env LIMIT ?2",
    );
    Ok(rows.bind(state).bind(limit).fetch_all(connection).await?)
}

/// The requests for these environments, in this order; those never requested are left out.
///
/// # Errors
/// When the database fails.
pub async fn of_envs(connection: &mut SqliteConnection, envs: &[Env]) -> Result<Vec<StatusRow>, StoreError> {
    // CROSS JOIN fixes the order: each name is looked up, whatever SQLite believes of the sizes.
    let rows = sqlx::query_as(
        "SELECT env, state, attempts, errcode, errmsg, rid, remedy, domain, bucket, region, requested_at, updated_at, \
                next_attempt_at, finished_at \
           FROM json_each(?1) AS wanted CROSS JOIN status ON status.env = wanted.value ORDER BY wanted.key",
    );
    Ok(rows.bind(super::json(envs)).fetch_all(connection).await?)
}

/// What the daemon says of itself.
///
/// # Errors
/// When the database fails.
pub async fn service(connection: &mut SqliteConnection) -> Result<ServiceRow, StoreError> {
    let row = sqlx::query_as(
        "SELECT state, reason, remedy, errcode, version, pid, host, heartbeat_at, token_expires_at, paused \
           FROM service WHERE id = 1",
    );
    Ok(row.fetch_one(connection).await?)
}

/// The last calls about an environment, the newest first.
///
/// # Errors
/// When the database fails.
pub async fn attempts(
    connection: &mut SqliteConnection,
    env: &Env,
    limit: i64,
) -> Result<Vec<AttemptRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT at, call, errcode, errmsg, http_status, latency_ms, outcome \
           FROM attempt WHERE env = ?1 ORDER BY id DESC LIMIT ?2",
    );
    Ok(rows.bind(env.as_str()).bind(limit).fetch_all(connection).await?)
}
