//! `staticstored run`: the daemon in the foreground.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::database::{folder, missing};
use super::secret;
use super::session::{Misconfigured, Session};
use crate::daemon::{self, Secrets};
use crate::observability;

pub(super) async fn run(session: &Session) -> anyhow::Result<()> {
    // First of all: a signal that comes early must not end us as if nobody had listened.
    let mut signals = Signals::new()?;
    observability::start(&session.env).map_err(|error| Misconfigured(error.to_string()))?;
    let config = session.config()?;
    let secrets = Secrets {
        appsecret: secret::appsecret(&config)?,
        callback: config.callback.as_ref().map(secret::callback).transpose()?,
    };
    let database = &config.database.path;
    if !folder(database).is_dir() {
        return Err(Misconfigured(missing(database)).into());
    }
    let stop = CancellationToken::new();
    let daemon = daemon::run(&config, secrets, session.clock.clone(), stop.clone());
    tokio::pin!(daemon);
    tokio::select! {
        ended = &mut daemon => return Ok(ended?),
        () = signals.stop() => stop.cancel(),
    }
    tracing::info!("stopping; what is in flight is finished first, a second signal ends at once");
    tokio::select! {
        ended = daemon => Ok(ended?),
        () = signals.stop() => anyhow::bail!(
            "ended at once by a second signal; what was in flight is looked at first at the next start"
        ),
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

    /// Waits for one that asks for the end. SIGHUP does not: a terminal that closes, or somebody's habit of reloading,
    /// must not end the daemon.
    async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    tracing::warn!("SIGHUP changes nothing in this version: restart to read a new configuration");
                }
            }
        }
    }
}
