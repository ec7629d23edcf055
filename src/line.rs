//! The line to Weixin that all requests share: it hands out permits to call.
//!
//! Calls per second, calls in flight, slowing down while Weixin is busy, standing still while nothing can succeed or
//! somebody has paused: all of it is one answer to one question, "may I call now?". In an outage the line
//! shrinks to a single probe at growing intervals, and grows back with success; it never hammers.

mod gauge;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Notify, watch};

pub use gauge::{Condition, Fault};
use gauge::{Gauge, Room};

use crate::clock::{Clock, Timestamp};
use crate::outcome::{Load, Meaning, chance};
use crate::request::Call;

/// A burst may hold this share of a second's calls, so that calls in any one second stay close to the limit.
const BURSTS_PER_SECOND: u32 = 10;

/// How much the line may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most calls in flight; at least 1.
    pub max_in_flight: usize,
    /// The most creates in a second; 0: no limit.
    pub creates_per_second: u32,
    /// The most describes in a second; 0: no limit.
    pub describes_per_second: u32,
}

/// What a call showed of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Works,
    /// Weixin is busy or out of reach; what it said, or what happened.
    Busy(String),
    /// Every request would fail the same way.
    Faulty(Fault),
}

/// The line. Clones share it.
#[derive(Clone, Debug)]
pub struct Line(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    gauge: Mutex<Gauge>,
    /// Wakes both waiting lanes: there may be room.
    room: Notify,
    rates: watch::Sender<Rates>,
    condition: watch::Sender<Condition>,
}

/// Calls per second, for each call.
#[derive(Debug)]
struct Rates {
    per_second: [u32; 2],
    limiters: [Option<Arc<DefaultDirectRateLimiter>>; 2],
}

impl Rates {
    fn new(limits: Limits) -> Self {
        let per_second = [limits.creates_per_second, limits.describes_per_second];
        Self {
            per_second,
            limiters: per_second.map(limiter),
        }
    }
}

/// The right to have one call in flight, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    line: Line,
    call: Call,
    epoch: u64,
}

impl Line {
    /// A line that works, with nothing in flight.
    #[must_use]
    pub fn new(limits: Limits, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            clock,
            gauge: Mutex::new(Gauge::new(limits.max_in_flight)),
            room: Notify::new(),
            rates: watch::Sender::new(Rates::new(limits)),
            condition: watch::Sender::new(Condition::Open),
        }))
    }

    /// Waits until there is room for a call, and takes it: at least one permit, at most `most`.
    pub async fn acquire(&self, call: Call, most: usize) -> Vec<Permit> {
        let most = self.within_rate(call, most).await;
        let _waiting = Waiting::start(self, call);
        loop {
            let room = self.0.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            // The lock is gone before anything is waited for.
            let answer = self.gauge().take(call, most, self.0.clock.now());
            match answer {
                Room::Granted { permits, epoch } => {
                    return (0..permits)
                        .map(|_| Permit {
                            line: self.clone(),
                            call,
                            epoch,
                        })
                        .collect();
                }
                Room::None => room.await,
                Room::Until(at) => tokio::select! {
                    () = room => {}
                    () = self.0.clock.sleep_until(at) => {}
                },
            }
        }
    }

    /// Whether nothing but the calls in flight limits this call: then rows may be claimed ahead of their permits.
    #[must_use]
    pub fn flows(&self, call: Call) -> bool {
        self.0.rates.borrow().limiters[call as usize].is_none() && self.gauge().flows()
    }

    /// Takes from the calls per second: waits for one, takes more as far as they are there.
    async fn within_rate(&self, call: Call, most: usize) -> usize {
        let mut rates = self.0.rates.subscribe();
        loop {
            let Some(limiter) = rates.borrow_and_update().limiters[call as usize].clone() else {
                return most;
            };
            tokio::select! {
                biased;
                () = limiter.until_ready() => {
                    return 1 + (1..most).take_while(|_| limiter.check().is_ok()).count();
                }
                // The sender lives as long as the line.
                _ = rates.changed() => {}
            }
        }
    }

    /// Lets a line that rests probe at once.
    pub fn end_rest(&self) {
        let now = self.0.clock.now();
        self.gauge().end_rest(now);
        self.tell();
    }

    /// Changes how much the line may carry. What is in flight stays so: a smaller limit holds as permits come back. A line
    /// that rests may probe at once.
    pub fn set_limits(&self, limits: Limits) {
        self.0.rates.send_modify(|rates| {
            let new = Rates::new(limits);
            for (call, limiter) in new.limiters.into_iter().enumerate() {
                // One that stays as it was goes on counting: a new one would let a burst pass.
                if rates.per_second[call] != new.per_second[call] {
                    rates.limiters[call] = limiter;
                }
            }
            rates.per_second = new.per_second;
        });
        self.gauge().set_most(limits.max_in_flight);
        self.end_rest();
    }

    /// Stops new calls, or lets them go on.
    pub fn set_paused(&self, paused: bool) {
        self.gauge().paused = paused;
        self.tell();
    }

    /// Returns whether `env` met a fault of the whole line while the same call works for others, so that it is its own.
    #[must_use]
    pub fn is_alone(&self, call: Call, env: &str) -> bool {
        let now = self.0.clock.now();
        self.gauge().is_alone(call, env, now)
    }

    /// How the line is, and every change of that.
    #[must_use]
    pub fn condition(&self) -> watch::Receiver<Condition> {
        self.0.condition.subscribe()
    }

    /// When the next probe may be made, where the line stands still but for probes.
    #[must_use]
    pub fn rest_until(&self) -> Option<Timestamp> {
        self.gauge().rest_until
    }

    fn gauge(&self) -> MutexGuard<'_, Gauge> {
        // Nothing that is done under the lock can panic half-way.
        self.0.gauge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        let condition = self.gauge().condition();
        self.0.condition.send_if_modified(|shown| {
            let changed = *shown != condition;
            if changed {
                *shown = condition;
            }
            changed
        });
        self.0.room.notify_waiters();
    }
}

fn limiter(per_second: u32) -> Option<Arc<DefaultDirectRateLimiter>> {
    let per_second = NonZeroU32::new(per_second)?;
    let burst = NonZeroU32::new(per_second.get() / BURSTS_PER_SECOND).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::per_second(per_second).allow_burst(burst);
    Some(Arc::new(RateLimiter::direct(quota)))
}

impl Permit {
    /// Tells the line what the call about `env` showed of it. Returns whether `env` alone meets a fault of the whole line while
    /// others pass, so that it is this environment's own.
    pub fn report(&self, env: &str, verdict: &Verdict) -> bool {
        let now = self.line.0.clock.now();
        let mut gauge = self.line.gauge();
        let before = gauge.shape();
        let draw = chance(self.epoch, now);
        let alone = gauge.report((self.call, env), self.epoch, verdict, now, draw);
        let changed = gauge.shape() != before;
        drop(gauge);
        // Nearly every call finds the line as it was: then nobody is woken for nothing.
        if changed {
            self.line.tell();
        }
        alone
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.line.gauge().in_flight -= 1;
        self.line.0.room.notify_waiters();
    }
}

impl Verdict {
    /// Returns the verdict that a meaning allows on the line; `None` for a refused token, of which the provisioner knows
    /// more. `errcode` and `reason` are Weixin's.
    #[must_use]
    pub fn of(meaning: &Meaning, errcode: Option<i64>, reason: &str) -> Option<Self> {
        match meaning {
            Meaning::Token => None,
            Meaning::Passes(_, Load::Busy) => Some(Self::Busy(reason.to_owned())),
            Meaning::Line(remedy) => Some(Self::Faulty(Fault {
                errcode,
                reason: reason.to_owned(),
                remedy: (*remedy).to_owned(),
            })),
            _ => Some(Self::Works),
        }
    }
}

/// Marks a lane as waiting, also when its wait is abandoned.
struct Waiting<'a> {
    line: &'a Line,
    call: Call,
}

impl<'a> Waiting<'a> {
    fn start(line: &'a Line, call: Call) -> Self {
        line.gauge().waiting[call as usize] = true;
        Self { line, call }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.line.gauge().waiting[self.call as usize] = false;
        self.line.0.room.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
