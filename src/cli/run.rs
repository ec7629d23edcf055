//! `staticstored run`: the daemon in the foreground.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::database::{folder, missing};
use super::secret;
use super::session::{Misconfigured, Session};
use crate::daemon::{self, Secrets};
use crate::observability;

pub(super) async fn run(session: &Session) -> anyhow::Result<()> {
    observability::start(&session.env).map_err(|error| Misconfigured(error.to_string()))?;
    let config = session.config()?;
    let secrets = Secrets {
        appsecret: secret::appsecret(&config)?,
    };
    let database = &config.database.path;
    if !folder(database).is_dir() {
        return Err(Misconfigured(missing(database)).into());
    }
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let daemon = daemon::run(&config, secrets, session.clock.clone(), stop.clone());
    tokio::pin!(daemon);
    tokio::select! {
        ended = &mut daemon => return Ok(ended?),
        () = asked => stop.cancel(),
    }
    tracing::info!("stopping; what is in flight is finished first, a second signal ends at once");
    tokio::select! {
        ended = daemon => Ok(ended?),
        _ = terminate.recv() => anyhow::bail!("ended at once by a second signal; what was in flight is looked at first at the next start"),
        _ = interrupt.recv() => anyhow::bail!("ended at once by a second signal; what was in flight is looked at first at the next start"),
    }
}
