//! The one live token: current, rejected, renewed; one exchange at a time however many calls fail.
//!
//! Weixin lets a platform have one token, and a new one ends the old one within minutes. So a token is given up by
//! identity only: whoever comes late with an older one gets the current one, and nothing is fetched. Renewal
//! sleeps to `renew_before` the expiry, and after a failure for a share of what is left: tries come closer
//! together as the end comes nearer, with no retry state. All this holds wherever new tokens come from: from Weixin, for
//! a ticket (`exchange`), or from another program that owns the token (`guest`).

mod cache;
mod duel;
mod exchange;
mod guest;
mod push;
mod renewal;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Timestamp};
use crate::credential::{AppSecret, Token};
use crate::owner::Owner;
use crate::pulse::Pulse;
use crate::store::{Store, StoreError};
use crate::wake::Wakes;
use crate::weixin::Weixin;
pub use cache::Cache;
use duel::Duel;
use exchange::Exchange;
use guest::Guest;
use push::Push;
use renewal::Renewal;

/// How long a call waits for a new token before its request rests.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Where the token comes from, and when the next is due.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it comes from.
    pub source: Source,
    /// Whose it is, in any words: of another platform, API or owner none is kept.
    pub home: String,
    /// How long before its expiry the token is renewed.
    pub renew_before: Duration,
}

/// Where the token comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// From Weixin: we are the program that fetches it.
    Component(Box<Component>),
    /// From the program that fetches it: we are its guest. No token is exchanged, and no push is asked for.
    Owner(Owner),
}

/// Who we are at Weixin, and where the token is kept.
#[derive(Clone, Debug)]
pub struct Component {
    /// Weixin.
    pub weixin: Weixin,
    /// The platform's `component_appid`.
    pub appid: String,
    /// Its secret.
    pub secret: AppSecret,
    /// Where the token outlives a restart.
    pub cache: Cache,
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
    /// What keeps us from having a new one.
    pub trouble: Option<Trouble>,
    /// The last one that was rejected.
    refused: Option<Arc<Token>>,
}

/// Keeps the token. Clones share it.
#[derive(Clone, Debug)]
pub struct Tokens(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: watch::Sender<Settings>,
    clock: Clock,
    state: watch::Sender<TokenState>,
    /// Somebody rejected the current token.
    rejected: Notify,
    /// The clock was set back.
    set_back: Notify,
    /// Nobody fetches tokens any more.
    ended: CancellationToken,
}

impl Tokens {
    /// Starts with the token of the cache file, where that is still live. A guest keeps none: its owner does, and a
    /// restart costs a GET.
    #[must_use]
    pub fn new(settings: Settings, clock: Clock) -> Self {
        let token = match &settings.source {
            Source::Component(component) => component.cache.load(clock.now()).map(Arc::new),
            Source::Owner(_) => None,
        };
        if let Some(token) = &token {
            tracing::info!(token.expires_at = %token.expires_at, "the token of the last run is still live");
        }
        let state = watch::Sender::new(TokenState {
            token,
            ..TokenState::default()
        });
        Self(Arc::new(Shared {
            settings: watch::Sender::new(settings),
            clock,
            state,
            rejected: Notify::new(),
            set_back: Notify::new(),
            ended: CancellationToken::new(),
        }))
    }

    /// Goes on by other settings, as far as their source is of the same kind. The token stays, unless it has another home
    /// now. What could not be had by the old settings is tried again at once, but for what a duel spaces out.
    pub fn set(&self, settings: Settings) {
        let home = settings.home.clone();
        if self.0.settings.send_replace(settings).home != home {
            self.forget();
        }
    }

    /// Ends every wait between two tries, since the clock that they were measured by was set back.
    pub fn end_wait(&self) {
        self.0.set_back.notify_one();
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
                state.refused = state.token.take();
                // It was about a renewal that had time; the next try is made at once.
                state.trouble = None;
            }
            current
        });
        if given_up {
            tracing::warn!("Weixin no longer honours the token; getting another");
            self.0.rejected.notify_one();
        }
        tokio::select! {
            biased;
            state = state.wait_for(|state| state.token.is_some()) => state.ok()?.token.clone(),
            () = self.0.ended.cancelled() => None,
            () = self.0.clock.sleep(LONGEST_WAIT) => None,
        }
    }

    /// Keeps the token fresh until `stop`, and beats on `pulse`; where tickets are exchanged for it, also asks for them to
    /// be pushed.
    ///
    /// # Errors
    /// When the database's writer has ended.
    pub async fn run(
        self,
        store: Store,
        wakes: Wakes,
        pulse: Pulse,
        stop: CancellationToken,
    ) -> Result<(), StoreError> {
        let _ended = self.0.ended.clone().drop_guard();
        let beat = pulse.beat("token");
        // What is set from here on is seen by whoever has this.
        let settings = self.0.settings.subscribe();
        let source = settings.borrow().source.clone();
        match source {
            Source::Component(component) => {
                let push = Push::new(
                    self.clone(),
                    settings.clone(),
                    (*component).clone(),
                    store.clone(),
                );
                let exchange = Exchange::new(*component, self.0.clock.clone(), store, wakes);
                let renewal = Renewal::new(self, settings, exchange);
                let asking = push.run(pulse.beat("ticket"), stop.clone());
                tokio::try_join!(renewal.run(beat, stop), asking).map(|_| ())
            }
            Source::Owner(owner) => {
                let guest = Guest::new(owner, self.0.clock.clone());
                Renewal::new(self, settings, guest).run(beat, stop).await
            }
        }
    }

    fn publish(&self, token: Token) {
        self.0.state.send_modify(|state| {
            state.token = Some(Arc::new(token));
            state.trouble = None;
        });
    }

    /// Lets go of what belongs to another home.
    fn forget(&self) {
        self.0.state.send_replace(TokenState::default());
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

    /// What keeps us from having a new one, if anything does.
    fn trouble(&self) -> Option<TroubleKind> {
        self.0.state.borrow().trouble.as_ref().map(|trouble| trouble.kind)
    }

    /// The last token that was rejected.
    fn refused(&self) -> Option<Arc<Token>> {
        self.0.state.borrow().refused.clone()
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}
