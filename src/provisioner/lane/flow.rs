//! While the line flows and there is more, rows are claimed ahead of their permits.
//!
//! A claim waits for a commit. Were it made only once a permit is free, that permit would stand idle for as long; so
//! the next rows are claimed while the calls of the last ones are under way. What was claimed and gets no permit,
//! because the line no longer flows, the rules have changed or the daemon stops, is handed back untouched.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use super::super::Rules;
use super::Lane;
use crate::line::{Condition, Permit};
use crate::request::Request;
use crate::store::{Claimed, StoreError};
use tokio::sync::watch;

/// How many rows may be claimed ahead, as a multiple of the calls in flight: what is called while two commits are made, the one
/// that a claim comes too late for and its own, with something to spare for the pauses between them.
pub(in crate::provisioner) const AHEAD: usize = 16;
/// The most rows of one claim: other programs wait while it is written.
const MOST_AT_ONCE: usize = 512;

type Claiming = Pin<Box<dyn Future<Output = Result<Claimed, StoreError>> + Send>>;

/// What comes first.
enum First {
    Permits(Vec<Permit>),
    Claimed(Result<Claimed, StoreError>),
    LookAgain,
}

pub(super) struct Flow<'a> {
    lane: &'a mut Lane,
    /// Claimed, and without a permit.
    ahead: VecDeque<Request>,
    /// The claim that is being committed, and how many rows it wants.
    claiming: Option<(usize, Claiming)>,
    /// Whether the last claim got all that it wanted.
    more: bool,
    condition: watch::Receiver<Condition>,
    /// Those that all of this is claimed and called by, ...
    rules: Arc<Rules>,
    /// ... and whether they have changed.
    changes: watch::Receiver<Arc<Rules>>,
}

impl<'a> Flow<'a> {
    pub(super) fn new(lane: &'a mut Lane) -> Self {
        let condition = lane.provisioner.parts.line.condition();
        let mut changes = lane.provisioner.parts.rules.clone();
        let rules = changes.borrow_and_update().clone();
        Self {
            lane,
            ahead: VecDeque::new(),
            claiming: None,
            more: true,
            condition,
            rules,
            changes,
        }
    }

    /// Runs until there is nothing more to claim, the line no longer flows, the rules change, or it is time to stop.
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        while self.flows() {
            self.claim_ahead();
            if self.claiming.is_none() && self.ahead.is_empty() {
                return Ok(());
            }
            self.turn().await?;
        }
        if let Some((_, claiming)) = self.claiming.take() {
            let claimed = self.lane.beat.during(claiming).await?;
            self.ahead.extend(self.lane.got(claimed));
        }
        self.ahead
            .drain(..)
            .for_each(|request| self.lane.hand_back(request));
        Ok(())
    }

    fn flows(&self) -> bool {
        let parts = &self.lane.provisioner.parts;
        parts.line.flows(self.lane.call)
            && parts.tokens.current().is_some()
            && !self.changes.has_changed().unwrap_or_default()
            && !self.lane.stop.is_cancelled()
    }

    /// Begins a claim where half of what may be ahead is not.
    fn claim_ahead(&mut self) {
        let depth = AHEAD * self.rules.max_in_flight;
        let ahead = self.ahead.len();
        if self.more && self.claiming.is_none() && ahead * 2 <= depth {
            let wanted = (depth - ahead).min(MOST_AT_ONCE);
            let claim = self.lane.claim(wanted, self.rules.lease(AHEAD));
            self.claiming = Some((wanted, Box::pin(claim)));
        }
    }

    /// Waits for what comes first: permits, claimed rows, or a reason to look again.
    async fn turn(&mut self) -> Result<(), StoreError> {
        let Self {
            lane,
            ahead,
            claiming,
            more,
            condition,
            rules,
            changes,
        } = self;
        let line = &lane.provisioner.parts.line;
        let claimed = async {
            match claiming {
                Some((_, claiming)) => claiming.await,
                None => std::future::pending().await,
            }
        };
        let first = lane.beat.during(async {
            tokio::select! {
                permits = line.acquire(lane.call, ahead.len()), if !ahead.is_empty() => First::Permits(permits),
                claimed = claimed => First::Claimed(claimed),
                () = lane.stop.cancelled() => First::LookAgain,
                // The sender lives as long as the line.
                _ = condition.changed() => First::LookAgain,
                () = until_changed(changes) => First::LookAgain,
            }
        });
        match first.await {
            First::Permits(permits) => {
                // No more permits than were asked for.
                let started = ahead.drain(..permits.len()).zip(permits);
                started.for_each(|(request, permit)| lane.start(request, permit, rules.clone()));
            }
            First::Claimed(claimed) => {
                let requests = lane.got(claimed?);
                *more = claiming
                    .take()
                    .is_some_and(|(wanted, _)| requests.len() == wanted);
                ahead.extend(requests);
            }
            First::LookAgain => {}
        }
        Ok(())
    }
}

/// Returns when the rules are not those that were read last, however often it is asked.
async fn until_changed(changes: &watch::Receiver<Arc<Rules>>) {
    // Waiting marks what has come as seen; on a copy it stays to be seen by whoever asks `flows`.
    if changes.clone().changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
