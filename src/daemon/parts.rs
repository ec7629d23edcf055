//! The parts from the configuration, and the loops that run on them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::dials::{Dials, Plan};
use super::reload::Reload;
use super::secrets::Secrets;
use super::vitals::Reporter;
use crate::clock::Clock;
use crate::config::Config;
use crate::housekeeping::{self, HousekeepingError};
use crate::owner::OwnerBuildError;
use crate::provisioner::{self, LaneError, Provisioner};
use crate::pulse::Pulse;
use crate::reception;
use crate::request::Call;
use crate::share::{self, ShareError, Socket};
use crate::store::{self, Access, Identity, Store, StoreError};
use crate::wake::Watch;
use crate::weixin::BuildError;

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

/// What the loops share.
pub(super) struct Parts {
    pub(super) store: Store,
    pub(super) dials: Dials,
    clock: Clock,
    pulse: Pulse,
    /// Of the push receiver, though nobody is answered yet; until its loop is started.
    listener: Option<TcpListener>,
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
        let dials = Dials::new(Plan::draw(config, secrets)?, &clock);
        let listener = match &config.callback {
            Some(settings) if dials.reception.is_some() => Some(listen(settings.listen).await?),
            _ => None,
        };
        Ok(Self {
            store,
            dials,
            clock,
            pulse,
            listener,
        })
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, DaemonError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|source| DaemonError::Listen { address, source })
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
        notice: watch::Receiver<Option<String>>,
        stop: &CancellationToken,
    ) -> Result<Self, DaemonError> {
        let steps = TaskTracker::new();
        let path = &config.database.path;
        let dials = parts.dials.clone();
        let (watch, wakes) = Watch::new(store::connect(path, Access::Read).await?, path);
        let reporter = Reporter::new(
            parts.store.clone(),
            dials.clone(),
            parts.clock.clone(),
            identity,
            notice,
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
                tokens: dials.tokens.clone(),
                line: dials.line.clone(),
                rules: dials.rules.subscribe(),
                clock: parts.clock.clone(),
                pulse: parts.pulse.clone(),
            },
            steps,
        );
        let pulse = &parts.pulse;
        let (tokens, clock, store) = (dials.tokens.clone(), parts.clock.clone(), parts.store.clone());
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
        if let (Some(listener), Some(settings)) = (parts.listener.take(), &dials.reception) {
            let needs = reception::Parts {
                settings: settings.subscribe(),
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
        loops.spawn("new-token", provisioner.probe_with_new_tokens(stop.clone()));
        loops.spawn(
            "housekeeping",
            housekeeping::run(store, dials.retention.subscribe(), clock, stop.clone()),
        );
        let watch = watch.run(pulse.beat("watch"), stop.clone());
        loops.spawn("watch", async { watch.await.map_err(DaemonError::Watch) });
        Ok(loops)
    }

    /// Shares the token.
    pub(super) fn share(&self, socket: Socket, parts: &Parts, stop: &CancellationToken) {
        let (tokens, clock) = (parts.dials.tokens.clone(), parts.clock.clone());
        self.spawn("share", share::run(socket, tokens, clock, stop.clone()));
    }

    /// Takes on other settings when that is asked for.
    pub(super) fn reload(&self, reload: Reload, stop: &CancellationToken) {
        let reload = reload.run(stop.clone());
        self.spawn("reload", async {
            reload.await;
            Ok::<(), DaemonError>(())
        });
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
