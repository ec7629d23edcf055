//! The loop that keeps the token fresh, wherever new ones come from: when the next is due, and what is done with it.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Duel, Settings, Source, Tokens, Trouble, TroubleKind};
use crate::clock::{Timestamp, after, between, text};
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

/// Where new tokens come from: Weixin, for a ticket; or the program that owns the token.
pub(super) trait Fetch {
    /// Between two tries without a live token, where somebody must help.
    const BLOCKED: Backoff;

    /// Goes on by another source of the same kind. (One of another kind would be a mistake, and changes nothing.)
    fn set(&mut self, source: Source);

    /// Gets a token.
    async fn fetch(&mut self, had: Had<'_>) -> Result<Fetched, StoreError>;

    /// Returns when something has happened that [`Fetch::has_news`] should look at. May be dropped and asked again.
    async fn stirred(&mut self);

    /// Whether a try is worth while now that was not a moment ago.
    async fn has_news(&mut self, trouble: Option<TroubleKind>) -> Result<bool, StoreError>;

    /// What is said of tokens that die young, one after another, where the next is fetched at `next`: a reason and a
    /// remedy.
    fn duel(blows: u32, next: &str) -> (String, &'static str);
}

/// What we have, or had.
#[derive(Clone, Copy)]
pub(super) struct Had<'a> {
    /// The token, live or expired, that nobody has rejected.
    pub(super) held: Option<&'a Token>,
    /// The last one that was rejected.
    pub(super) refused: Option<&'a Token>,
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
    duel: Duel,
    failures: u32,
    /// No try before this, since the last one failed.
    not_before: Option<Timestamp>,
    /// No try before this, since tokens die young.
    truce: Option<Timestamp>,
    /// When the token was fetched that has not been rejected yet.
    last_obtained_at: Option<Timestamp>,
}

impl<F: Fetch> Renewal<F> {
    pub(super) fn new(tokens: Tokens, settings: watch::Receiver<Settings>, source: F) -> Self {
        let last_obtained_at = tokens.held().map(|token| token.obtained_at);
        let home = settings.borrow().home.clone();
        Self {
            tokens,
            settings,
            source,
            home,
            duel: Duel::default(),
            failures: 0,
            not_before: None,
            truce: None,
            last_obtained_at,
        }
    }

    pub(super) async fn run(mut self, beat: Beat, stop: CancellationToken) -> Result<(), StoreError> {
        loop {
            if self.settings.has_changed().unwrap_or_default() {
                self.set();
            }
            self.count_rejection();
            let at = self.next();
            if at <= self.tokens.now() {
                beat.during(self.fetch()).await?;
                continue;
            }
            let event = beat.during(async {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => Event::Stop,
                    () = self.tokens.0.rejected.notified() => Event::Turn,
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
                Event::SetBack => {
                    self.not_before = None;
                    let longest = Duel::longest(self.tokens.now());
                    self.truce = self.truce.map(|truce| truce.min(longest));
                }
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
            self.last_obtained_at = None;
            self.duel = Duel::default();
            self.truce = None;
        }
        self.failures = 0;
        self.not_before = None;
    }

    /// When the next token is due.
    fn next(&self) -> Timestamp {
        let now = self.tokens.now();
        let due = match self.tokens.held() {
            None => now,
            Some(token) => {
                // A token that lives shorter than renew_before is renewed half-way, not all the time.
                let life = between(token.obtained_at, token.expires_at);
                let ahead = self.settings.borrow().renew_before.min(life / 2);
                token.expires_at - ahead
            }
        };
        let waits = [self.not_before, self.truce];
        waits.into_iter().flatten().fold(due, Timestamp::max)
    }

    /// Where the token was given up by a call: how soon may another be fetched?
    fn count_rejection(&mut self) {
        if self.tokens.held().is_some() {
            return;
        }
        let Some(obtained_at) = self.last_obtained_at.take() else {
            return;
        };
        let now = self.tokens.now();
        let next = self.duel.blow(obtained_at, now);
        self.not_before = None;
        self.truce = Some(next).filter(|next| *next > now);
        if self.truce.is_some() {
            let (reason, remedy) = F::duel(self.duel.blows(), &text(next));
            tracing::error!(reason, remedy, "tokens die young");
            self.tokens.complain(Trouble {
                kind: TroubleKind::Blocked,
                reason,
                remedy: Some(remedy.to_owned()),
                errcode: None,
            });
        }
    }

    async fn fetch(&mut self) -> Result<(), StoreError> {
        let (held, refused) = (self.tokens.held(), self.tokens.refused());
        let had = Had {
            held: held.as_deref(),
            refused: refused.as_deref(),
        };
        match self.source.fetch(had).await? {
            Fetched::New(token) => {
                tracing::info!(token.expires_at = %token.expires_at, "a new token");
                self.failures = 0;
                self.not_before = None;
                self.truce = None;
                self.last_obtained_at = Some(token.obtained_at);
                self.tokens.publish(token);
            }
            Fetched::Same => {
                let current = self.tokens.current();
                self.not_before = current.map(|token| self.share_of_what_is_left(&token));
            }
            Fetched::Nothing(trouble) => self.complain(trouble),
        }
        Ok(())
    }

    /// Says what is wrong, and when the next try is due.
    fn complain(&mut self, trouble: Trouble) {
        self.failures = self.failures.saturating_add(1);
        let now = self.tokens.now();
        let at = match (self.tokens.current(), trouble.kind) {
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
