//! Foreign commits become wake-ups.
//!
//! `PRAGMA data_version` on a connection kept for it is the truth. A file event on the `-wal` file is a hint: it comes
//! before the commit is visible, so the truth is asked for again for some milliseconds after it. Where no
//! hints come (a file system without events), a slow poll of the same truth is left.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher as _};
use sqlx::SqliteConnection;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// How often the truth is asked for without a hint.
pub const SLOW_POLL: Duration = Duration::from_millis(500);
/// Hints that come closer together than this, as our own commits do while a queue is drained, are one.
const SPACING: Duration = Duration::from_millis(2);
/// When the truth is asked for again after a hint.
const AGAIN: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_micros(300),
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(8),
];

/// Counts the commits that were noticed; each change is a wake-up.
pub type Wakes = watch::Receiver<u64>;

/// Notices commits to a database.
pub struct Watch {
    connection: SqliteConnection,
    hints: Arc<Notify>,
    /// Kept, for it stops to watch when it is dropped.
    _watcher: Option<notify::RecommendedWatcher>,
    wakes: watch::Sender<u64>,
    version: i64,
}

impl Watch {
    /// Starts to watch the database at `path` on a connection that is used for nothing else.
    pub fn new(connection: SqliteConnection, path: &Path) -> (Self, Wakes) {
        let hints = Arc::new(Notify::new());
        let watcher = watcher(path, hints.clone())
            .inspect_err(
                |error| tracing::info!(%error, "no file events here; commits are noticed by a slow poll"),
            )
            .ok();
        let (wakes, receiver) = watch::channel(0);
        (
            Self {
                connection,
                hints,
                _watcher: watcher,
                wakes,
                version: 0,
            },
            receiver,
        )
    }

    /// Watches until `stop`.
    ///
    /// # Errors
    /// When the database can't be asked any more.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), sqlx::Error> {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = self.hints.notified() => {
                    self.look_again().await?;
                    tokio::time::sleep(SPACING).await;
                }
                () = tokio::time::sleep(SLOW_POLL) => { self.look().await?; }
            }
        }
    }

    async fn look_again(&mut self) -> Result<(), sqlx::Error> {
        for wait in AGAIN {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            if self.look().await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether something was committed since the last look.
    async fn look(&mut self) -> Result<bool, sqlx::Error> {
        let version: i64 = sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut self.connection)
            .await?;
        let changed = version != self.version;
        if changed {
            self.version = version;
            self.wakes.send_modify(|count| *count += 1);
        }
        Ok(changed)
    }
}

fn watcher(path: &Path, hints: Arc<Notify>) -> notify::Result<notify::RecommendedWatcher> {
    let mut wal = path.file_name().unwrap_or_default().to_owned();
    wal.push("-wal");
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let elsewhere = |event: notify::Event| {
            matches!(event.kind, EventKind::Access(_))
                || !event.paths.iter().any(|path| path.file_name() == Some(&wal))
        };
        // An error may hide an event: look.
        if !event.is_ok_and(elsewhere) {
            hints.notify_one();
        }
    })?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
