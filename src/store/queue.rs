//! Rows of `queue`: claimed, settled, counted.
//!
//! A claim writes down what a crash would need to know: a row claimed to be created says "describe" from that moment
//! on, so that whoever comes next looks before anything is created again. A settlement names the row and its claim; under any
//! other claim it changes nothing.

mod claim;
mod hasten;
mod held;
mod settle;

use crate::clock::{Timestamp, text};
use crate::outcome::Outcome;
use crate::request::{Call, Env, Request};

pub(super) use claim::{claim, release};
pub(super) use hasten::hasten;
pub(super) use held::Held;
pub(super) use settle::settle;

use super::writer::{Change, Order};
use super::{Store, StoreError};

/// The most rows that one claim makes ready whose time has come.
const MOST_DUE: i64 = 500;

/// What to claim.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClaimOrder {
    pub call: Call,
    pub most: usize,
    /// Whether rows whose time has come are made ready first.
    pub make_ready: bool,
    pub now: Timestamp,
    pub lease_until: Timestamp,
    /// Names this claim; no two are alike.
    pub claim: i64,
}

/// On what terms to claim.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Now.
    pub now: Timestamp,
    /// Until when the claim holds.
    pub lease_until: Timestamp,
    /// Whether rows whose time has come are made ready first; while others are ready, that can wait.
    pub make_ready: bool,
}

/// What a claim got.
#[derive(Debug, Default)]
pub struct Claimed {
    /// The requests, the most urgent first.
    pub requests: Vec<Request>,
    /// How many rows became ready because their time had come, of either call.
    pub became_ready: u64,
}

/// One call, for the history.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it was made.
    pub at: Timestamp,
    /// Which.
    pub call: Call,
    /// Weixin's code, where one came.
    pub errcode: Option<i64>,
    /// What Weixin said, or why it said nothing.
    pub errmsg: String,
    /// The HTTP status, where one came.
    pub http_status: Option<u16>,
    /// From the call to the end of its answer, in milliseconds.
    pub latency_ms: u64,
    /// The word for what came of it.
    pub outcome: &'static str,
}

/// What came of a claimed request.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The row.
    pub id: i64,
    /// The claim that holds it.
    pub claim: i64,
    /// Its environment.
    pub env: Env,
    /// What happens next.
    pub outcome: Outcome,
    /// The calls that were made, in order; the last one's answer goes into `status`.
    pub attempts: Vec<Attempt>,
    /// Weixin's request id, from the last answer.
    pub rid: Option<String>,
    /// Whether this was claimed to be created (a claim for that counts one create call).
    pub claimed_for: Call,
    /// Now.
    pub now: Timestamp,
}

/// What waits in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Rows that are ready for the call asked about; counted no further than was asked.
    pub ready: usize,
    /// When the next row becomes ready, for either call.
    pub next_due: Option<Timestamp>,
}

impl Store {
    /// Claims up to `most` ready requests for `call`, the most urgent first.
    ///
    /// # Errors
    /// When the writer has ended.
    pub async fn claim(&self, call: Call, most: usize, terms: Terms) -> Result<Claimed, StoreError> {
        let Terms {
            now,
            lease_until,
            make_ready,
        } = terms;
        let claim = fastrand::i64(1..);
        let order = ClaimOrder {
            call,
            most,
            make_ready,
            now,
            lease_until,
            claim,
        };
        self.writer.write(|done| Order::Claim(order, done)).await
    }

    /// Writes down what came of a claimed request: `queue`, `status` and `attempt` in one transaction.
    ///
    /// # Errors
    /// When the row can't be written, or the writer has ended.
    pub async fn settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        self.writer
            .write(|done| Order::Settle(Box::new(settlement), done))
            .await
    }

    /// Makes the leftovers of dead claims ready at once; returns how many there were. Only for start-up, when no
    /// claim is alive.
    ///
    /// # Errors
    /// When the writer has ended.
    pub async fn release(&self) -> Result<u64, StoreError> {
        self.writer
            .write(|done| Order::Change(Change::Release, done))
            .await
    }

    /// After the clock was set back: lets no row wait for its next call beyond `latest`, but for its own `not_before`.
    /// Returns how many would have.
    ///
    /// # Errors
    /// When the writer has ended.
    pub async fn hasten(&self, now: Timestamp, latest: Timestamp) -> Result<u64, StoreError> {
        self.writer
            .write(|done| Order::Change(Change::Hasten { now, latest }, done))
            .await
    }

    /// Says what waits for `call`, counting up to `most`.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn work(&self, call: Call, most: usize) -> Result<Work, StoreError> {
        let (call, most) = (call.as_str(), i64::try_from(most).unwrap_or(i64::MAX));
        let row = self
            .readers
            .read(|pool| {
                sqlx::query!(
                    r#"SELECT (SELECT count(*) FROM (SELECT 1 FROM queue
                                              WHERE claim IS NULL AND due_at IS NULL AND call = ?1
                                              LIMIT ?2)) AS "ready!: i64",
                      (SELECT min(due_at) FROM queue
                        WHERE claim IS NULL AND due_at IS NOT NULL) AS "waiting: String",
                      (SELECT min(due_at) FROM queue WHERE claim IS NOT NULL) AS "lease: String""#,
                    call,
                    most
                )
                .fetch_one(pool)
            })
            .await?;
        let next_due = row.waiting.into_iter().chain(row.lease).min();
        Ok(Work {
            ready: usize::try_from(row.ready).unwrap_or(0),
            next_due: next_due.as_deref().and_then(crate::clock::parse),
        })
    }
}

fn moment(at: Option<Timestamp>) -> Option<String> {
    at.map(text)
}

#[cfg(test)]
mod tests;
