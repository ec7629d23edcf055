//! What is under way, and the waking of tests that wait for it; outside the platform's mutex, for it changes when
//! requests begin and end.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::sync::{Notify, watch};

/// Counts of what is under way.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    in_flight: AtomicUsize,
    max_in_flight: AtomicUsize,
    held: AtomicUsize,
    releases: watch::Sender<u64>,
    changed: Notify,
}

impl Waiting {
    /// Counts a request for as long as the guard lives.
    pub(super) fn request(&self) -> Counted<'_> {
        let now = self.in_flight.fetch_add(1, SeqCst) + 1;
        self.max_in_flight.fetch_max(now, SeqCst);
        Counted {
            count: &self.in_flight,
            changed: &self.changed,
        }
    }

    /// Waits for the next [`Waiting::release`] after the ticket was taken, counted as held meanwhile.
    pub(super) async fn hold(&self, mut hold: Hold) {
        self.held.fetch_add(1, SeqCst);
        let _counted = Counted {
            count: &self.held,
            changed: &self.changed,
        };
        self.changed.notify_waiters();
        // The sender lives as long as `self` does.
        let _ = hold.0.changed().await;
    }

    /// Takes a place among those that the next release lets go.
    pub(super) fn place(&self) -> Hold {
        Hold(self.releases.subscribe())
    }

    /// Lets go of all that are held.
    pub(super) fn release(&self) {
        self.releases.send_modify(|count| *count += 1);
    }

    /// Wakes those who wait for a condition.
    pub(super) fn notify(&self) {
        self.changed.notify_waiters();
    }

    /// Returns once the condition holds.
    pub(super) async fn until(&self, condition: impl Fn() -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            if condition() {
                return;
            }
            changed.await;
        }
    }

    /// Requests in flight now.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(SeqCst)
    }

    /// The most that were in flight at once.
    pub(super) fn max_in_flight(&self) -> usize {
        self.max_in_flight.load(SeqCst)
    }

    /// Requests held now.
    pub(super) fn held(&self) -> usize {
        self.held.load(SeqCst)
    }

    /// Measures the most in flight anew.
    pub(super) fn clear_max(&self) {
        self.max_in_flight.store(self.in_flight(), SeqCst);
    }
}

/// A place among the held, taken before it is waited in.
#[derive(Debug)]
pub(super) struct Hold(watch::Receiver<u64>);

/// One more in a count, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    count: &'a AtomicUsize,
    changed: &'a Notify,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, SeqCst);
        self.changed.notify_waiters();
    }
}
