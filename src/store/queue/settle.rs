//! Settling: `status`, `queue` and `attempt` in one transaction, many outcomes in each statement.
//!
//! `status` becomes final before the row leaves `queue`: the trigger on DELETE takes everything else for a cancellation. A
//! request that was cancelled while its call was on its way gets its real outcome all the same, and comes back into
//! `queue` when that is "accepted": somebody must see it through.

use serde::Serialize;
use sqlx::SqliteConnection;

use super::{Settlement, moment};
use crate::clock::text;
use crate::outcome::{Final, Next, Open};
use crate::request::{Call, Progress};
use crate::store::StoreError;

pub(in crate::store) async fn settle(
    connection: &mut SqliteConnection,
    settlements: &[Settlement],
) -> Result<(), StoreError> {
    let rows: Vec<Row<'_>> = settlements.iter().map(Row::from).collect();
    let lists = Lists {
        status: list(rows.iter().map(Row::in_status))?,
        finished: list(rows.iter().filter(|row| row.is_finished()).map(Row::claim))?,
        open: list(rows.iter().filter_map(Row::in_queue))?,
        attempts: list(settlements.iter().flat_map(history))?,
    };
    let calls: usize = settlements.iter().map(|it| it.attempts.len()).sum();
    // A row of `status` and one of `queue` for each, and the calls.
    let all_were_ours = lists.write(connection).await? == (2 * rows.len() + calls) as u64;
    if !all_were_ours {
        // Deleted by somebody, or claimed anew since: what was accepted comes back, the rest is fenced off.
        let back = come_back(connection, &list(rows.iter().filter_map(Row::to_come_back))?).await?;
        let freed = free(connection, &list(rows.iter().map(Row::request))?).await?;
        tracing::debug!(back, freed, "settlements met rows that were no longer theirs");
    }
    Ok(())
}

/// What is written of a group: to each statement no more than it needs.
struct Lists {
    /// [`Row::in_status`]
    status: String,
    /// [`Row::claim`] of those that are finished.
    finished: String,
    /// [`Row::in_queue`] of those that are not.
    open: String,
    /// [`history`]
    attempts: String,
}

impl Lists {
    /// Writes all of it, in one string of statements, since each string is a hop to SQLite's thread: `status`; then what
    /// is finished leaves `queue`, and what is not stays there with what it has been through; then the history. Returns
    /// how many rows that changed.
    async fn write(&self, connection: &mut SqliteConnection) -> Result<u64, StoreError> {
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
                 FROM (SELECT j.value ->> 0 AS id, j.value ->> 1 AS claim, j.value ->> 2 AS env, j.value ->> 3 AS state,
                              j.value ->> 4 AS finished, j.value ->> 5 AS stands, j.value ->> 6 AS creates,
                              j.value ->> 7 AS keep_answer, j.value ->> '$[8][0]' AS errcode,
                              j.value ->> '$[8][1]' AS errmsg, j.value ->> '$[8][2]' AS rid, j.value ->> 9 AS remedy,
                              j.value ->> '$[10][0]' AS domain, j.value ->> '$[10][1]' AS bucket,
                              j.value ->> '$[10][2]' AS region, j.value ->> 11 AS now, j.value ->> 12 AS retry_at,
                              q.id AS queued, q.claim AS held, q.not_before AS not_before
                         FROM jsonb_each(?) AS j
                         LEFT JOIN queue AS q NOT INDEXED ON q.id = j.value ->> 0) AS s
                WHERE status.env = s.env AND status.request = s.id
                  AND (s.held = s.claim OR (s.queued IS NULL AND s.stands AND status.state = 'cancelled'));

               DELETE FROM queue
                WHERE id IN (SELECT q.id
                               FROM jsonb_each(?) AS j
                               CROSS JOIN queue AS q NOT INDEXED ON q.id = j.value ->> 0 AND q.claim = j.value ->> 1);

               UPDATE queue NOT INDEXED
                  SET claim = NULL, call = s.call, retry_at = coalesce(s.retry_at, s.now),
                      due_at = nullif(max(coalesce(s.retry_at, ''), coalesce(not_before, '')), ''),
                      failures = s.failures, unknowns = s.unknowns, failing_since = s.failing_since,
                      accepted_at = s.accepted_at, looks = s.looks
                 FROM (SELECT value ->> 0 AS id, value ->> 1 AS claim, value ->> 2 AS call, value ->> 3 AS retry_at,
                              value ->> 4 AS failures, value ->> 5 AS unknowns, value ->> 6 AS failing_since,
                              value ->> 7 AS accepted_at, value ->> 8 AS looks, value ->> 9 AS now
                         FROM jsonb_each(?)) AS s
                WHERE queue.id = s.id AND queue.claim = s.claim;

               INSERT INTO attempt (env, at, call, errcode, errmsg, http_status, latency_ms, outcome)
               SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7
                 FROM jsonb_each(?)"#,
            self.status,
            self.finished,
            self.open,
            self.attempts
        )
        .execute(connection)
        .await?;
        Ok(written.rows_affected())
    }
}

/// What was cancelled while Weixin accepted it comes back under its own id. `rows`: [`Row::to_come_back`].
async fn come_back(connection: &mut SqliteConnection, rows: &str) -> Result<u64, StoreError> {
    let back = sqlx::query!(
        r#"INSERT INTO queue (id, env, requested_at, call, due_at, retry_at, accepted_at, looks)
           SELECT status.request, status.env, status.requested_at, j.value ->> 2, j.value ->> 3, j.value ->> 3,
                  j.value ->> 4, j.value ->> 5
             FROM jsonb_each(?1) AS j
             CROSS JOIN status ON status.env = j.value ->> 1 AND status.request = j.value ->> 0
            WHERE status.finished_at IS NULL
              AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.env = status.env)"#,
        rows
    )
    .execute(connection)
    .await?;
    Ok(back.rows_affected())
}

/// Whoever was requested again while this call was on its way need not wait for its end any longer. `rows`:
/// [`Row::request`].
async fn free(connection: &mut SqliteConnection, rows: &str) -> Result<u64, StoreError> {
    let freed = sqlx::query!(
        r#"UPDATE queue SET retry_at = NULL, due_at = not_before
            WHERE id IN (SELECT q.id
                           FROM jsonb_each(?1) AS j
                           CROSS JOIN queue AS q ON q.env = j.value ->> 1 AND q.id > j.value ->> 0
                          WHERE q.claim IS NULL AND q.retry_at IS NOT NULL AND q.accepted_at IS NULL
                            AND q.failures = 0 AND q.unknowns = 0)"#,
        rows
    )
    .execute(connection)
    .await?;
    Ok(freed.rows_affected())
}

/// Rows as one value to bind: a JSON array of arrays. (SQLite takes objects apart in twice the time. Numbers and strings
/// always serialize.)
fn list<T: Serialize>(rows: impl Iterator<Item = T>) -> Result<String, StoreError> {
    serde_json::to_string(&rows.collect::<Vec<_>>())
        .map_err(|error| StoreError::Statement(sqlx::Error::Encode(error.into())))
}

/// A settlement as SQL reads it.
struct Row<'a> {
    settlement: &'a Settlement,
    state: &'static str,
    /// `None`: it is finished.
    again: Option<Again>,
}

/// What comes next of one that is not finished.
struct Again {
    call: Call,
    retry_at: Option<String>,
    progress: Progress,
}

impl<'a> From<&'a Settlement> for Row<'a> {
    fn from(settlement: &'a Settlement) -> Self {
        let (state, again) = match &settlement.outcome.next {
            Next::Finish(Final::Online) => ("online", None),
            Next::Finish(Final::Failed) => ("failed", None),
            Next::Finish(Final::Accepted) => ("accepted", None),
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
                let again = Again {
                    call: *call,
                    retry_at: moment(*at),
                    progress: *progress,
                };
                (state, Some(again))
            }
        };
        Self {
            settlement,
            state,
            again,
        }
    }
}

impl Row<'_> {
    fn is_finished(&self) -> bool {
        self.again.is_none()
    }

    /// Whether Weixin has accepted it, so that it must be seen through.
    fn is_accepted(&self) -> bool {
        self.again
            .as_ref()
            .is_some_and(|again| again.progress.accepted_at.is_some())
    }

    fn request(&self) -> impl Serialize {
        (self.settlement.id, self.settlement.env.as_str())
    }

    fn claim(&self) -> impl Serialize {
        (self.settlement.id, self.settlement.claim)
    }

    fn in_status(&self) -> impl Serialize {
        let Settlement {
            id,
            claim,
            env,
            outcome,
            attempts,
            rid,
            claimed_for,
            now,
        } = self.settlement;
        // It stands although the request was cancelled meanwhile.
        let stands = self.is_finished() || self.is_accepted();
        let creates = attempts
            .iter()
            .filter(|attempt| attempt.call == Call::Create)
            .count();
        // Beyond the one that the claim counted; -1: that one was never made.
        let creates = i64::try_from(creates).unwrap_or(0) - i64::from(*claimed_for == Call::Create);
        let last = attempts.last();
        let answer = (
            last.and_then(|attempt| attempt.errcode),
            last.map(|attempt| attempt.errmsg.as_str()),
            rid,
        );
        let keep_answer = outcome.keep_answer || last.is_none();
        let site = outcome
            .site
            .as_ref()
            .map(|site| (&site.domain, &site.bucket, &site.region));
        (
            id,
            claim,
            env.as_str(),
            self.state,
            self.is_finished(),
            stands,
            creates,
            keep_answer,
            answer,
            &outcome.remedy,
            site,
            text(*now),
            self.again.as_ref().and_then(|again| again.retry_at.as_deref()),
        )
    }

    fn in_queue(&self) -> Option<impl Serialize> {
        let Again {
            call,
            retry_at,
            progress,
        } = self.again.as_ref()?;
        Some((
            self.settlement.id,
            self.settlement.claim,
            call.as_str(),
            retry_at,
            progress.failures,
            progress.unknowns,
            moment(progress.failing_since),
            moment(progress.accepted_at),
            progress.looks,
            text(self.settlement.now),
        ))
    }

    fn to_come_back(&self) -> Option<impl Serialize> {
        let again = self.again.as_ref().filter(|_| self.is_accepted())?;
        Some((
            self.settlement.id,
            self.settlement.env.as_str(),
            again.call.as_str(),
            &again.retry_at,
            moment(again.progress.accepted_at),
            again.progress.looks,
        ))
    }
}

/// The calls of a settlement, for `attempt`.
fn history(settlement: &Settlement) -> impl Iterator<Item = impl Serialize> {
    settlement.attempts.iter().map(|attempt| {
        (
            settlement.env.as_str(),
            text(attempt.at),
            attempt.call.as_str(),
            attempt.errcode,
            attempt.errmsg.as_str(),
            attempt.http_status,
            attempt.latency_ms,
            attempt.outcome,
        )
    })
}
