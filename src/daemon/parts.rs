//! The parts from the configuration, and the loops that run on them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::vitals::Reporter;
use crate::callback::Callback;
use crate::clock::Clock;
use crate::config::{Config, OwnerUrl, TokenSource};
use crate::credential::{AesKey, AppSecret, Bearer, CallbackToken};
use crate::housekeeping::{self, HousekeepingError, Retention};
use crate::line::{Limits, Line};
use crate::outcome::{Backoff, Confirm, Policy};
use crate::owner::{self, Owner, OwnerBuildError};
use crate::provisioner::{self, LaneError, Provisioner};
use crate::pulse::Pulse;
use crate::reception;
use crate::request::Call;
use crate::share::{self, ShareError, Socket};
use crate::store::{self, Access, Identity, Store, StoreError};
use crate::token::{self, Cache, Tokens};
use crate::wake::Watch;
use crate::weixin::{self, BuildError, Weixin};

/// Why the daemon did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The database. (A cause of its own, not transparent: the exit status is found among the causes.)
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The HTTP client.
    #[error(transparent)]
    Client(#[from] BuildError),
    /// The HTTP client for the owner of the token.
    #[error(transparent)]
    Owner(#[from] OwnerBuildError),
    /// We are to fetch the token, and have not been given the secret.
    #[error("there is no component_appsecret to fetch the token with")]
    NoSecret,
    /// Nobody can be listened to.
    #[error("callback.listen: {address} cannot be listened on: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A loop ended by itself.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// Housekeeping ended by itself.
    #[error(transparent)]
    Housekeeping(#[from] HousekeepingError),
    /// The socket that the token is shared on. (Not transparent: the exit status is found among the causes.)
    #[error("{0}")]
    Share(#[from] ShareError),
    /// The watch on the database ended.
    #[error("the database can no longer be watched for commits")]
    Watch(#[source] sqlx::Error),
    /// A task panicked; the line before says where.
    #[error("the loop {0} panicked")]
    Panicked(&'static str),
}

/// What the configuration names only by file.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// The `component_appsecret`; needed unless another program owns the token.
    pub appsecret: Option<AppSecret>,
    /// What the program that owns the token wants to see.
    pub bearer: Option<Bearer>,
    /// Those of the push receiver; without them it is off.
    pub callback: Option<CallbackSecrets>,
}

/// What Weixin's push is signed and encrypted with.
#[derive(Clone, Debug)]
pub struct CallbackSecrets {
    /// The token of the signature.
    pub token: CallbackToken,
    /// The EncodingAESKey.
    pub aes_key: AesKey,
    /// The EncodingAESKey before it, while it is being changed.
    pub previous_aes_key: Option<AesKey>,
}

/// What the loops share.
pub(super) struct Parts {
    pub(super) store: Store,
    weixin: Weixin,
    tokens: Tokens,
    line: Line,
    clock: Clock,
    pulse: Pulse,
    /// Until its loop is started.
    reception: Option<Reception>,
}

/// The push receiver, listening, though nobody is answered yet.
struct Reception {
    listener: TcpListener,
    path: String,
    callback: Callback,
}

impl Reception {
    async fn listen(config: &Config, secrets: Option<CallbackSecrets>) -> Result<Option<Self>, DaemonError> {
        let (Some(settings), Some(secrets)) = (&config.callback, secrets) else {
            return Ok(None);
        };
        let address = settings.listen;
        let listener = TcpListener::bind(address).await;
        Ok(Some(Self {
            listener: listener.map_err(|source| DaemonError::Listen { address, source })?,
            path: settings.path.clone(),
            callback: Callback::new(
                config.component.appid.clone(),
                secrets.token,
                secrets.aes_key,
                secrets.previous_aes_key,
            ),
        }))
    }
}

impl Parts {
    pub(super) async fn build(
        config: &Config,
        secrets: Secrets,
        clock: Clock,
        pulse: Pulse,
        writers: &TaskTracker,
    ) -> Result<Self, DaemonError> {
        let store = Store::open(&config.database.path, &pulse, writers).await?;
        let Secrets {
            appsecret,
            bearer,
            callback,
        } = secrets;
        let weixin = Weixin::new(&weixin::Settings {
            base_url: config.api.base_url.clone(),
            proxy: config.api.proxy.as_ref().map(|proxy| proxy.expose().clone()),
            connect_timeout: config.api.connect_timeout,
            request_timeout: config.api.request_timeout,
            connections: config.api.max_in_flight as usize,
        })?;
        let tokens = Tokens::new(
            token::Settings {
                source: source(config, appsecret, bearer, &weixin)?,
                renew_before: config.token.renew_before,
            },
            clock.clone(),
        );
        let limits = Limits {
            max_in_flight: config.api.max_in_flight as usize,
            creates_per_second: config.api.creates_per_second,
            describes_per_second: config.api.describes_per_second,
        };
        let line = Line::new(limits, clock.clone());
        let reception = Reception::listen(config, callback).await?;
        Ok(Self {
            store,
            weixin,
            tokens,
            line,
            clock,
            pulse,
            reception,
        })
    }
}

/// Where the token comes from.
fn source(
    config: &Config,
    appsecret: Option<AppSecret>,
    bearer: Option<Bearer>,
    weixin: &Weixin,
) -> Result<token::Source, DaemonError> {
    Ok(match &config.token.source {
        TokenSource::Component => token::Source::Component(Box::new(token::Component {
            weixin: weixin.clone(),
            appid: config.component.appid.clone(),
            secret: appsecret.ok_or(DaemonError::NoSecret)?,
            cache: cache(config),
        })),
        TokenSource::Url { url, .. } => {
            token::Source::Owner(Owner::new(&owner_settings(config, url, bearer))?)
        }
    })
}

/// Where the token outlives a restart.
#[must_use]
pub fn cache(config: &Config) -> Cache {
    Cache {
        file: config.token.cache_file.clone(),
        appid: config.component.appid.clone(),
        api: config.api.base_url.to_string(),
    }
}

/// How the program that owns the token is asked.
#[must_use]
pub fn owner_settings(config: &Config, url: &OwnerUrl, bearer: Option<Bearer>) -> owner::Settings {
    owner::Settings {
        address: match url {
            OwnerUrl::Http(url) => owner::Address::Http(url.clone()),
            OwnerUrl::Socket(path) => owner::Address::Socket(path.clone()),
        },
        bearer,
        connect_timeout: config.api.connect_timeout,
        request_timeout: config.api.request_timeout,
    }
}

fn policy(config: &Config) -> Policy {
    Policy {
        retry: Backoff {
            initial: config.retry.initial_backoff,
            max: config.retry.max_backoff,
        },
        give_up_after: config.retry.give_up_after,
        confirm: config.confirm.enabled.then_some(Confirm {
            interval: Backoff {
                initial: config.confirm.initial_interval,
                max: config.confirm.max_interval,
            },
            give_up_after: config.confirm.give_up_after,
        }),
    }
}

/// The loops, and what ended the first that ended by itself.
pub(super) struct Loops {
    tasks: TaskTracker,
    steps: TaskTracker,
    reporter: Reporter,
    ended: Arc<Ended>,
}

#[derive(Default)]
struct Ended {
    error: Mutex<Option<DaemonError>>,
    happened: Notify,
}

impl Ended {
    fn set(&self, error: DaemonError) {
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
        self.happened.notify_one();
    }
}

impl Loops {
    pub(super) async fn start(
        parts: &mut Parts,
        config: &Config,
        identity: Identity,
        stop: &CancellationToken,
    ) -> Result<Self, DaemonError> {
        let steps = TaskTracker::new();
        let path = &config.database.path;
        let (watch, wakes) = Watch::new(store::connect(path, Access::Read).await?, path);
        let reporter = Reporter::new(
            parts.store.clone(),
            parts.line.clone(),
            parts.tokens.clone(),
            parts.clock.clone(),
            identity,
        );
        let loops = Self {
            tasks: TaskTracker::new(),
            steps: steps.clone(),
            reporter: reporter.clone(),
            ended: Arc::default(),
        };
        let provisioner = Provisioner::new(
            provisioner::Parts {
                store: parts.store.clone(),
                weixin: parts.weixin.clone(),
                tokens: parts.tokens.clone(),
                line: parts.line.clone(),
                policy: policy(config),
                clock: parts.clock.clone(),
                pulse: parts.pulse.clone(),
                request_timeout: config.api.request_timeout,
                max_in_flight: config.api.max_in_flight as usize,
            },
            steps,
        );
        let retention = Retention {
            attempts: config.retention.attempts,
            status: config.retention.status,
            schedule: config.retention.schedule.clone(),
        };
        let pulse = &parts.pulse;
        let (tokens, clock, store) = (parts.tokens.clone(), parts.clock.clone(), parts.store.clone());
        // What somebody has paused is not called before the first look at it.
        reporter.look_at_paused().await?;
        loops.spawn(
            "reporter",
            reporter.run(wakes.clone(), pulse.clone(), stop.clone()),
        );
        loops.spawn(
            "token",
            tokens.run(store.clone(), wakes.clone(), pulse.clone(), stop.clone()),
        );
        if let Some(Reception {
            listener,
            path,
            callback,
        }) = parts.reception.take()
        {
            let needs = reception::Parts {
                path,
                callback,
                store: store.clone(),
                clock: clock.clone(),
            };
            loops.spawn("reception", reception::run(listener, needs, stop.clone()));
        }
        for call in Call::ALL {
            loops.spawn(
                call.as_str(),
                provisioner.clone().run(call, wakes.clone(), stop.clone()),
            );
        }
        loops.spawn(
            "housekeeping",
            housekeeping::run(store, retention, clock, stop.clone()),
        );
        let watch = watch.run(pulse.beat("watch"), stop.clone());
        loops.spawn("watch", async { watch.await.map_err(DaemonError::Watch) });
        Ok(loops)
    }

    /// Shares the token.
    pub(super) fn share(&self, socket: Socket, parts: &Parts, stop: &CancellationToken) {
        let (tokens, clock) = (parts.tokens.clone(), parts.clock.clone());
        self.spawn("share", share::run(socket, tokens, clock, stop.clone()));
    }

    fn spawn<E: Into<DaemonError> + Send + 'static>(
        &self,
        name: &'static str,
        run: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let task = self.tasks.spawn(run);
        let ended = self.ended.clone();
        self.tasks.spawn(async move {
            match task.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => ended.set(error.into()),
                Err(_) => ended.set(DaemonError::Panicked(name)),
            }
        });
    }

    /// Returns when it is time to stop: because somebody wants it, or because a loop ended by itself.
    pub(super) async fn until_stop(&self, stop: &CancellationToken) -> Result<(), DaemonError> {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.ended.happened.notified() => {}
        }
        let error = self
            .ended
            .error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        error.map_or(Ok(()), Err)
    }

    /// What is in flight.
    pub(super) fn steps(&self) -> TaskTracker {
        self.steps.clone()
    }

    /// Waits for the loops and for what is in flight; then says that we have stopped.
    pub(super) async fn finish(self) {
        self.tasks.close();
        self.steps.close();
        self.tasks.wait().await;
        self.steps.wait().await;
        if let Err(error) = self.reporter.stopped().await {
            tracing::warn!(%error, "the stop could not be written down");
        }
    }
}
