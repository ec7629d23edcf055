//! Settling: `status`, `queue` and `attempt` in one transaction, many outcomes in each statement.
//!
//! `status` becomes final before the row leaves `queue`: the trigger on DELETE takes everything else for a cancellation. A
//! request that was cancelled while its call was on its way gets its real outcome all the same, and comes back into
//! `queue` when that is "accepted": somebody must see it through.

use serde::Serialize;
use sqlx::SqliteConnection;

use super::{Attempt, Settlement, moment};
use crate::clock::text;
use crate::outcome::{Final, Next, Open, Site};
use crate::request::{Call, Progress};
use crate::store::StoreError;

/// A settlement as SQL reads it.
#[derive(Serialize)]
struct Row<'a> {
    id: i64,
    claim: i64,
    env: &'a str,
    state: &'static str,
    finished: bool,
    /// Whether it stands although the request was cancelled meanwhile.
    stands: bool,
    /// Create calls beyond the one that the claim counted; -1: that one was never made.
    creates: i64,
    keep_answer: bool,
    errcode: Option<i64>,
    errmsg: Option<&'a str>,
    rid: Option<&'a str>,
    remedy: Option<&'a str>,
    domain: Option<&'a str>,
    bucket: Option<&'a str>,
    region: Option<&'a str>,
    now: String,
    call: &'static str,
    retry_at: Option<String>,
    failures: u32,
    unknowns: u32,
    failing_since: Option<String>,
    accepted_at: Option<String>,
    looks: u32,
}

#[derive(Serialize)]
struct AttemptRow<'a> {
    env: &'a str,
    at: String,
    call: &'static str,
    errcode: Option<i64>,
    errmsg: &'a str,
    http_status: Option<u16>,
    latency_ms: u64,
    outcome: &'static str,
}

pub(in crate::store) async fn settle(
    connection: &mut SqliteConnection,
    settlements: &[Settlement],
) -> Result<(), StoreError> {
    let rows: Vec<Row<'_>> = settlements.iter().map(Row::from).collect();
    let attempts: Vec<AttemptRow<'_>> = settlements.iter().flat_map(AttemptRow::of).collect();
    let (json, attempts_json) = (json(&rows)?, json(&attempts)?);
    let written = write(connection, &json, &attempts_json).await?;
    // A row of `status` and one of `queue` for each, and the calls.
    let all_were_ours = written == (2 * rows.len() + attempts.len()) as u64;
    if !all_were_ours {
        // Deleted by somebody, or claimed anew since: what was accepted comes back, the rest is fenced off.
        let back = come_back(connection, &json).await?;
        let freed = free(connection, &json).await?;
        tracing::debug!(back, freed, "settlements met rows that were no longer theirs");
    }
    Ok(())
}

/// Writes all of it, in one string of statements, since each string is a hop to SQLite's thread: `status`; then what
/// is finished leaves `queue`, and what is not stays there with what it has been through; then the history. Returns
/// how many rows that changed.
async fn write(connection: &mut SqliteConnection, rows: &str, attempts: &str) -> Result<u64, StoreError> {
    let written = sqlx::query!(
        r#"UPDATE status
              SET state = s.state,
                  attempts = max(0, attempts + s.creates),
                  errcode = CASE WHEN s.keep_answer THEN status.errcode ELSE s.errcode END,
                  errmsg = CASE WHEN s.keep_answer THEN status.errmsg ELSE s.errmsg END,
                  rid = CASE WHEN s.keep_answer THEN status.rid ELSE s.rid END,
                  remedy = s.remedy,
                  domain = coalesce(s.domain, status.domain),
                  bucket = coalesce(s.bucket, status.bucket),
                  region = coalesce(s.region, status.region),
                  updated_at = s.now,
                  next_attempt_at = CASE WHEN s.finished THEN NULL
                                         ELSE max(coalesce(s.retry_at, s.now), coalesce(s.not_before, '')) END,
                  finished_at = CASE WHEN s.finished THEN s.now END
             FROM (SELECT j.value ->> '$.id' AS id, j.value ->> '$.env' AS env, j.value ->> '$.state' AS state,
                          j.value ->> '$.finished' AS finished, j.value ->> '$.stands' AS stands,
                          j.value ->> '$.creates' AS creates, j.value ->> '$.keep_answer' AS keep_answer,
                          j.value ->> '$.errcode' AS errcode, j.value ->> '$.errmsg' AS errmsg,
                          j.value ->> '$.rid' AS rid, j.value ->> '$.remedy' AS remedy,
                          j.value ->> '$.domain' AS domain, j.value ->> '$.bucket' AS bucket,
                          j.value ->> '$.region' AS region, j.value ->> '$.now' AS now,
                          j.value ->> '$.retry_at' AS retry_at, j.value ->> '$.claim' AS claim,
                          q.id AS queued, q.claim AS held, q.not_before AS not_before
                     FROM jsonb_each(?) AS j
                     LEFT JOIN queue AS q ON q.id = j.value ->> '$.id') AS s
            WHERE status.env = s.env AND status.request = s.id
              AND (s.held = s.claim OR (s.queued IS NULL AND s.stands AND status.state = 'cancelled'));

           DELETE FROM queue
            WHERE id IN (SELECT q.id
                           FROM jsonb_each(?) AS j
                           CROSS JOIN queue AS q ON q.id = j.value ->> '$.id' AND q.claim = j.value ->> '$.claim'
                          WHERE j.value ->> '$.finished');

           UPDATE queue
              SET claim = NULL, call = s.call, retry_at = s.retry_at,
                  due_at = nullif(max(coalesce(s.retry_at, ''), coalesce(not_before, '')), ''),
                  failures = s.failures, unknowns = s.unknowns, failing_since = s.failing_since,
                  accepted_at = s.accepted_at, looks = s.looks
             FROM (SELECT value ->> '$.id' AS id, value ->> '$.claim' AS claim, value ->> '$.call' AS call,
                          value ->> '$.retry_at' AS retry_at, value ->> '$.failures' AS failures,
                          value ->> '$.unknowns' AS unknowns, value ->> '$.failing_since' AS failing_since,
                          value ->> '$.accepted_at' AS accepted_at, value ->> '$.looks' AS looks
                     FROM jsonb_each(?) WHERE NOT value ->> '$.finished') AS s
            WHERE queue.id = s.id AND queue.claim = s.claim;

           INSERT INTO attempt (env, at, call, errcode, errmsg, http_status, latency_ms, outcome)
           SELECT value ->> '$.env', value ->> '$.at', value ->> '$.call', value ->> '$.errcode',
                  value ->> '$.errmsg', value ->> '$.http_status', value ->> '$.latency_ms',
                  value ->> '$.outcome'
             FROM jsonb_each(?)"#,
        rows,
        rows,
        rows,
        attempts
    )
    .execute(connection)
    .await?;
    Ok(written.rows_affected())
}

/// What was cancelled while Weixin accepted it comes back under its own id.
async fn come_back(connection: &mut SqliteConnection, rows: &str) -> Result<u64, StoreError> {
    let back = sqlx::query!(
        r#"INSERT INTO queue (id, env, requested_at, call, due_at, retry_at, accepted_at, looks)
           SELECT status.request, status.env, status.requested_at, j.value ->> '$.call', j.value ->> '$.retry_at',
                  j.value ->> '$.retry_at', j.value ->> '$.accepted_at', j.value ->> '$.looks'
             FROM jsonb_each(?1) AS j
             CROSS JOIN status ON status.env = j.value ->> '$.env' AND status.request = j.value ->> '$.id'
            WHERE NOT j.value ->> '$.finished' AND j.value ->> '$.stands'
              AND status.finished_at IS NULL
              AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.env = status.env)"#,
        rows
    )
    .execute(connection)
    .await?;
    Ok(back.rows_affected())
}

/// Whoever was requested again while this call was on its way need not wait for its end any longer.
async fn free(connection: &mut SqliteConnection, rows: &str) -> Result<u64, StoreError> {
    let freed = sqlx::query!(
        r#"UPDATE queue SET retry_at = NULL, due_at = not_before
            WHERE id IN (SELECT q.id
                           FROM jsonb_each(?1) AS j
                           CROSS JOIN queue AS q ON q.env = j.value ->> '$.env' AND q.id > j.value ->> '$.id'
                          WHERE q.claim IS NULL AND q.retry_at IS NOT NULL AND q.accepted_at IS NULL
                            AND q.failures = 0 AND q.unknowns = 0)"#,
        rows
    )
    .execute(connection)
    .await?;
    Ok(freed.rows_affected())
}

/// Rows as one bound array. (A struct of numbers and strings always serializes.)
fn json<T: Serialize>(rows: &[T]) -> Result<String, StoreError> {
    serde_json::to_string(rows).map_err(|error| StoreError::Statement(sqlx::Error::Encode(error.into())))
}

impl<'a> From<&'a Settlement> for Row<'a> {
    fn from(settlement: &'a Settlement) -> Self {
        let Settlement {
            outcome, attempts, ..
        } = settlement;
        let last = attempts.last();
        let made = attempts
            .iter()
            .filter(|attempt| attempt.call == Call::Create)
            .count();
        let counted = i64::from(settlement.claimed_for == Call::Create);
        let site: Option<&Site> = outcome.site.as_ref();
        let next = NextRow::from(&outcome.next);
        Self {
            id: settlement.id,
            claim: settlement.claim,
            env: settlement.env.as_str(),
            state: next.state,
            finished: next.finished,
            stands: next.finished || next.progress.accepted_at.is_some(),
            creates: i64::try_from(made).unwrap_or(0) - counted,
            keep_answer: outcome.keep_answer || last.is_none(),
            errcode: last.and_then(|attempt| attempt.errcode),
            errmsg: last.map(|attempt| attempt.errmsg.as_str()),
            rid: settlement.rid.as_deref(),
            remedy: outcome.remedy.as_deref(),
            domain: site.and_then(|site| site.domain.as_deref()),
            bucket: site.and_then(|site| site.bucket.as_deref()),
            region: site.and_then(|site| site.region.as_deref()),
            now: text(settlement.now),
            call: next.call.as_str(),
            retry_at: next.retry_at,
            failures: next.progress.failures,
            unknowns: next.progress.unknowns,
            failing_since: moment(next.progress.failing_since),
            accepted_at: moment(next.progress.accepted_at),
            looks: next.progress.looks,
        }
    }
}

struct NextRow {
    state: &'static str,
    finished: bool,
    call: Call,
    retry_at: Option<String>,
    progress: Progress,
}

impl From<&Next> for NextRow {
    fn from(next: &Next) -> Self {
        match next {
            Next::Finish(end) => {
                let state = match end {
                    Final::Online => "online",
                    Final::Failed => "failed",
                    Final::Accepted => "accepted",
                };
                let (call, progress) = (Call::Describe, Progress::default());
                Self {
                    state,
                    finished: true,
                    call,
                    retry_at: None,
                    progress,
                }
            }
            Next::Again {
                state,
                call,
                at,
                progress,
            } => {
                let state = match state {
                    Open::Pending => "pending",
                    Open::Opening => "opening",
                    Open::Retrying => "retrying",
                };
                Self {
                    state,
                    finished: false,
                    call: *call,
                    retry_at: moment(*at),
                    progress: *progress,
                }
            }
        }
    }
}

impl<'a> AttemptRow<'a> {
    fn of(settlement: &'a Settlement) -> impl Iterator<Item = Self> {
        settlement.attempts.iter().map(|attempt: &Attempt| Self {
            env: settlement.env.as_str(),
            at: text(attempt.at),
            call: attempt.call.as_str(),
            errcode: attempt.errcode,
            errmsg: &attempt.errmsg,
            http_status: attempt.http_status,
            latency_ms: attempt.latency_ms,
            outcome: attempt.outcome,
        })
    }
}
