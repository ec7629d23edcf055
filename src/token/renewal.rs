//! The loop that keeps the token fresh: the only place that exchanges a ticket.

use std::time::Duration;

use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use super::{Duel, Tokens, Trouble, TroubleKind, cache};
use crate::clock::{Timestamp, after, between};
use crate::credential::Token;
use crate::outcome::Backoff;
use crate::store::{Store, StoreError};
use crate::wake::Wakes;
use crate::weixin::{ExchangeError, Grant, Weixin};

/// Between two tries without a live token, where the fault passes.
const PASSING: Backoff = Backoff {
    initial: Duration::from_secs(1),
    max: Duration::from_secs(60),
};
/// Between two tries without a live token, where somebody must help.
const BLOCKED: Backoff = Backoff {
    initial: Duration::from_secs(5),
    max: Duration::from_secs(300),
};
/// Between two tries with a ticket that Weixin refused; a newer ticket is tried at once.
const REFUSED_TICKET: Duration = Duration::from_secs(300);
/// After a failed renewal, this share of the token's remaining life is waited for.
const SHARE_OF_WHAT_IS_LEFT: u32 = 4;
/// But never less.
const LEAST_WAIT: Duration = Duration::from_secs(5);
/// api_start_push_ticket is called at most once in this time (CONTRACT 2).
pub(super) const PUSH_SPACING: Duration = Duration::from_secs(600);

const NO_TICKET: &str = "no component_verify_ticket has arrived yet";
const TICKET_REMEDY: &str = "Weixin pushes a ticket every ten minutes: look whether the push arrives (callback.listen, or \
     the program that inserts it into the ticket table), or run `staticstored ticket FILE`.";
const DUEL_REMEDY: &str = "Another program fetches tokens for this platform, and each new token ends the other one's: let \
     only one program fetch them.";

pub(super) struct Renewal {
    tokens: Tokens,
    store: Store,
    weixin: Weixin,
    wakes: Wakes,
    duel: Duel,
    failures: u32,
    /// No exchange before this.
    not_before: Option<Timestamp>,
    /// When the token was fetched that has not been rejected yet.
    last_obtained_at: Option<Timestamp>,
}

impl Renewal {
    pub(super) fn new(tokens: Tokens, store: Store, weixin: Weixin, wakes: Wakes) -> Self {
        let last_obtained_at = tokens.held().map(|token| token.obtained_at);
        Self {
            tokens,
            store,
            weixin,
            wakes,
            duel: Duel::default(),
            failures: 0,
            not_before: None,
            last_obtained_at,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), StoreError> {
        let mut known_ticket = None;
        loop {
            self.count_rejection();
            let at = self.next_exchange();
            if at <= self.tokens.now() {
                known_ticket = self.exchange().await?;
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = self.tokens.0.rejected.notified() => {}
                () = self.tokens.0.clock.sleep_until(at) => {}
                changed = self.wakes.changed() => {
                    if changed.is_err() {
                        // The watch has ended, and with it the daemon.
                        stop.cancelled().await;
                        return Ok(());
                    }
                    self.look_for_ticket(&mut known_ticket).await?;
                }
            }
        }
    }

    /// When the next exchange is due.
    fn next_exchange(&self) -> Timestamp {
        let now = self.tokens.now();
        let due = match self.tokens.held() {
            None => now,
            Some(token) => {
                // A token that lives shorter than renew_before is renewed half-way, not all the time.
                let life = between(token.obtained_at, token.expires_at);
                let ahead = self.tokens.0.settings.renew_before.min(life / 2);
                token.expires_at - ahead
            }
        };
        self.not_before.map_or(due, |not_before| due.max(not_before))
    }

    /// A new ticket ends the wait that the lack of one caused.
    async fn look_for_ticket(&mut self, known: &mut Option<i64>) -> Result<(), StoreError> {
        let waits = matches!(&self.tokens.0.state.borrow().trouble, Some(trouble) if trouble.kind == TroubleKind::Ticket);
        if !waits {
            return Ok(());
        }
        let newest = self.store.newest_ticket().await?.map(|newest| newest.id);
        if newest.is_some() && newest != *known {
            self.not_before = None;
        }
        *known = newest;
        Ok(())
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
        self.not_before = Some(next).filter(|next| *next > now);
        if self.not_before.is_some() {
            let reason = format!(
                "{} tokens in a row were ended within minutes of being fetched; the next is fetched at {}",
                self.duel.blows(),
                crate::clock::text(next)
            );
            tracing::error!(reason, "another program fetches tokens too");
            let remedy = Some(DUEL_REMEDY.to_owned());
            self.tokens.complain(Trouble {
                kind: TroubleKind::Blocked,
                reason,
                remedy,
                errcode: None,
            });
        }
    }

    /// Makes one exchange; returns the ticket it knew of.
    async fn exchange(&mut self) -> Result<Option<i64>, StoreError> {
        let Some(newest) = self.store.newest_ticket().await? else {
            self.lacks_ticket(NO_TICKET.to_owned(), TICKET_REMEDY, None)
                .await?;
            return Ok(None);
        };
        let settings = &self.tokens.0.settings;
        let asked_at = self.tokens.now();
        match self
            .weixin
            .exchange(&settings.appid, &settings.secret, &newest.ticket)
            .await
        {
            Ok(grant) => self.granted(&grant, asked_at),
            Err(error) => self.failed(error).await?,
        }
        Ok(Some(newest.id))
    }

    fn granted(&mut self, grant: &Grant, asked_at: Timestamp) {
        let expires_at = after(asked_at, grant.expires_in);
        match Token::new(grant.component_access_token.expose_secret(), asked_at, expires_at) {
            Ok(token) => {
                tracing::info!(token.expires_at = %expires_at, "a new token");
                if let Err(error) = cache::save(&self.tokens.0.settings, &token) {
                    let path = self.tokens.0.settings.cache_file.display();
                    tracing::warn!(%error, %path, "the token could not be cached; a restart would fetch another");
                }
                self.failures = 0;
                self.not_before = None;
                self.last_obtained_at = Some(asked_at);
                self.tokens.publish(token);
            }
            Err(error) => self.complain(TroubleKind::Passing, error.to_string(), None, None),
        }
    }

    async fn failed(&mut self, error: ExchangeError) -> Result<(), StoreError> {
        match error {
            ExchangeError::Passes { errcode, reason } => {
                self.complain(TroubleKind::Passing, reason, None, errcode);
            }
            ExchangeError::Blocked {
                errcode,
                reason,
                remedy,
            } => {
                self.complain(TroubleKind::Blocked, reason, Some(remedy), errcode);
            }
            ExchangeError::Ticket {
                errcode,
                reason,
                remedy,
            } => {
                self.lacks_ticket(reason, remedy, Some(errcode)).await?;
            }
        }
        Ok(())
    }

    async fn lacks_ticket(
        &mut self,
        reason: String,
        remedy: &'static str,
        errcode: Option<i64>,
    ) -> Result<(), StoreError> {
        self.complain(TroubleKind::Ticket, reason, Some(remedy), errcode);
        self.ask_for_push().await
    }

    /// Asks Weixin to push a ticket, at most once in [`PUSH_SPACING`], restarts included.
    async fn ask_for_push(&mut self) -> Result<(), StoreError> {
        let now = self.tokens.now();
        let asked_at = self.store.push_asked_at().await?;
        // One in the future was written before the clock was set back: it says nothing.
        if asked_at.is_some_and(|at| at <= now && between(at, now) < PUSH_SPACING) {
            return Ok(());
        }
        self.store.set_push_asked(now).await?;
        let settings = &self.tokens.0.settings;
        match self
            .weixin
            .start_push_ticket(&settings.appid, &settings.secret)
            .await
        {
            Ok(()) => tracing::info!("asked Weixin to push a ticket"),
            Err(error) => tracing::warn!(%error, "Weixin could not be asked to push a ticket"),
        }
        Ok(())
    }

    /// Says what is wrong, and when the next try is due.
    fn complain(&mut self, kind: TroubleKind, reason: String, remedy: Option<&str>, errcode: Option<i64>) {
        self.failures = self.failures.saturating_add(1);
        let now = self.tokens.now();
        let wait = match (self.tokens.current(), kind) {
            (Some(token), _) => (between(now, token.expires_at) / SHARE_OF_WHAT_IS_LEFT).max(LEAST_WAIT),
            (None, TroubleKind::Passing) => PASSING.bound(self.failures).mul_f64(0.5 + fastrand::f64() / 2.0),
            (None, TroubleKind::Blocked) => BLOCKED.bound(self.failures),
            (None, TroubleKind::Ticket) => REFUSED_TICKET,
        };
        self.not_before = Some(after(now, wait));
        match kind {
            TroubleKind::Passing | TroubleKind::Ticket => {
                tracing::warn!(reason, weixin.errcode = errcode, remedy, "no new token yet");
            }
            _ => tracing::error!(reason, weixin.errcode = errcode, remedy, "no new token"),
        }
        self.tokens.complain(Trouble {
            kind,
            reason,
            remedy: remedy.map(str::to_owned),
            errcode,
        });
    }
}
