//! Claiming rows, and letting the claims of the dead go.

use sqlx::SqliteConnection;

use super::{ClaimOrder, Claimed, Held, MOST_DUE};
use crate::clock::{parse, text};
use crate::request::{Call, Env, Progress, Request};
use crate::store::StoreError;

/// A claimed row as it stands.
struct Row {
    id: i64,
    env: String,
    priority: i64,
    failures: i64,
    unknowns: i64,
    failing_since: Option<String>,
    accepted_at: Option<String>,
    looks: i64,
    retry_at: Option<String>,
    ready_since: String,
}

/// Claims what is ready, the most urgent first, after making ready what has come due.
pub(in crate::store) async fn claim(
    connection: &mut SqliteConnection,
    order: &ClaimOrder,
    held: &mut Held,
) -> Result<Claimed, StoreError> {
    let became_ready = if order.make_ready {
        make_ready(connection, order, &held.envs()).await?
    } else {
        0
    };
    let mut rows = take(connection, order).await?;
    if rows.is_empty() {
        return Ok(Claimed {
            requests: Vec::new(),
            became_ready,
        });
    }
    rows.sort_unstable_by(|one, other| one.urgency().cmp(&other.urgency()));
    let mut requests = Vec::with_capacity(rows.len());
    for row in rows {
        match Env::parse(&row.env) {
            Ok(env) => requests.push(row.believed(env, order)),
            Err(error) => refuse(connection, order, &row, &error.to_string()).await?,
        }
    }
    Ok(Claimed {
        requests,
        became_ready,
    })
}

/// A row that somebody brought past the constraints fails by itself, and stops nobody else.
async fn refuse(
    connection: &mut SqliteConnection,
    order: &ClaimOrder,
    row: &Row,
    why: &str,
) -> Result<(), StoreError> {
    tracing::error!(
        queue.id = row.id,
        why,
        "a row of queue cannot be read; its request fails"
    );
    let now = text(order.now);
    sqlx::query!(
        r#"UPDATE status
              SET state = 'failed', errcode = NULL, errmsg = ?2, next_attempt_at = NULL, updated_at = ?3,
                  finished_at = ?3, remedy = 'Insert the environment again, as its ID is written.'
            WHERE request = ?1 AND finished_at IS NULL"#,
        row.id,
        why,
        now
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("DELETE FROM queue WHERE id = ?1", row.id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes ready what has come due, and what dead claims have left; nothing of the environments that are `held`.
async fn make_ready(
    connection: &mut SqliteConnection,
    order: &ClaimOrder,
    held: &str,
) -> Result<u64, StoreError> {
    let now = text(order.now);
    let made = sqlx::query!(
        r#"UPDATE queue SET claim = NULL, due_at = CASE WHEN not_before > ?1 THEN not_before END
            WHERE id IN (SELECT id FROM (SELECT id FROM queue
                                          WHERE claim IS NULL AND due_at IS NOT NULL AND due_at <= ?1
                                          ORDER BY due_at LIMIT ?2)
                         UNION ALL
                         SELECT id FROM (SELECT id FROM queue
                                          WHERE claim IS NOT NULL AND due_at <= ?1
                                          ORDER BY due_at LIMIT ?2))
              AND env NOT IN (SELECT value FROM json_each(?3))"#,
        now,
        MOST_DUE,
        held
    )
    .execute(connection)
    .await?;
    Ok(made.rows_affected())
}

/// Takes the rows that have been ready longest, and shows in `status` that their calls are under way (also where somebody wrote a
/// final state there), in one string of statements, since each string
/// is a hop to SQLite's thread. A create is counted before it is made, so that one that a crash hides is remembered.
async fn take(connection: &mut SqliteConnection, order: &ClaimOrder) -> Result<Vec<Row>, StoreError> {
    let (call, lease_until, now) = (order.call.as_str(), text(order.lease_until), text(order.now));
    let most = i64::try_from(order.most).unwrap_or(i64::MAX);
    let creates = i64::from(order.call == Call::Create);
    let rows = sqlx::query_as!(
        Row,
        r#"UPDATE queue SET claim = ?, call = 'describe', due_at = ?
            WHERE id IN (SELECT id FROM queue INDEXED BY queue_ready
                          WHERE claim IS NULL AND due_at IS NULL AND call = ?
                          ORDER BY priority DESC,
                                   max(requested_at, coalesce(retry_at, ''), coalesce(not_before, '')), id
                          LIMIT ?)
        RETURNING id AS "id!", env, priority, failures, unknowns, failing_since, accepted_at, looks, retry_at,
                  max(requested_at, coalesce(retry_at, ''), coalesce(not_before, '')) AS "ready_since!: String";

           UPDATE status
              SET state = 'opening', attempts = attempts + ?, create_sent = max(create_sent, ?), updated_at = ?,
                  finished_at = NULL
            WHERE env IN (SELECT env FROM queue WHERE due_at = ? AND claim = ?) AND (? = 1 OR state <> 'opening')"#,
        order.claim,
        lease_until,
        call,
        most,
        creates,
        creates,
        now,
        lease_until,
        order.claim,
        creates
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

impl Row {
    /// The order of the claim: the higher priority first, then the row that has been ready longest.
    fn urgency(&self) -> (std::cmp::Reverse<i64>, &str, i64) {
        (std::cmp::Reverse(self.priority), &self.ready_since, self.id)
    }

    fn believed(self, env: Env, order: &ClaimOrder) -> Request {
        let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        Request {
            id: self.id,
            claim: order.claim,
            env,
            call: order.call,
            progress: Progress {
                failures: count(self.failures),
                unknowns: count(self.unknowns),
                failing_since: self.failing_since.as_deref().and_then(parse),
                accepted_at: self.accepted_at.as_deref().and_then(parse),
                looks: count(self.looks),
            },
            due_at: self.retry_at.as_deref().and_then(parse),
            claimed_at: order.now,
        }
    }
}

/// Lets every claim go. What they left says what to do next, and `not_before` when, if it was moved meanwhile.
pub(in crate::store) async fn release(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    let released = sqlx::query!("UPDATE queue SET claim = NULL, due_at = not_before WHERE claim IS NOT NULL")
        .execute(connection)
        .await?;
    Ok(released.rows_affected())
}
