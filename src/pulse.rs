//! Whether the loops still turn: what systemd's watchdog is fed by.
//!
//! Each loop that must live has a [`Beat`] and beats whenever it turns. What it may rightly wait for however long (work, a
//! permit, an answer within its timeouts, a commit of the writer, which has a beat of its own) it waits for by [`Beat::during`], and
//! beats meanwhile. So a beat grows old when a thread is blocked, when something never yields, and when anything else that
//! a loop waits for, such as SQLite's thread, does not come back. What is not seen: an event that never comes although
//! it should.
//!
//! It also knows what the store has at work, so that whoever moves a clock by hand can wait until nothing is.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Stopwatch;

/// The beats of all loops. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// How often a loop beats that waits; `None`: nobody looks, and nobody is woken for it.
    tick: Option<Duration>,
    beats: Mutex<Vec<Arc<Last>>>,
    at_work: [AtomicUsize; 2],
}

/// What comes to its end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The database is read.
    Read,
    /// The database is written; from the order on.
    Write,
}

/// When a loop last beat. Real time, for it is a real machine that hangs; a suspended one ages nothing.
#[derive(Debug)]
struct Last {
    name: &'static str,
    since: Stopwatch,
    millis: AtomicU64,
    turns: AtomicU64,
}

impl Last {
    fn age(&self) -> Duration {
        let at = Duration::from_millis(self.millis.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(at)
    }
}

impl Pulse {
    /// A pulse that somebody looks at; loops that wait beat at least as often as `tick`. (By default nobody looks.)
    #[must_use]
    pub fn new(tick: Duration) -> Self {
        Self(Arc::new(Shared {
            tick: Some(tick),
            ..Shared::default()
        }))
    }

    /// Counts some work until it is dropped.
    pub fn at_work(&self, work: Work) -> AtWork {
        self.0.at_work[work as usize].fetch_add(1, Ordering::SeqCst);
        AtWork(self.clone(), work)
    }

    /// How much work of a kind has been begun and not come to its end.
    #[must_use]
    pub fn under_way(&self, work: Work) -> usize {
        self.0.at_work[work as usize].load(Ordering::SeqCst)
    }

    /// How often a loop has turned; `None` where there is none of this name.
    #[must_use]
    pub fn turns(&self, name: &str) -> Option<u64> {
        let beats = self.beats();
        let last = beats.iter().find(|last| last.name == name)?;
        Some(last.turns.load(Ordering::SeqCst))
    }

    /// The beat of one more loop, which is looked at from now on until it is dropped.
    #[must_use]
    pub fn beat(&self, name: &'static str) -> Beat {
        let last = Arc::new(Last {
            name,
            since: Stopwatch::start(),
            millis: AtomicU64::new(0),
            turns: AtomicU64::new(0),
        });
        self.beats().push(last.clone());
        Beat {
            pulse: self.clone(),
            last,
        }
    }

    /// The loop that has not beaten for the longest time, and for how long.
    #[must_use]
    pub fn oldest(&self) -> Option<(&'static str, Duration)> {
        let ages = self.beats();
        let ages = ages.iter().map(|last| (last.name, last.age()));
        ages.max_by_key(|(_, age)| *age)
    }

    fn beats(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Last>>> {
        self.0.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Some work, until it is dropped.
#[derive(Debug)]
#[must_use = "it is over when it is dropped"]
pub struct AtWork(Pulse, Work);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.0.at_work[self.1 as usize].fetch_sub(1, Ordering::SeqCst);
    }
}

/// The beat of one loop.
#[derive(Debug)]
pub struct Beat {
    pulse: Pulse,
    last: Arc<Last>,
}

impl Beat {
    /// The loop turns.
    pub fn turn(&self) {
        let millis = u64::try_from(self.last.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.millis.store(millis, Ordering::Relaxed);
        self.last.turns.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts some work until it is dropped.
    pub fn at_work(&self, work: Work) -> AtWork {
        self.pulse.at_work(work)
    }

    /// Waits for what may take however long, and beats meanwhile. The same future is polled all the while.
    pub async fn during<T>(&self, wait: impl Future<Output = T>) -> T {
        tokio::pin!(wait);
        loop {
            self.turn();
            let Some(tick) = self.pulse.0.tick else {
                return wait.await;
            };
            if let Ok(done) = tokio::time::timeout(tick, wait.as_mut()).await {
                self.turn();
                return done;
            }
        }
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.pulse.beats().retain(|last| !Arc::ptr_eq(last, &self.last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(5);

    /// Waits in real time until the oldest beat is so old, and says whose it is.
    async fn grown_old(pulse: &Pulse, age: Duration) -> &'static str {
        loop {
            match pulse.oldest() {
                Some((name, oldest)) if oldest >= age => return name,
                _ => tokio::time::sleep(TICK).await,
            }
        }
    }

    #[tokio::test]
    async fn a_loop_that_hangs_is_the_oldest_though_the_others_turn_and_wait() {
        let pulse = Pulse::new(TICK);
        let hangs = pulse.beat("hangs");
        hangs.turn();
        let waits = pulse.beat("waits");
        tokio::select! {
            () = waits.during(std::future::pending()) => unreachable!(),
            name = grown_old(&pulse, 20 * TICK) => assert_eq!(name, "hangs"),
        }
        drop(hangs);
        assert_eq!(
            pulse.oldest().unwrap().0,
            "waits",
            "who has ended is not looked at"
        );
    }

    #[test]
    fn work_is_under_way_and_a_loop_known_until_they_are_dropped() {
        let pulse = Pulse::default();
        let (one, two) = (pulse.at_work(Work::Read), pulse.at_work(Work::Read));
        assert_eq!(
            (pulse.under_way(Work::Read), pulse.under_way(Work::Write)),
            (2, 0)
        );
        drop((one, two));
        assert_eq!(pulse.under_way(Work::Read), 0);
        let beat = pulse.beat("loop");
        beat.turn();
        assert_eq!((pulse.turns("loop"), pulse.turns("other")), (Some(1), None));
        drop(beat);
        assert_eq!(pulse.turns("loop"), None);
    }

    #[tokio::test]
    async fn what_is_waited_for_is_polled_on_and_not_begun_anew() {
        let pulse = Pulse::new(TICK);
        let mut begun = 0;
        let work = async {
            begun += 1;
            tokio::time::sleep(10 * TICK).await;
            "done"
        };
        assert_eq!(pulse.beat("loop").during(work).await, "done");
        assert_eq!(begun, 1);
    }
}
