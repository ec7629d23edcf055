//! The token of another program, which we only ask for: never an exchange, never a ticket.
//!
//! A token that Weixin refused is handed back to its owner, who gives another. An owner that can't be told still gives
//! the same one for a while, and is asked again.

use std::time::Duration;

use super::renewal::{Fetch, Fetched, Previous};
use super::{Source, Trouble, TroubleKind};
use crate::clock::Clock;
use crate::credential::Token;
use crate::outcome::Backoff;
use crate::owner::{Owner, OwnerError};
use crate::store::StoreError;

const STILL_REFUSED: &str = "the owner of the token still gives the one that Weixin refuses";
const STILL_REFUSED_REMEDY: &str = "The program at token.url has to fetch a new token; where that never happens, see that it \
     belongs to the platform that component.appid and api.base_url name.";
pub(super) struct Guest {
    owner: Owner,
    clock: Clock,
}

impl Guest {
    pub(super) fn new(owner: Owner, clock: Clock) -> Self {
        Self { owner, clock }
    }
}

impl Fetch for Guest {
    // A question costs nobody's quota, so it is asked more often than Weixin is.
    const BLOCKED: Backoff = Backoff {
        initial: Duration::from_secs(1),
        max: Duration::from_secs(60),
    };
    const SHORT_LIVES: Backoff = Self::BLOCKED;
    const REVOKED_REMEDY: &'static str = "See that the program at token.url is the only one that fetches tokens for this platform, \
         and that it is the platform that component.appid and api.base_url name.";

    fn set(&mut self, source: Source) {
        if let Source::Owner(owner) = source {
            self.owner = owner;
        }
    }

    async fn fetch(&mut self, Previous { current, rejected }: Previous<'_>) -> Result<Fetched, StoreError> {
        let asked_at = self.clock.now();
        let is_rejected = |token: &Token| rejected.is_some_and(|rejected| rejected.is(token));
        let lent = match current {
            Some(stale) if is_rejected(stale) => self.owner.reject(stale, asked_at).await,
            _ => self.owner.current(asked_at).await,
        };
        Ok(match lent {
            Err(error) => Fetched::Nothing(error.into()),
            Ok(token) if is_rejected(&token) => Fetched::Nothing(Trouble {
                kind: TroubleKind::Blocked,
                reason: STILL_REFUSED.to_owned(),
                remedy: Some(STILL_REFUSED_REMEDY.to_owned()),
                errcode: None,
            }),
            // Before its end we only look whether there is a new one already.
            Ok(token)
                if current.is_some_and(|current| current.is(&token) && current.expires_at > asked_at) =>
            {
                Fetched::Same
            }
            Ok(token) => Fetched::New(token),
        })
    }

    async fn stirred(&mut self) {
        std::future::pending::<()>().await;
    }

    async fn has_news(&mut self, _: Option<TroubleKind>) -> Result<bool, StoreError> {
        Ok(false)
    }
}

impl From<OwnerError> for Trouble {
    fn from(OwnerError { reason, remedy, .. }: OwnerError) -> Self {
        let kind = if remedy.is_some() {
            TroubleKind::Blocked
        } else {
            TroubleKind::Passing
        };
        Self {
            kind,
            reason,
            remedy,
            errcode: None,
        }
    }
}
