//! When a ticket is pushed: at an interval, until the answer is not `success`; then only when somebody asks.
//!
//! What Weixin's documents tell of it: every ten minutes, five seconds for an answer, three tries, and that the push
//! stops when the URL answers anything else (weixin-api.md 2.4, 3.1).

use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio_util::sync::CancellationToken;

use crate::clock::{Timestamp, after};
use crate::simulator::platform::Platform;

use super::{Answer, Event, Letter, Push, Undelivered};

/// When the next ticket is pushed, and all pushes so far.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Schedule {
    /// `None`: nobody is pushed to, or the push has stopped.
    due: Option<Timestamp>,
    tickets: u64,
    pub(in crate::simulator) made: Vec<Push>,
}

impl Schedule {
    /// The first push comes an interval after there is somebody to push to.
    pub(in crate::simulator) fn start(&mut self, now: Timestamp, interval: Duration) {
        self.due = Some(after(now, interval));
    }

    /// Nobody is there to push to any more.
    pub(in crate::simulator) fn end(&mut self) {
        self.due = None;
    }

    /// Somebody asked for a push; one that is due sooner is not put off.
    pub(in crate::simulator) fn ask(&mut self, now: Timestamp, delay: Duration) {
        let asked = after(now, delay);
        self.due = Some(self.due.map_or(asked, |due| due.min(asked)));
    }

    /// Whether a push is to come.
    pub(in crate::simulator) fn goes_on(&self) -> bool {
        self.due.is_some()
    }

    /// The next ticket's event, whose form changes from one to the next.
    fn event(&mut self, ticket: &str, now: Timestamp) -> Event {
        self.tickets += 1;
        let event = Event::ticket(ticket, now);
        if self.tickets.is_multiple_of(2) {
            event.plain()
        } else {
            event
        }
    }
}

/// Pushes what is due until `stop`.
pub(in crate::simulator) async fn run(platform: Arc<Platform>, stop: CancellationToken) {
    loop {
        let (clock, due) = {
            let state = platform.lock();
            (state.options.clock.clone(), state.schedule.due)
        };
        let come_due = async {
            match due {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        select! {
            biased;
            () = stop.cancelled() => return,
            () = platform.rescheduled.notified() => continue,
            () = come_due => {}
        }
        select! {
            biased;
            () = stop.cancelled() => return,
            () = push_due(&platform) => {}
        }
    }
}

/// Pushes a ticket, and sets when the next is due.
async fn push_due(platform: &Platform) {
    let begun = {
        let mut state = platform.lock();
        let now = state.now();
        state.schedule.due = None;
        now
    };
    let succeeded = push(platform, begun).await;
    let mut state = platform.lock();
    let goes_on = state.options.push_to.is_some() && (succeeded || !state.options.push_stops);
    let next = goes_on.then(|| after(begun, state.options.push_interval));
    // What was asked for meanwhile comes first.
    state.schedule.due = state.schedule.due.or(next);
}

/// Pushes a new ticket, tried as often as is documented; returns whether it got its `success`.
async fn push(platform: &Platform, now: Timestamp) -> bool {
    let Some((event, tries)) = next_ticket(platform, now) else {
        return false;
    };
    let Some(letter) = seal(platform, &event, now) else {
        return false;
    };
    for _ in 0..tries {
        let answer = deliver(platform, event.info_type(), &letter).await;
        if answer.is_ok_and(|answer| answer.is_success()) {
            return true;
        }
    }
    false
}

fn next_ticket(platform: &Platform, now: Timestamp) -> Option<(Event, u32)> {
    let mut state = platform.lock();
    state.options.push_to.as_ref()?;
    let ticket = state.issue_ticket(now);
    Some((state.schedule.event(&ticket, now), state.options.push_tries))
}

/// Seals an event for whoever is pushed to.
pub(in crate::simulator) fn seal(platform: &Platform, event: &Event, now: Timestamp) -> Option<Letter> {
    let target = platform.lock().options.push_to.clone()?;
    Some(target.seal().letter(event, now))
}

/// Sends a letter once and writes down what came of it.
pub(in crate::simulator) async fn deliver(
    platform: &Platform,
    info_type: &str,
    letter: &Letter,
) -> Result<Answer, Undelivered> {
    let (at, target, patience) = {
        let state = platform.lock();
        (
            state.now(),
            state.options.push_to.clone(),
            state.options.push_patience,
        )
    };
    let answer = match target {
        Some(target) => target.post(letter, patience).await,
        None => Err(Undelivered::NoTarget),
    };
    platform.lock().schedule.made.push(Push {
        at,
        info_type: info_type.to_owned(),
        answer: answer.as_ref().map(Clone::clone).map_err(ToString::to_string),
    });
    platform.waiting.notify();
    answer
}
