//! A lane: waits for work, for a token, for permits; claims; starts the steps.

mod flow;

pub(super) use flow::AHEAD;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Provisioner, Rules};
use crate::clock::{Timestamp, after, between};
use crate::line::Permit;
use crate::pulse::Beat;
use crate::request::{Call, Request};
use crate::store::{Claimed, StoreError, Terms};
use crate::wake::Wakes;

/// While a lane is busy with rows that are ready, how often it looks for others whose time has come; also how long it rests
/// before it tries again to have one that could not be had.
const MAKE_READY_EVERY: Duration = Duration::from_millis(100);

/// Why a lane ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("the {call} lane ended", call = self.call.as_str())]
pub struct LaneError {
    call: Call,
    source: StoreError,
}

pub(super) struct Lane {
    provisioner: Provisioner,
    call: Call,
    wakes: Wakes,
    stop: CancellationToken,
    beat: Beat,
    /// When rows whose time had come were last made ready.
    made_ready_at: Option<Timestamp>,
    /// Since the last claim, where that got nothing: the row whose time had come is held, though its lease is over.
    in_vain: Option<Timestamp>,
}

impl Lane {
    pub(super) fn new(provisioner: Provisioner, call: Call, wakes: Wakes, stop: CancellationToken) -> Self {
        let beat = provisioner.parts.pulse.beat(call.as_str());
        Self {
            provisioner,
            call,
            wakes,
            stop,
            beat,
            made_ready_at: None,
            in_vain: None,
        }
    }

    pub(super) async fn run(mut self) -> Result<(), LaneError> {
        let call = self.call;
        self.turn_until_stop()
            .await
            .map_err(|source| LaneError { call, source })
    }

    async fn turn_until_stop(&mut self) -> Result<(), StoreError> {
        let stop = self.stop.clone();
        // After a claim that got all it asked for there is more: no need to look.
        let mut more = false;
        loop {
            let ready = if more {
                self.provisioner.rules().max_in_flight
            } else {
                match stop.run_until_cancelled(self.work()).await {
                    Some(ready) => ready?,
                    None => return Ok(()),
                }
            };
            if self.provisioner.parts.line.flows(self.call) {
                flow::Flow::new(self).run().await?;
                more = false;
                continue;
            }
            let permits = self.beat.during(stop.run_until_cancelled(self.permits(ready)));
            let Some(permits) = permits.await else {
                return Ok(());
            };
            // From here to the steps there is no way out: what is claimed is called.
            let rules = self.provisioner.rules();
            let claim = self.claim(permits.len(), rules.lease(0));
            let claimed = self.beat.during(claim).await?;
            let requests = self.got(claimed);
            more = requests.len() == permits.len();
            for (request, permit) in requests.into_iter().zip(permits) {
                self.start(request, permit, rules.clone());
            }
        }
    }

    /// Waits until a row is ready; returns how many are, as far as that matters.
    async fn work(&mut self) -> Result<usize, StoreError> {
        let provisioner = self.provisioner.clone();
        let parts = &provisioner.parts;
        loop {
            // Whatever is committed from here on is seen now or wakes us.
            self.wakes.mark_unchanged();
            let now = parts.clock.now();
            let work = parts
                .store
                .work(self.call, provisioner.rules().max_in_flight)
                .await?;
            if work.ready > 0 {
                if work.next_due.is_none_or(|due| due > now) {
                    // The claim need not look for what has come due: nothing has.
                    self.made_ready_at = Some(now);
                }
                return Ok(work.ready);
            }
            let in_vain = self.in_vain;
            let due = async {
                match (work.next_due, in_vain) {
                    (Some(at), Some(since)) if at <= now => {
                        parts.clock.sleep_until(after(since, MAKE_READY_EVERY)).await;
                    }
                    (Some(at), _) => parts.clock.sleep_until(at).await,
                    (None, _) => std::future::pending().await,
                }
            };
            let (nudge, wakes) = (&provisioner.nudges[self.call as usize], &mut self.wakes);
            let came_due = self.beat.during(async {
                tokio::select! {
                    () = due => true,
                    () = nudge.notified() => false,
                    changed = wakes.changed() => {
                        if changed.is_err() {
                            // The watch has ended, and with it the daemon.
                            std::future::pending::<()>().await;
                        }
                        false
                    }
                }
            });
            if came_due.await {
                // A claim makes ready what has come due.
                self.made_ready_at = None;
                return Ok(1);
            }
        }
    }

    /// Waits for a token, then for permits.
    async fn permits(&self, most: usize) -> Vec<Permit> {
        self.token().await;
        drop(
            self.provisioner
                .parts
                .clock
                .turn("claim to", self.call.as_str())
                .await,
        );
        self.provisioner.parts.line.acquire(self.call, most).await
    }

    /// Waits until there is a token.
    async fn token(&self) {
        let tokens = &self.provisioner.parts.tokens;
        let mut state = tokens.state();
        while tokens.current().is_none() {
            // An expired one stays in the state until the next comes.
            let _ = state.changed().await;
        }
    }

    /// Claims up to so many rows for as long as `lease`; none without a token. Once begun it must be seen through: what is
    /// claimed is ours.
    fn claim(
        &mut self,
        most: usize,
        lease: Duration,
    ) -> impl Future<Output = Result<Claimed, StoreError>> + Send + use<> {
        let (provisioner, call) = (self.provisioner.clone(), self.call);
        let now = provisioner.parts.clock.now();
        let make_ready = self
            .made_ready_at
            .is_none_or(|at| between(at, now) >= MAKE_READY_EVERY || at > now);
        if make_ready {
            self.made_ready_at = Some(now);
        }
        let terms = Terms {
            now,
            lease_until: after(now, lease),
            make_ready,
        };
        async move {
            if provisioner.parts.tokens.current().is_none() {
                return Ok(Claimed::default());
            }
            let claimed = provisioner.parts.store.claim(call, most, terms).await?;
            if claimed.became_ready > 0 {
                Call::ALL.into_iter().for_each(|call| provisioner.nudge(call));
            }
            Ok(claimed)
        }
    }

    /// Takes what a claim got.
    fn got(&mut self, claimed: Claimed) -> Vec<Request> {
        let in_vain = claimed.requests.is_empty() && claimed.became_ready == 0;
        self.in_vain = in_vain.then(|| self.provisioner.parts.clock.now());
        claimed.requests
    }

    /// Starts the step of a claimed request.
    fn start(&self, request: Request, permit: Permit, rules: Arc<Rules>) {
        let provisioner = self.provisioner.clone();
        self.provisioner
            .steps
            .spawn(async move { provisioner.step(request, permit, &rules).await });
    }

    /// Hands back a claimed request whose call was not made.
    fn hand_back(&self, request: Request) {
        let provisioner = self.provisioner.clone();
        self.provisioner
            .steps
            .spawn(async move { provisioner.hand_back(request).await });
    }
}
