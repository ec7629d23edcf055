//! Weixin is asked to push a ticket when there is none, when it refuses the one we have, or when that is over an hour
//! old: something on the way no longer receives it, or Weixin has stopped to push (weixin-api.md 2.4).
//!
//! A loop of its own with a deadline of its own, because a token lives for hours without any need for a ticket, and it
//! is in these hours that the lack of one can be mended.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Component, Settings, Source, Tokens, TroubleKind};
use crate::clock::{Timestamp, after};
use crate::pulse::Beat;
use crate::store::{Store, StoreError};

/// api_start_push_ticket is called at most once in this time, restarts included (CONTRACT 6).
const SPACING: Duration = Duration::from_secs(600);
/// A ticket that is older is one push too many late: they come every ten minutes (CONTRACT 6).
const OLD: Duration = Duration::from_secs(3600);

pub(super) struct Push {
    tokens: Tokens,
    settings: watch::Receiver<Settings>,
    component: Component,
    store: Store,
}

impl Push {
    pub(super) fn new(
        tokens: Tokens,
        settings: watch::Receiver<Settings>,
        component: Component,
        store: Store,
    ) -> Self {
        Self {
            tokens,
            settings,
            component,
            store,
        }
    }

    /// Asks whenever it is due, until `stop`. A ticket that comes meanwhile is seen at the deadline, which it moves.
    pub(super) async fn run(mut self, beat: Beat, stop: CancellationToken) -> Result<(), StoreError> {
        let mut state = self.tokens.state();
        loop {
            state.mark_unchanged();
            if let Source::Component(component) = &self.settings.borrow_and_update().source {
                self.component = (**component).clone();
            }
            let at = self.due().await?;
            if at <= self.tokens.now() {
                beat.during(self.ask()).await?;
                continue;
            }
            let stopped = beat.during(async {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => true,
                    () = self.tokens.0.clock.sleep_until(at) => false,
                    // The sender lives as long as the tokens, which we hold.
                    _ = state.changed() => false,
                    _ = self.settings.changed() => false,
                }
            });
            if stopped.await {
                return Ok(());
            }
        }
    }

    async fn due(&self) -> Result<Timestamp, StoreError> {
        let refused = self.tokens.trouble() == Some(TroubleKind::Ticket);
        let newest = self.store.newest_ticket().await?;
        let received_at = newest.and_then(|newest| newest.received_at);
        let asked_at = self.store.push_asked_at().await?;
        Ok(due(received_at.filter(|_| !refused), asked_at, self.tokens.now()))
    }

    async fn ask(&self) -> Result<(), StoreError> {
        // Written first: a crash in between must not make the call come twice.
        self.store.set_push_asked(self.tokens.now()).await?;
        let Component {
            weixin,
            appid,
            secret,
            ..
        } = &self.component;
        let _turn = self.tokens.0.clock.turn("ask for", "a ticket").await;
        match weixin.start_push_ticket(appid, secret).await {
            Ok(()) => tracing::info!("asked Weixin to push a ticket"),
            Err(error) => tracing::warn!(%error, "Weixin could not be asked to push a ticket"),
        }
        Ok(())
    }
}

/// When the next call is due, with a good ticket received at `received_at` (if there is one) and the last call at
/// `asked_at`. A time in the future was written before the clock was set back: it says nothing.
fn due(received_at: Option<Timestamp>, asked_at: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let needed = received_at.map_or(now, |at| after(at.min(now), OLD));
    let allowed = asked_at
        .filter(|at| *at <= now)
        .map_or(now, |at| after(at, SPACING));
    needed.max(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_due_without_a_good_ticket_or_an_hour_after_the_last_and_never_twice_in_ten_minutes() {
        let start = Timestamp::UNIX_EPOCH;
        let minute = |minutes: u64| after(start, Duration::from_secs(minutes * 60));
        let now = minute(120);
        for (received, asked, expected) in [
            (None, None, 120),
            (None, Some(60), 120),
            (None, Some(115), 125),
            (Some(119), None, 179),
            (Some(119), Some(118), 179),
            (Some(61), None, 121),
            (Some(61), Some(115), 125),
            (Some(60), None, 120),
            (Some(0), Some(110), 120),
            (Some(0), Some(111), 121),
            // Written before the clock was set back.
            (None, Some(500), 120),
            (Some(500), None, 180),
        ] {
            let at = due(received.map(minute), asked.map(minute), now);
            assert_eq!(at.max(now), minute(expected), "{received:?} {asked:?}");
        }
    }
}
