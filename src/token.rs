//! The one live token: current, rejected, renewed; one exchange at a time however many calls fail.
//!
//! Weixin lets a platform have one token, and a new one ends the old one within minutes. So a token is given up by
//! identity only: whoever comes late with an older one gets the current one, and nothing is fetched. Renewal
//! sleeps to `renew_before` the expiry, and after a failure for a share of what is left: tries come closer
//! together as the end comes nearer, with no retry state.

mod cache;
mod duel;
mod renewal;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Timestamp};
use crate::credential::{AppSecret, Token};
use crate::store::Store;
use crate::wake::Wakes;
use crate::weixin::Weixin;
use duel::Duel;

/// How long a call waits for a new token before its request rests.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Who we are, and how the token is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The platform's `component_appid`.
    pub appid: String,
    /// Its secret.
    pub secret: AppSecret,
    /// How long before its expiry the token is renewed.
    pub renew_before: Duration,
    /// Where it outlives a restart.
    pub cache_file: PathBuf,
    /// The API it is for: a token of the simulator is none of Weixin's.
    pub api: String,
}

/// What keeps us from having a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which kind.
    pub kind: TroubleKind,
    /// What happened, in words.
    pub reason: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Weixin's code, where one came.
    pub errcode: Option<i64>,
}

/// The kinds of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// It passes by itself.
    Passing,
    /// A ticket is needed.
    Ticket,
    /// Somebody must help.
    Blocked,
}

/// How the token is.
#[derive(Clone, Debug, Default)]
pub struct TokenState {
    /// The token, as long as nobody has rejected it.
    pub token: Option<Arc<Token>>,
    /// What kept the last exchange from succeeding.
    pub trouble: Option<Trouble>,
}

/// Keeps the token. Clones share it.
#[derive(Clone, Debug)]
pub struct Tokens(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    clock: Clock,
    state: watch::Sender<TokenState>,
    /// Somebody rejected the current token.
    rejected: Notify,
    /// Nobody fetches tokens any more.
    ended: CancellationToken,
}

impl Tokens {
    /// Starts with the token of the cache file, where that is still live.
    #[must_use]
    pub fn new(settings: Settings, clock: Clock) -> Self {
        let token = cache::load(&settings, clock.now()).map(Arc::new);
        if let Some(token) = &token {
            tracing::info!(token.expires_at = %token.expires_at, "the token of the last run is still live");
        }
        let state = watch::Sender::new(TokenState { token, trouble: None });
        Self(Arc::new(Shared {
            settings,
            clock,
            state,
            rejected: Notify::new(),
            ended: CancellationToken::new(),
        }))
    }

    /// The token to call with; `None` while there is none.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Token>> {
        let now = self.0.clock.now();
        self.0
            .state
            .borrow()
            .token
            .clone()
            .filter(|token| token.expires_at > now)
    }

    /// How the token is, and every change of that.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<TokenState> {
        self.0.state.subscribe()
    }

    /// Gives up a token that Weixin refused, and returns one that is not that one: the current one if somebody was
    /// faster, else a new one once it is there. `None` when none came within some 20 seconds, or none will since we stop.
    pub async fn reject(&self, stale: &Token) -> Option<Arc<Token>> {
        let mut state = self.state();
        let given_up = self.0.state.send_if_modified(|state| {
            let current = state.token.as_deref().is_some_and(|token| token.is(stale));
            if current {
                state.token = None;
            }
            current
        });
        if given_up {
            tracing::warn!("Weixin no longer honours the token; fetching another");
            self.0.rejected.notify_one();
        }
        tokio::select! {
            state = state.wait_for(|state| state.token.is_some()) => state.ok()?.token.clone(),
            () = self.0.ended.cancelled() => None,
            () = tokio::time::sleep(LONGEST_WAIT) => None,
        }
    }

    /// Keeps the token fresh until `stop`.
    ///
    /// # Errors
    /// When the database's writer has ended.
    pub async fn run(
        self,
        store: Store,
        weixin: Weixin,
        wakes: Wakes,
        stop: CancellationToken,
    ) -> Result<(), crate::store::StoreError> {
        let _ended = self.0.ended.clone().drop_guard();
        renewal::Renewal::new(self, store, weixin, wakes).run(stop).await
    }

    fn publish(&self, token: Token) {
        let token = Some(Arc::new(token));
        self.0.state.send_replace(TokenState { token, trouble: None });
    }

    fn complain(&self, trouble: Trouble) {
        self.0.state.send_if_modified(|state| {
            let new = state.trouble.as_ref() != Some(&trouble);
            state.trouble = Some(trouble);
            new
        });
    }

    /// The current token, or the expired one: what the next renewal is counted from.
    fn held(&self) -> Option<Arc<Token>> {
        self.0.state.borrow().token.clone()
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}
