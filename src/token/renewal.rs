//! The loop that keeps the token fresh, wherever new ones come from: when the next is due, and what is done with it.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Rejection, Settings, Source, Tokens, Trouble, TroubleKind};
use crate::clock::{Timestamp, after, between};
use crate::credential::Token;
use crate::outcome::{Backoff, chance};
use crate::pulse::Beat;
use crate::store::StoreError;

/// Between two tries without a live token, where the fault passes.
const PASSING: Backoff = Backoff {
    initial: Duration::from_secs(1),
    max: Duration::from_secs(60),
};
/// Between two tries with a ticket that Weixin refused; a newer ticket is tried at once.
const REFUSED_TICKET: Duration = Duration::from_secs(300);
/// After a failed renewal, this share of the token's remaining life is waited for.
const SHARE_OF_WHAT_IS_LEFT: u32 = 4;
/// But never less.
const LEAST_WAIT: Duration = Duration::from_secs(5);
/// A token that lives shorter than this is not renewed half-way but after a wait that grows: where each is as short as the
/// one before, tokens would be fetched all the time.
const SHORT_LIFE: Duration = Duration::from_secs(60);

/// Where new tokens come from: Weixin, for a ticket; or the program that owns the token.
pub(super) trait Fetch {
    /// Between two tries without a live token, where somebody must help.
    const BLOCKED: Backoff;
    /// Between two tokens of a short life.
    const SHORT_LIVES: Backoff;
    /// The remedy for tokens that are revoked early, one after another.
    const REVOKED_REMEDY: &'static str;

    /// Goes on by another source of the same kind. (One of another kind would be a mistake, and changes nothing.)
    fn set(&mut self, source: Source);

    /// Gets a token.
    async fn fetch(&mut self, previous: Previous<'_>) -> Result<Fetched, StoreError>;

    /// Returns when something has happened that [`Fetch::has_news`] should look at. May be dropped and asked again.
    async fn stirred(&mut self);

    /// Whether a try is worth while now that was not a moment ago.
    async fn has_news(&mut self, trouble: Option<TroubleKind>) -> Result<bool, StoreError>;
}

/// The tokens before the one that is fetched.
#[derive(Clone, Copy)]
pub(super) struct Previous<'a> {
    /// The current one, live or expired.
    pub(super) current: Option<&'a Token>,
    /// The last one that was rejected, the current one included.
    pub(super) rejected: Option<&'a Token>,
}

/// What a try brought.
pub(super) enum Fetched {
    /// A token.
    New(Token),
    /// The one that we hold is still the one to hold.
    Same,
    /// None.
    Nothing(Trouble),
}

/// What ends a wait.
enum Event {
    Stop,
    Turn,
    Rejected,
    Stirred,
    Set,
    SetBack,
}

pub(super) struct Renewal<F> {
    tokens: Tokens,
    settings: watch::Receiver<Settings>,
    source: F,
    /// Whose the tokens are.
    home: String,
    failures: u32,
    /// Tokens of a short life in a row.
    short_lives: u32,
    /// No try before this, since the last one failed.
    not_before: Option<Timestamp>,
}

impl<F: Fetch> Renewal<F> {
    pub(super) fn new(tokens: Tokens, settings: watch::Receiver<Settings>, source: F) -> Self {
        let home = settings.borrow().home.clone();
        Self {
            tokens,
            settings,
            source,
            home,
            failures: 0,
            short_lives: 0,
            not_before: None,
        }
    }

    pub(super) async fn run(mut self, beat: Beat, stop: CancellationToken) -> Result<(), StoreError> {
        loop {
            if self.settings.has_changed().unwrap_or_default() {
                self.set();
            }
            let at = self.next();
            if at <= self.tokens.now() {
                beat.during(self.fetch()).await?;
                continue;
            }
            let event = beat.during(async {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => Event::Stop,
                    () = self.tokens.0.rejected.notified() => Event::Rejected,
                    () = self.tokens.0.set_back.notified() => Event::SetBack,
                    () = self.tokens.0.clock.sleep_until(at) => Event::Turn,
                    () = self.source.stirred() => Event::Stirred,
                    // The sender lives as long as the tokens, which we hold.
                    _ = self.settings.changed() => Event::Set,
                }
            });
            match event.await {
                Event::Stop => return Ok(()),
                Event::Turn => {}
                Event::Set => self.set(),
                // What a failed renewal left does not hold a replacement up.
                Event::Rejected | Event::SetBack => self.not_before = None,
                Event::Stirred => {
                    let trouble = self.tokens.trouble();
                    if self.source.has_news(trouble).await? {
                        self.not_before = None;
                    }
                }
            }
        }
    }

    /// Goes on by the settings of now.
    fn set(&mut self) {
        let Settings { source, home, .. } = self.settings.borrow_and_update().clone();
        self.source.set(source);
        if home != self.home {
            self.home = home;
            // Also what a try brought that was under way meanwhile.
            self.tokens.forget();
            self.short_lives = 0;
        }
        self.failures = 0;
        self.not_before = None;
    }

    /// When the next token is due.
    fn next(&self) -> Timestamp {
        let due = match self.tokens.held() {
            None => self.tokens.now(),
            Some(token) => {
                let ahead_of_its_end = self.ahead_of_end(&token);
                let refresh_at = self.tokens.refresh_at();
                refresh_at.map_or(ahead_of_its_end, |at| at.min(ahead_of_its_end))
            }
        };
        self.not_before.map_or(due, |at| at.max(due))
    }

    /// The time at which a token that nobody has rejected is renewed.
    fn ahead_of_end(&self, token: &Token) -> Timestamp {
        // A token that lives shorter than renew_before is renewed half-way, not all the time.
        let life = between(token.obtained_at, token.expires_at);
        let ahead = self.settings.borrow().renew_before.min(life / 2);
        let due = token.expires_at - ahead;
        if self.short_lives == 0 {
            due
        } else {
            due.max(after(token.obtained_at, F::SHORT_LIVES.bound(self.short_lives)))
        }
    }

    async fn fetch(&mut self) -> Result<(), StoreError> {
        let (current, rejected) = (self.tokens.held(), self.tokens.rejected());
        let previous = Previous {
            current: current.as_deref(),
            rejected: rejected.as_deref(),
        };
        match self.source.fetch(previous).await? {
            Fetched::New(token) => self.publish(token),
            Fetched::Same => {
                let current = self.tokens.current();
                self.not_before = current.map(|token| self.share_of_what_is_left(&token));
            }
            Fetched::Nothing(trouble) => self.complain(trouble),
        }
        Ok(())
    }

    fn publish(&mut self, token: Token) {
        self.failures = 0;
        self.not_before = None;
        self.short_lives = if between(token.obtained_at, token.expires_at) < SHORT_LIFE {
            self.short_lives.saturating_add(1)
        } else {
            0
        };
        tracing::info!(token.expires_at = %token.expires_at, "a new token");
        let previous = self.tokens.held();
        // After a token that lived longer than ten minutes the forced refreshes are counted anew.
        if let (Some(Rejection { by, at, forced, .. }), Some(previous)) =
            (self.tokens.publish(token), previous)
            && forced > 0
        {
            let times = forced.saturating_add(1);
            let life = between(previous.obtained_at, at).as_secs();
            tracing::error!(
                remedy = F::REVOKED_REMEDY,
                "token rejected {life} s after it was issued, {times} times in a row, and no call passed with it; the last to \
                 reject it was {by}"
            );
        }
    }

    /// Says what is wrong, and when the next try is due.
    fn complain(&mut self, trouble: Trouble) {
        self.failures = self.failures.saturating_add(1);
        let now = self.tokens.now();
        let live = self
            .tokens
            .current()
            .filter(|_| self.tokens.refresh_at().is_none());
        let at = match (live, trouble.kind) {
            (Some(token), _) => self.share_of_what_is_left(&token),
            (None, TroubleKind::Passing) => {
                let bound = PASSING.bound(self.failures);
                after(now, bound.mul_f64(0.5 + chance(self.failures, now) / 2.0))
            }
            (None, TroubleKind::Blocked) => after(now, F::BLOCKED.bound(self.failures)),
            (None, TroubleKind::Ticket) => after(now, REFUSED_TICKET),
        };
        self.not_before = Some(at);
        let Trouble {
            reason,
            remedy,
            errcode,
            ..
        } = &trouble;
        match trouble.kind {
            TroubleKind::Passing | TroubleKind::Ticket => {
                tracing::warn!(reason, weixin.errcode = errcode, remedy, "no new token yet");
            }
            TroubleKind::Blocked => {
                tracing::error!(reason, weixin.errcode = errcode, remedy, "no new token");
            }
        }
        self.tokens.complain(trouble);
    }

    fn share_of_what_is_left(&self, token: &Token) -> Timestamp {
        let now = self.tokens.now();
        let share = between(now, token.expires_at) / SHARE_OF_WHAT_IS_LEFT;
        after(now, share.max(LEAST_WAIT))
    }
}

#[cfg(test)]
mod tests;
