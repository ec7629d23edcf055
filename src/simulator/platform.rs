//! The platform behind the server: its state under one mutex, held once and shortly for each call.

mod rules;
mod state;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::answer::Reply;
use super::waiting::{Hold, Waiting};
use super::{Endpoint, Options};
use state::State;

/// The platform: its state, and what is under way.
#[derive(Debug)]
pub(super) struct Platform {
    state: Mutex<State>,
    pub(super) waiting: Waiting,
    /// When the next push is due has changed.
    pub(super) rescheduled: Notify,
}

/// A call as it came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) is_post: bool,
    /// `access_token` in the query.
    pub(super) token: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// What becomes of a call on the wire.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) reply: Reply,
    pub(super) content_type: &'static str,
    pub(super) delay: Duration,
    pub(super) hold: Option<Hold>,
}

impl Platform {
    /// A platform with one ticket and no token.
    pub(super) fn new(options: Options) -> Self {
        Self {
            state: Mutex::new(State::new(options)),
            waiting: Waiting::default(),
            rescheduled: Notify::new(),
        }
    }

    /// The state. A panic elsewhere leaves it as true as before: nothing is half done in it.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deals with a call: its effect, its place in the ledger, its answer.
    pub(super) fn call(&self, call: &Call<'_>) -> Verdict {
        let payload = call.payload();
        let verdict = {
            let mut state = self.lock();
            let (reply, fault) = state.call(call, &payload);
            Verdict {
                reply,
                content_type: state.options.content_type,
                delay: fault.delay,
                hold: fault.held.then(|| self.waiting.place()),
            }
        };
        self.waiting.notify();
        if call.endpoint == Endpoint::StartPushTicket {
            self.rescheduled.notify_one();
        }
        verdict
    }
}
