//! A row becomes a call, its answer a meaning, the meaning an outcome, the outcome is settled.
//!
//! Two lanes, one for each call, since each has its own rate. A lane asks for permits first and claims no more rows than it
//! got, so that what is claimed is called at once; only where nothing but the calls in flight limits it does it claim ahead
//! of its permits, and hands back what gets none. Between claim and settle nothing returns early but settle itself.

mod lane;
mod step;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use lane::LaneError;

use crate::clock::Clock;
use crate::line::Line;
use crate::outcome::Policy;
use crate::pulse::Pulse;
use crate::request::Call;
use crate::store::Store;
use crate::token::Tokens;
use crate::wake::Wakes;
use crate::weixin::Weixin;

/// What a lease leaves beyond the calls that a step can make, for the wait for a token and for the commit.
const LEASE_MARGIN: Duration = Duration::from_secs(60);

/// More than a row waits that met what blocks the whole line: for the probe of another, five minutes away at most.
const LONGEST_REST: Duration = Duration::from_secs(600);

/// Everything that a step needs.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The token.
    pub tokens: Tokens,
    /// The permits.
    pub line: Line,
    /// What may change meanwhile.
    pub rules: watch::Receiver<Arc<Rules>>,
    /// The time.
    pub clock: Clock,
    /// Where the lanes beat.
    pub pulse: Pulse,
}

/// How calls are made and answers are judged. A claim, its lease and its step go by the same ones: a lease is measured by
/// the timeouts of the client that makes the calls, so a reload in between must not make them last longer.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The API.
    pub weixin: Weixin,
    /// How long one of its calls may take.
    pub request_timeout: Duration,
    /// What to do about answers.
    pub policy: Policy,
    /// The most calls in flight: the most that is worth to be claimed at once.
    pub max_in_flight: usize,
}

impl Rules {
    /// The longest that a row waits for its next call of our own accord; longer only by its `not_before`.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        let confirm = self
            .policy
            .confirm
            .map_or(Duration::ZERO, |confirm| confirm.interval.max);
        let backoff = self.policy.retry.max.max(confirm);
        backoff.max(LONGEST_REST).max(self.lease(lane::AHEAD))
    }

    /// How long a claim holds: while its row waits for so many rounds of calls that may be claimed `ahead` of its own, and
    /// for its own calls.
    fn lease(&self, ahead: usize) -> Duration {
        self.request_timeout * (ahead as u32 + step::MOST_CALLS as u32) + LEASE_MARGIN
    }
}

/// Provisions what waits in the queue.
#[derive(Clone, Debug)]
pub struct Provisioner {
    parts: Arc<Parts>,
    /// Says to a lane, by its call, that a row may have become ready.
    nudges: Arc<[Notify; 2]>,
    steps: TaskTracker,
}

impl Provisioner {
    /// Puts it together; nothing runs yet. Steps run on `steps`.
    #[must_use]
    pub fn new(parts: Parts, steps: TaskTracker) -> Self {
        Self {
            parts: Arc::new(parts),
            nudges: Arc::new([Notify::new(), Notify::new()]),
            steps,
        }
    }

    /// Runs the lane for `call` until `stop`; its steps may still be under way then.
    ///
    /// # Errors
    /// When the database can't be used any more.
    pub async fn run(self, call: Call, wakes: Wakes, stop: CancellationToken) -> Result<(), LaneError> {
        lane::Lane::new(self, call, wakes, stop).run().await
    }

    /// Lets a line that rests probe at once with each new token, until `stop`: the old one may have been what was in the way.
    ///
    /// # Errors
    /// None: it ends with `stop`.
    pub async fn probe_with_new_tokens(self, stop: CancellationToken) -> Result<(), LaneError> {
        let mut state = self.parts.tokens.state();
        let mut last = state.borrow_and_update().token.clone();
        // The sender lives as long as the tokens, which we hold.
        while let Some(Ok(())) = stop.run_until_cancelled(state.changed()).await {
            let token = state.borrow_and_update().token.clone();
            if token.as_ref().map(Arc::as_ptr) != last.as_ref().map(Arc::as_ptr) {
                self.parts.line.end_rest();
                last = token;
            }
        }
        Ok(())
    }

    fn nudge(&self, call: Call) {
        self.nudges[call as usize].notify_one();
    }

    /// The rules of now.
    fn rules(&self) -> Arc<Rules> {
        self.parts.rules.borrow().clone()
    }
}
