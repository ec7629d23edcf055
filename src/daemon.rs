//! Builds the parts, starts and stops the loops, talks to systemd; the only module that knows everyone.

mod dials;
mod parts;
mod reload;
mod secrets;
mod vitals;
mod watchdog;

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use dials::{cache, owner_settings};
pub use parts::DaemonError;
use parts::{Loops, Parts};
use reload::Reload;
pub use reload::{Loaded, Orders, Reloads, Then};
pub use secrets::{CallbackSecrets, Secrets};
use watchdog::Watchdog;

use crate::clock::Clock;
use crate::config::Config;
use crate::share::{ShareError, Socket};
use crate::store::{Guard, Identity};

/// How long a stop waits for what is in flight, beyond what one call may take.
pub const STOP_MARGIN: Duration = Duration::from_secs(10);
/// How much longer systemd is told to wait than we do.
const GRACE: Duration = Duration::from_secs(5);

/// Runs the daemon until it is told to stop (a [`CancellationToken`] is order enough), then finishes what is in flight
/// (bounded) and returns.
///
/// # Errors
/// When it can't start, or one of its loops ended by itself.
pub async fn run(
    config: &Config,
    secrets: Secrets,
    clock: Clock,
    orders: impl Into<Orders>,
) -> Result<(), DaemonError> {
    let Orders { stop, reloads, pulse } = orders.into();
    let identity = identity(&clock);
    let holder = format!("pid {} on {}", identity.pid, identity.host);
    let _guard = Guard::take(&config.database.path, &holder)?;
    let watchdog = Watchdog::new(pulse);
    let writers = TaskTracker::new();
    let mut parts = Parts::build(config, secrets.clone(), clock, watchdog.pulse(), &writers).await?;
    let socket = socket(config).await?;
    let leftovers = parts.store.release().await?;
    tracing::info!(
        version = identity.version,
        database = %config.database.path.display(),
        interrupted = leftovers,
        "started"
    );
    vitals::notify(&[NotifyState::Ready]);

    let notice = watch::Sender::new(None);
    let loops = Loops::start(&mut parts, config, identity, notice.subscribe(), &stop).await?;
    let end = CancellationToken::new();
    let _fed_until_the_end = end.clone().drop_guard();
    TaskTracker::new().spawn(watchdog.feed(end));
    if let Some(socket) = socket {
        loops.share(socket, &parts, &stop);
    }
    let dials = parts.dials.clone();
    if let Some(reloads) = reloads {
        let reload = Reload {
            reloads,
            config: config.clone(),
            secrets,
            dials: dials.clone(),
            notice,
        };
        loops.reload(reload, &stop);
    }
    let result = loops.until_stop(&stop).await;
    let bound = dials.request_timeout() + STOP_MARGIN;
    let enough = u32::try_from((bound + GRACE).as_micros()).unwrap_or(u32::MAX);
    vitals::notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(enough)]);
    stop.cancel();
    let steps = loops.steps();
    match tokio::time::timeout(bound, wind_up(loops, parts, writers)).await {
        Ok(()) => tracing::info!("stopped"),
        Err(_) => tracing::warn!(
            in_flight = steps.len(),
            "stopped before all was written down; what is left is looked at first at the next start"
        ),
    }
    result
}

/// Lets the loops and what is in flight come to their end, says that we have stopped, and closes the database.
async fn wind_up(loops: Loops, parts: Parts, writers: TaskTracker) {
    loops.finish().await;
    parts.store.optimize().await.ok();
    drop(parts);
    writers.close();
    writers.wait().await;
}

/// The socket that the token is shared on: there before we are ready.
async fn socket(config: &Config) -> Result<Option<Socket>, ShareError> {
    let Some(share) = &config.share else {
        return Ok(None);
    };
    let socket = Socket::bind(&share.socket, share.mode).await?;
    tracing::info!(socket = %share.socket.display(), mode = format!("{:04o}", share.mode), "the token is shared");
    Ok(Some(socket))
}

fn identity(clock: &Clock) -> Identity {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Identity {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        host: host.trim().to_owned(),
        started_at: clock.now(),
    }
}
