//! A lane: waits for work, for a token, for permits; claims; starts the steps.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Provisioner;
use crate::clock::{Timestamp, after, between};
use crate::line::Permit;
use crate::request::Call;
use crate::store::{StoreError, Terms};
use crate::wake::Wakes;

/// While a lane is busy with rows that are ready, how often it looks for others whose time has come.
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
}

impl Lane {
    pub(super) fn new(provisioner: Provisioner, call: Call, wakes: Wakes, stop: CancellationToken) -> Self {
        Self {
            provisioner,
            call,
            wakes,
            stop,
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
        let mut made_ready_at = self.provisioner.parts.clock.now();
        loop {
            let ready = if more {
                self.provisioner.parts.max_in_flight
            } else {
                match stop.run_until_cancelled(self.work()).await {
                    Some(ready) => ready?,
                    None => return Ok(()),
                }
            };
            let Some(permits) = stop.run_until_cancelled(self.permits(ready)).await else {
                return Ok(());
            };
            let now = self.provisioner.parts.clock.now();
            let make_ready = !more || between(made_ready_at, now) >= MAKE_READY_EVERY;
            if make_ready {
                made_ready_at = now;
            }
            // From here to the steps there is no way out: what is claimed is called.
            more = self.claim(permits, now, make_ready).await?;
        }
    }

    /// Waits until a row is ready; returns how many are, as far as that matters.
    async fn work(&mut self) -> Result<usize, StoreError> {
        let provisioner = self.provisioner.clone();
        let parts = &provisioner.parts;
        loop {
            // Whatever is committed from here on is seen now or wakes us.
            self.wakes.mark_unchanged();
            let work = parts.store.work(self.call, parts.max_in_flight).await?;
            if work.ready > 0 {
                return Ok(work.ready);
            }
            let due = async {
                match work.next_due {
                    Some(at) => parts.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // A claim makes ready what has come due.
                () = due => return Ok(1),
                () = provisioner.nudges[self.call as usize].notified() => {}
                changed = self.wakes.changed() => if changed.is_err() {
                    // The watch has ended, and with it the daemon.
                    std::future::pending::<()>().await;
                },
            }
        }
    }

    /// Waits for a token, then for permits.
    async fn permits(&self, most: usize) -> Vec<Permit> {
        let parts = &self.provisioner.parts;
        let mut state = parts.tokens.state();
        while parts.tokens.current().is_none() {
            // An expired one stays in the state until the next comes.
            let _ = state.changed().await;
        }
        parts.line.acquire(self.call, most).await
    }

    /// Claims a row for each permit and starts its step; whether there were enough.
    async fn claim(
        &self,
        permits: Vec<Permit>,
        now: Timestamp,
        make_ready: bool,
    ) -> Result<bool, StoreError> {
        let parts = &self.provisioner.parts;
        let Some(token) = parts.tokens.current() else {
            return Ok(false);
        };
        let terms = Terms { now, lease_until: after(now, self.provisioner.lease()), make_ready };
        let claimed = parts.store.claim(self.call, permits.len(), terms).await?;
        if claimed.became_ready > 0 {
            Call::ALL
                .into_iter()
                .for_each(|call| self.provisioner.nudge(call));
        }
        let enough = claimed.requests.len() == permits.len();
        for (request, permit) in claimed.requests.into_iter().zip(permits) {
            let (provisioner, token) = (self.provisioner.clone(), token.clone());
            self.provisioner
                .steps
                .spawn(async move { provisioner.step(request, permit, token).await });
        }
        Ok(enough)
    }
}
