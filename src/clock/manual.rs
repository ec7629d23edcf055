//! Time that stands until it is moved by hand, and an order that is given by hand.
//!
//! While time stands much can happen at one moment, in any order. So that a test can repeat what it saw, those whose order
//! matters ask for their [`Turn`], and whoever moves the clock may take it upon himself to give the turns. The clock's
//! sleepers wake in the order of their times.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

use super::{SET_BACK, Timestamp, between};

/// A clock that is moved by hand.
pub(super) struct Manual(Mutex<State>);

struct State {
    now: Timestamp,
    /// Names the next sleeper and the next who waits for a turn.
    next: u64,
    sleepers: BTreeMap<u64, Sleeper>,
    /// Whether turns are given by hand.
    by_turns: bool,
    waiting: BTreeMap<(String, u64), oneshot::Sender<Turn>>,
    acting: usize,
}

struct Sleeper {
    until: Timestamp,
    /// What the clock showed last: by this it is seen to be set back.
    seen: Timestamp,
    is_over: bool,
    waker: Waker,
}

impl Manual {
    pub(super) fn new(now: Timestamp) -> Self {
        Self(Mutex::new(State {
            now,
            next: 0,
            sleepers: BTreeMap::new(),
            by_turns: false,
            waiting: BTreeMap::new(),
            acting: 0,
        }))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.lock().now
    }

    /// Moves the clock, and wakes whom that concerns, the earliest first.
    pub(super) fn set(&self, to: Timestamp) {
        let mut state = self.lock();
        state.now = to;
        let mut over = Vec::new();
        for (name, sleeper) in &mut state.sleepers {
            let set_back = between(to, sleeper.seen) >= SET_BACK;
            sleeper.seen = to;
            if to >= sleeper.until || set_back {
                sleeper.is_over = true;
                over.push((sleeper.until, *name, sleeper.waker.clone()));
            }
        }
        drop(state);
        over.sort_unstable_by_key(|(until, name, _)| (*until, *name));
        over.into_iter().for_each(|(_, _, waker)| waker.wake());
    }

    pub(super) fn sleep_until(&self, until: Timestamp) -> Sleep<'_> {
        Sleep {
            clock: self,
            until,
            name: None,
        }
    }

    /// From now on nobody acts who was not let go.
    pub(super) fn take_turns(&self) {
        self.lock().by_turns = true;
    }

    /// Those who wait for their turn, in the order of their names.
    pub(super) fn waiting(&self) -> Vec<String> {
        self.lock().waiting.keys().map(|(who, _)| who.clone()).collect()
    }

    /// Gives one of them its turn; whether there was one.
    pub(super) fn let_go(self: &Arc<Self>, who: &str) -> bool {
        let mut state = self.lock();
        let first = state.waiting.keys().find(|(name, _)| name == who).cloned();
        let Some(go) = first.and_then(|first| state.waiting.remove(&first)) else {
            return false;
        };
        state.acting += 1;
        drop(state);
        // One that is gone meanwhile gives it back by this.
        let _ = go.send(Turn(Some(self.clone())));
        true
    }

    /// How many turns are not over.
    pub(super) fn acting(&self) -> usize {
        self.lock().acting
    }

    pub(super) async fn turn(self: &Arc<Self>, who: String) -> Turn {
        let (place, go) = {
            let mut state = self.lock();
            if !state.by_turns {
                state.acting += 1;
                return Turn(Some(self.clone()));
            }
            let (give, go) = oneshot::channel();
            let key = (who, state.next);
            state.next += 1;
            state.waiting.insert(key.clone(), give);
            (Place { clock: self, key }, go)
        };
        let turn = go.await;
        drop(place);
        // It is given away only with a turn.
        turn.unwrap_or(Turn(None))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Manual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Manual").field(&self.now()).finish()
    }
}

/// The right to act, until it is dropped.
#[derive(Debug)]
#[must_use = "it is over when it is dropped"]
pub struct Turn(pub(super) Option<Arc<Manual>>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(clock) = &self.0 {
            clock.lock().acting -= 1;
        }
    }
}

/// A place among those who wait for a turn; whoever no longer waits leaves it.
struct Place<'a> {
    clock: &'a Manual,
    key: (String, u64),
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.clock.lock().waiting.remove(&self.key);
    }
}

/// Waits until the clock shows a time, or is set back.
pub(super) struct Sleep<'a> {
    clock: &'a Manual,
    until: Timestamp,
    /// Among the sleepers, from the first poll on.
    name: Option<u64>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock;
        let mut state = clock.lock();
        let sleeper = self.name.and_then(|name| state.sleepers.get_mut(&name));
        if let Some(sleeper) = sleeper {
            if sleeper.is_over {
                return Poll::Ready(());
            }
            sleeper.waker.clone_from(context.waker());
            return Poll::Pending;
        }
        if state.now >= self.until {
            return Poll::Ready(());
        }
        let name = state.next;
        state.next += 1;
        let sleeper = Sleeper {
            until: self.until,
            seen: state.now,
            is_over: false,
            waker: context.waker().clone(),
        };
        state.sleepers.insert(name, sleeper);
        drop(state);
        self.name = Some(name);
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(name) = self.name {
            self.clock.lock().sleepers.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use crate::clock::{Clock, Timestamp};

    #[tokio::test]
    async fn sleepers_wake_in_the_order_of_their_times() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let (woken, mut order) = mpsc::unbounded_channel();
        let sleep = |seconds| {
            let (clock, woken) = (clock.clone(), woken.clone());
            async move {
                clock.sleep(Duration::from_secs(seconds)).await;
                woken.send(seconds).unwrap();
            }
        };
        let sleepers = tokio_util::task::TaskTracker::new();
        for seconds in [3, 1, 2] {
            sleepers.spawn(sleep(seconds));
        }
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(5));
        for expected in [1, 2, 3] {
            assert_eq!(order.recv().await, Some(expected));
        }
    }

    #[tokio::test]
    async fn whoever_waits_for_a_turn_acts_when_it_is_given_and_leaves_no_place_behind() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        drop(clock.turn("at", "once").await);
        clock.take_turns();
        let one = clock.turn("create", "b");
        let gone = clock.turn("create", "a");
        tokio::pin!(one);
        {
            tokio::pin!(gone);
            tokio::select! {
                biased;
                _ = &mut one => unreachable!(),
                _ = &mut gone => unreachable!(),
                () = std::future::ready(()) => {}
            }
            assert_eq!(clock.waiting(), ["create a", "create b"]);
        }
        assert_eq!(clock.waiting(), ["create b"]);
        assert!(!clock.let_go("create a"));
        assert!(clock.let_go("create b"));
        assert_eq!(clock.acting(), 1);
        drop(one.await);
        assert_eq!(clock.acting(), 0);
    }

    #[tokio::test]
    async fn a_turn_that_nobody_takes_any_more_is_over() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        clock.take_turns();
        {
            let waits = clock.turn("create", "a");
            tokio::pin!(waits);
            tokio::select! {
                biased;
                _ = &mut waits => unreachable!(),
                () = std::future::ready(()) => {}
            }
            assert!(clock.let_go("create a"));
        }
        assert_eq!((clock.acting(), clock.waiting().len()), (0, 0));
    }
}
