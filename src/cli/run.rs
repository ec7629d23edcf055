//! `staticstored run`: the daemon in the foreground.

use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::database::{folder, missing};
use super::secret;
use super::session::{Misconfigured, Session, configuration};
use super::text::message;
use crate::config::{Config, Environment};
use crate::daemon::{self, Loaded, Orders, Reloads, Secrets};
use crate::observability::{self, Level};

pub(super) async fn run(session: &Session) -> anyhow::Result<()> {
    // First of all: a signal that comes early must not end us as if nobody had listened.
    let mut signals = Signals::new()?;
    let source = Source {
        file: session.config.clone(),
        env: session.env.clone(),
    };
    let (config, secrets) = source.read()?;
    let level =
        observability::start(&session.env, &config.log).map_err(|error| Misconfigured(error.to_string()))?;
    let database = &config.database.path;
    if !folder(database).is_dir() {
        return Err(Misconfigured(missing(database)).into());
    }
    let stop = CancellationToken::new();
    let reloads = Reloads::new(reader(source, level));
    let orders = Orders {
        stop: stop.clone(),
        reloads: Some(reloads.clone()),
        pulse: None,
    };
    let daemon = daemon::run(&config, secrets, session.clock.clone(), orders);
    tokio::pin!(daemon);
    tokio::select! {
        ended = &mut daemon => return Ok(ended?),
        () = signals.stop(&reloads) => stop.cancel(),
    }
    tracing::info!("stopping; what is in flight is finished first, a second signal ends at once");
    tokio::select! {
        ended = daemon => Ok(ended?),
        // Who asks for a reload now is heard by nobody.
        () = signals.stop(&reloads) => anyhow::bail!(
            "ended at once by a second signal; what was in flight is looked at first at the next start"
        ),
    }
}

/// Where the configuration comes from, at the start and at each reload.
struct Source {
    file: Option<PathBuf>,
    env: Environment,
}

impl Source {
    fn read(&self) -> anyhow::Result<(Config, Secrets)> {
        let config = configuration(self.file.as_deref(), &self.env)?;
        let secrets = secret::all(&config)?;
        Ok((config, secrets))
    }
}

/// What a reload reads, and what it sets outside of the daemon: what is logged.
fn reader(source: Source, level: Level) -> impl Fn() -> Result<Loaded, String> + Send + Sync {
    move || {
        let (config, secrets) = source.read().map_err(|error| message(&error))?;
        let (level, log) = (level.clone(), config.log.clone());
        Ok(Loaded {
            config,
            secrets,
            then: Box::new(move |taken| {
                let changed = taken.iter().any(|change| change.key == "log.level");
                if changed && !level.set(&log) {
                    tracing::warn!("log.level changes nothing: RUST_LOG is set, and wins");
                }
            }),
        })
    }
}

/// The signals that a service meets.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one that asks for the end; meanwhile SIGHUP asks for reloads.
    async fn stop(&mut self, reloads: &Reloads) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => reloads.ask(),
            }
        }
    }
}
