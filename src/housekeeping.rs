//! Housekeeping, woken by the cron schedule: pruning and a checkpoint.
//!
//! tokio-cron-scheduler only rings the bell. It fires early, starts runs on top of each other and does not wait at
//! shutdown; the loop here does none of that.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Timestamp};
use crate::store::{Store, StoreError};

/// What is kept, and when the rest is pruned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long the history of calls is kept; `None`: for ever.
    pub attempts: Option<Duration>,
    /// How long the status of a finished request is kept; `None`: for ever.
    pub status: Option<Duration>,
    /// A cron expression of six fields, local time.
    pub schedule: String,
}

/// Why housekeeping ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum HousekeepingError {
    /// The schedule can't be followed.
    #[error("the schedule of housekeeping cannot be followed")]
    Schedule(#[from] JobSchedulerError),
    /// The database can't be used any more.
    #[error("housekeeping cannot use the database")]
    Store(#[from] StoreError),
}

/// Keeps house on schedule until `stop`.
///
/// # Errors
/// When the schedule can't be followed, or the database can't be used any more.
pub async fn run(
    store: Store,
    mut retention: watch::Receiver<Retention>,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), HousekeepingError> {
    let mut now = retention.borrow_and_update().clone();
    let mut bell = Bell::hang(&now.schedule, Arc::default()).await?;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Ok(()) = retention.changed() => {
                let before = std::mem::replace(&mut now, retention.borrow_and_update().clone());
                if now.schedule != before.schedule {
                    bell.move_to(&now.schedule).await;
                }
            }
            () = bell.rung.notified() => keep(&store, &now, clock.now(), &stop).await?,
        }
    }
    bell.scheduler.shutdown().await?;
    Ok(())
}

/// What the scheduler rings.
struct Bell {
    rung: Arc<Notify>,
    scheduler: JobScheduler,
}

impl Bell {
    async fn hang(schedule: &str, rung: Arc<Notify>) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        let ring = rung.clone();
        let job = Job::new_tz(schedule, chrono::Local, move |_, _| ring.notify_one())?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        Ok(Self { rung, scheduler })
    }

    /// Rings by another schedule from now on. Where that can't be, the old one goes on: the daemon does not end for it.
    async fn move_to(&mut self, schedule: &str) {
        match Self::hang(schedule, self.rung.clone()).await {
            Ok(new) => {
                let mut old = std::mem::replace(self, new);
                if let Err(error) = old.scheduler.shutdown().await {
                    tracing::warn!(%error, "the old schedule of housekeeping did not end");
                }
            }
            Err(error) => {
                tracing::error!(%error, schedule, "the new schedule of housekeeping cannot be followed; the old one goes on");
            }
        }
    }
}

/// One run, in pieces; a stop ends it between two.
///
/// # Errors
/// When the database can't be used any more.
pub async fn keep(
    store: &Store,
    retention: &Retention,
    now: Timestamp,
    stop: &CancellationToken,
) -> Result<(), StoreError> {
    let cutoff = |kept: Duration| {
        chrono::Duration::from_std(kept)
            .ok()
            .and_then(|kept| now.checked_sub_signed(kept))
    };
    let mut attempts = 0;
    if let Some(cutoff) = retention.attempts.and_then(cutoff) {
        let mut next = Some(0);
        while let Some(after) = next
            && !stop.is_cancelled()
        {
            let (pruned, last) = store.prune_attempts(cutoff, now, after).await?;
            attempts += pruned;
            next = last;
        }
    }
    if let Some(cutoff) = retention.status.and_then(cutoff) {
        let mut after = String::new();
        while let Some(last) = store.prune_status(cutoff, &after).await?
            && !stop.is_cancelled()
        {
            after = last;
        }
    }
    let tickets = store.prune_tickets().await?;
    store.optimize().await?;
    tracing::info!(attempts, tickets, "kept house");
    Ok(())
}
