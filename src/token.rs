//! The one live token: current, rejected, renewed; one exchange at a time however many calls fail.
//!
//! Weixin lets a platform have one token, and a new one ends the old one within minutes. So a token is rejected by
//! identity only: whoever comes late with an older one gets the current one, and nothing is fetched. What is rejected may
//! be good all the same (one environment or one client may be wrong), so the token stays in use until the next one is there,
//! refreshes are spaced out (`refresh_limiter`), and a call that passes meanwhile ends the rejection ([`Tokens::works`]).
//!
//! Renewal sleeps to `renew_before` the expiry, and after a failure for a share of what is left: tries come closer
//! together as the end comes nearer, with no retry state. All this holds wherever new tokens come from: from Weixin, for
//! a ticket (`exchange`), or from another program that owns the token (`guest`).

mod cache;
mod exchange;
mod guest;
mod push;
mod refresh_limiter;
mod renewal;
mod state;

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
use exchange::Exchange;
use guest::Guest;
use push::Push;
use refresh_limiter::RefreshLimiter;
use renewal::Renewal;
pub use state::{Rejected, Rejection, Rejector, TokenState, Trouble, TroubleKind};

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
    /// now. What could not be had by the old settings is tried again at once, but for what a cooldown spaces out.
    pub fn set(&self, settings: Settings) {
        let home = settings.home.clone();
        if self.0.settings.send_replace(settings).home != home {
            self.forget();
        }
    }

    /// Ends every wait between two tries, since the clock that they were measured by was set back.
    pub fn end_wait(&self) {
        let now = self.0.clock.now();
        self.0.state.send_if_modified(|state| {
            state.limiter.set_back(now);
            if let Some(rejection) = &mut state.rejection {
                rejection.at = rejection.at.min(now);
                rejection.refresh_at = rejection.refresh_at.min(RefreshLimiter::latest(now));
            }
            false
        });
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

    /// Weixin refused a call of `by` that was made with `stale`. At most one new token is fetched for it, at once or after
    /// a cooldown; none where `stale` is not the current one.
    pub fn reject(&self, stale: &Token, by: &Rejector) -> Rejected {
        let now = self.0.clock.now();
        let mut rejected = Rejected::Refreshing;
        let mut new = None;
        self.0.state.send_if_modified(|state| {
            let Some(current) = state.token.clone() else {
                return false;
            };
            if !current.is(stale) {
                rejected = Rejected::Use(current);
                return false;
            }
            if let Some(until) = state.limiter.cooldown(now) {
                rejected = Rejected::Cooldown(until);
                return false;
            }
            if state.rejection.is_some() {
                return false;
            }
            let refresh_at = state.limiter.reject(current.obtained_at, now);
            if refresh_at > now {
                rejected = Rejected::Cooldown(refresh_at);
            } else {
                // It was about a renewal that had time; the next try is made at once.
                state.trouble = None;
            }
            state.rejection = Some(Rejection {
                by: by.clone(),
                at: now,
                refresh_at,
                forced: state.limiter.forced(),
            });
            new.clone_from(&state.rejection);
            true
        });
        if let Some(rejection) = new {
            tracing::warn!("{rejection}");
            self.0.rejected.notify_one();
        }
        rejected
    }

    /// Weixin took `token` in a call that was begun at `begun`: a rejection of it before that was an error.
    pub fn works(&self, token: &Token, begun: Timestamp) {
        let is_error = |rejection: &Rejection| begun > rejection.at;
        let is_news = |state: &TokenState| {
            state.is_current(token) && (!state.passed || state.rejection.as_ref().is_some_and(is_error))
        };
        // Nearly every call finds a token that passed before, and that nobody has rejected.
        if !is_news(&self.0.state.borrow()) {
            return;
        }
        let mut error = None;
        self.0.state.send_if_modified(|state| {
            if is_news(state) {
                state.passed = true;
                error = state.rejection.take_if(|rejection| is_error(rejection));
            }
            if error.is_some() {
                state.limiter.clear();
            }
            error.is_some()
        });
        if let Some(Rejection { by, .. }) = error {
            tracing::info!("the token that {by} rejected works for another call, and stays");
        }
    }

    /// Returns whether `token` is the current one, and Weixin took it in a call.
    #[must_use]
    pub fn passed(&self, token: &Token) -> bool {
        let state = self.0.state.borrow();
        state.passed && state.is_current(token)
    }

    /// Waits for another token than `stale`; `None` when none came within some 20 seconds, when none will come since we stop
    /// or somebody must help first, or when `stale` was found to work.
    pub async fn replacement(&self, stale: &Token) -> Option<Arc<Token>> {
        let mut state = self.state();
        let needs_help = |trouble: &Trouble| trouble.kind != TroubleKind::Passing;
        let replaced = state.wait_for(|state| match &state.token {
            Some(token) if token.is(stale) && state.rejection.is_some() => {
                state.trouble.as_ref().is_some_and(needs_help)
            }
            Some(_) => true,
            None => state.trouble.as_ref().is_some_and(needs_help),
        });
        let token = tokio::select! {
            biased;
            state = replaced => state.ok()?.token.clone(),
            () = self.0.ended.cancelled() => None,
            () = self.0.clock.sleep(LONGEST_WAIT) => None,
        };
        token.filter(|token| !token.is(stale))
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

    /// Puts a new token in the place of the current one. Returns the rejection that asked for it, if one did.
    fn publish(&self, token: Token) -> Option<Rejection> {
        let mut rejection = None;
        self.0.state.send_modify(|state| {
            rejection = state.rejection.take();
            let previous = state.token.replace(Arc::new(token));
            if rejection.is_some() {
                state.replaced = previous;
            }
            state.limiter.refreshed(rejection.is_some());
            state.passed = false;
            state.trouble = None;
        });
        rejection
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

    /// The last token that was rejected: the current one, or one before it.
    fn rejected(&self) -> Option<Arc<Token>> {
        let state = self.0.state.borrow();
        match state.rejection {
            Some(_) => state.token.clone(),
            None => state.replaced.clone(),
        }
    }

    /// The earliest time for a new token in the place of the rejected one; `None` where nobody has rejected it.
    fn refresh_at(&self) -> Option<Timestamp> {
        let state = self.0.state.borrow();
        state.rejection.as_ref().map(|rejection| rejection.refresh_at)
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}
