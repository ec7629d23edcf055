//! A ticket becomes a token: the only place that exchanges one.

use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::renewal::{Fetch, Fetched, Previous};
use super::{Component, Source, Trouble, TroubleKind};
use crate::clock::{Clock, Timestamp, after};
use crate::credential::Token;
use crate::outcome::Backoff;
use crate::store::{Store, StoreError};
use crate::wake::Wakes;
use crate::weixin::{ExchangeError, Grant};

const NO_TICKET: &str = "no component_verify_ticket has arrived yet";
const TICKET_REMEDY: &str = "Weixin pushes a ticket every ten minutes: look whether the push arrives (callback.listen, or \
     the program that inserts it into the ticket table), or run `staticstored ticket FILE`.";

pub(super) struct Exchange {
    component: Component,
    clock: Clock,
    store: Store,
    wakes: Wakes,
    /// The newest ticket when it was last looked for.
    known: Option<i64>,
}

impl Exchange {
    pub(super) fn new(component: Component, clock: Clock, store: Store, wakes: Wakes) -> Self {
        Self {
            component,
            clock,
            store,
            wakes,
            known: None,
        }
    }

    fn granted(&self, grant: &Grant, asked_at: Timestamp) -> Fetched {
        let expires_at = after(asked_at, grant.expires_in);
        match Token::new(grant.component_access_token.expose_secret(), asked_at, expires_at) {
            Ok(token) => {
                let cache = &self.component.cache;
                if let Err(error) = cache.save(&token) {
                    let path = cache.file.display();
                    tracing::warn!(%error, %path, "the token could not be cached; a restart would fetch another");
                }
                Fetched::New(token)
            }
            Err(error) => Fetched::Nothing(Trouble {
                kind: TroubleKind::Passing,
                reason: error.to_string(),
                remedy: None,
                errcode: None,
            }),
        }
    }
}

impl Fetch for Exchange {
    const BLOCKED: Backoff = Backoff {
        initial: Duration::from_secs(5),
        max: Duration::from_secs(300),
    };
    const SHORT_LIVES: Backoff = Backoff {
        initial: Duration::from_secs(5),
        max: Duration::from_secs(600),
    };
    const REVOKED_REMEDY: &'static str = "Another program probably fetches tokens for this platform, and each new token ends \
         the other one's: let only one program fetch them.";

    fn set(&mut self, source: Source) {
        if let Source::Component(component) = source {
            self.component = *component;
        }
    }

    async fn fetch(&mut self, _: Previous<'_>) -> Result<Fetched, StoreError> {
        let newest = self.store.newest_ticket().await?;
        self.known = newest.as_ref().map(|newest| newest.id);
        let Some(newest) = newest else {
            return Ok(Fetched::Nothing(Trouble {
                kind: TroubleKind::Ticket,
                reason: NO_TICKET.to_owned(),
                remedy: Some(TICKET_REMEDY.to_owned()),
                errcode: None,
            }));
        };
        let Component {
            weixin,
            appid,
            secret,
            ..
        } = &self.component;
        let _turn = self.clock.turn("exchange", "a ticket").await;
        let asked_at = self.clock.now();
        Ok(match weixin.exchange(appid, secret, &newest.ticket).await {
            Ok(grant) => self.granted(&grant, asked_at),
            Err(error) => Fetched::Nothing(error.into()),
        })
    }

    async fn stirred(&mut self) {
        if self.wakes.changed().await.is_err() {
            // The watch has ended, and with it the daemon.
            std::future::pending::<()>().await;
        }
    }

    /// A new ticket ends the wait that the lack of one caused.
    async fn has_news(&mut self, trouble: Option<TroubleKind>) -> Result<bool, StoreError> {
        if trouble != Some(TroubleKind::Ticket) {
            return Ok(false);
        }
        let newest = self.store.newest_ticket().await?.map(|newest| newest.id);
        let new = newest.is_some() && newest != self.known;
        self.known = newest;
        Ok(new)
    }
}

impl From<ExchangeError> for Trouble {
    fn from(error: ExchangeError) -> Self {
        let (kind, reason, remedy, errcode) = match error {
            ExchangeError::Passes { errcode, reason } => (TroubleKind::Passing, reason, None, errcode),
            ExchangeError::Blocked {
                errcode,
                reason,
                remedy,
            } => (TroubleKind::Blocked, reason, Some(remedy), errcode),
            ExchangeError::Ticket {
                errcode,
                reason,
                remedy,
            } => (TroubleKind::Ticket, reason, Some(remedy), Some(errcode)),
        };
        Self {
            kind,
            reason,
            remedy: remedy.map(str::to_owned),
            errcode,
        }
    }
}
