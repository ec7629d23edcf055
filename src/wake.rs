//! Foreign commits become wake-ups.
//!
//! `PRAGMA data_version` on a connection kept for it is the truth. A file event on the `-wal` file is a hint: it comes
//! before the commit is visible, so the truth is asked for again for some milliseconds after it. Where no
//! hints come (a file system without events), a slow poll of the same truth is left.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher as _};
use sqlx::SqliteConnection;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Stopwatch;
use crate::pulse::Beat;

/// How often the truth is asked for without a hint.
pub const SLOW_POLL: Duration = Duration::from_millis(500);
/// After so many commits within this time, as our own come while a queue is drained, hints are not listened to for [`REST`]:
/// each page that is written is one.
const BUSY: u32 = 16;
const BUSY_WITHIN: Duration = Duration::from_millis(160);
const REST: Duration = Duration::from_millis(50);
/// A disk that fails to be read may be better in a moment; after so many failures in a row, the daemon is started anew.
const MOST_FAILURES: u32 = 100;
const AFTER_A_FAILURE: Duration = Duration::from_millis(200);
/// After a hint the truth is asked for up to so many times in short order, the first of them at once, for the commit is
/// mostly no further away than an fsync.
const SOON: u32 = 16;
const SHORTLY: Duration = Duration::from_micros(100);
/// Then so many times more, this far apart: also where something was found, which may have been another commit than the one
/// that gave the hint.
const LATER: u32 = 8;
const APART: Duration = Duration::from_millis(1);

/// Counts the commits that were noticed; each change is a wake-up.
pub type Wakes = watch::Receiver<u64>;

/// Notices commits to a database.
pub struct Watch {
    connection: SqliteConnection,
    hints: Arc<Notify>,
    directory: PathBuf,
    watcher: Option<notify::RecommendedWatcher>,
    wakes: watch::Sender<u64>,
    version: i64,
    /// In a row.
    failures: u32,
    /// Hints in a row that nothing was found for at once, as those of a long transaction.
    in_vain: u32,
    /// Commits within [`BUSY_WITHIN`], and since when they are counted.
    busy: u32,
    busy_since: Stopwatch,
}

impl Watch {
    /// Starts to watch the database at `path` on a connection that is used for nothing else.
    pub fn new(connection: SqliteConnection, path: &Path) -> (Self, Wakes) {
        let hints = Arc::new(Notify::new());
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new(".")).to_owned();
        let (wakes, receiver) = watch::channel(0);
        let watcher = watcher(path, hints.clone());
        let mut watch = Self {
            connection,
            hints,
            directory,
            watcher: None,
            wakes,
            version: 0,
            failures: 0,
            in_vain: 0,
            busy: 0,
            busy_since: Stopwatch::start(),
        };
        match watcher {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => tracing::info!(%error, "no file events here; commits are noticed by a slow poll"),
        }
        watch.listen(true);
        (watch, receiver)
    }

    /// Watches until `stop`, and turns by `beat`.
    ///
    /// # Errors
    /// When the database can't be asked any more.
    pub async fn run(mut self, beat: Beat, stop: CancellationToken) -> Result<(), sqlx::Error> {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = self.hints.notified() => self.look_again(&beat).await?,
                // Each look is a turn: no need to be woken for a beat.
                () = tokio::time::sleep(SLOW_POLL) => {
                    self.in_vain = 0;
                    self.look(&beat).await?;
                }
            }
            if self.busy >= BUSY {
                self.busy = 0;
                self.listen(false);
                tokio::time::sleep(REST).await;
                self.listen(true);
                self.look(&beat).await?;
            }
        }
    }

    /// Listens to file events, or stops to.
    fn listen(&mut self, listen: bool) {
        let Some(watcher) = &mut self.watcher else { return };
        let done = match listen {
            true => watcher.watch(&self.directory, RecursiveMode::NonRecursive),
            false => watcher.unwatch(&self.directory),
        };
        if let Err(error) = done {
            tracing::info!(%error, "no file events any more; commits are noticed by a slow poll");
            self.watcher = None;
        }
    }

    /// Looks several times, until another hint comes that is to be followed at once.
    async fn look_again(&mut self, beat: &Beat) -> Result<(), sqlx::Error> {
        self.in_vain += 1;
        for look in 0..SOON {
            if look > 0 {
                nap().await;
            }
            if self.look(beat).await? {
                // Who was woken by it needs the processor more than the next look does.
                break;
            }
        }
        // One more hint of what was just looked for is no news; and the longer hints come in vain, the less they say.
        let deaf = 1 << self.in_vain.min(LATER.ilog2());
        for wait in 0..LATER {
            if wait < deaf {
                tokio::time::sleep(APART).await;
            } else if tokio::time::timeout(APART, self.hints.notified()).await.is_ok() {
                self.hints.notify_one();
                return Ok(());
            }
            self.look(beat).await?;
        }
        Ok(())
    }

    /// Whether something was committed since the last look.
    async fn look(&mut self, beat: &Beat) -> Result<bool, sqlx::Error> {
        // At its beginning: whatever was committed before a turn is noticed by the next.
        beat.turn();
        let version = sqlx::query_scalar("PRAGMA data_version");
        let version: i64 = match version.fetch_one(&mut self.connection).await {
            Ok(version) => version,
            Err(error) if self.failures < MOST_FAILURES => {
                if self.failures == 0 {
                    tracing::warn!(%error, "commits cannot be noticed; trying again");
                }
                self.failures += 1;
                tokio::time::sleep(AFTER_A_FAILURE).await;
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        self.failures = 0;
        let changed = version != self.version;
        if changed {
            self.version = version;
            self.in_vain = 0;
            if self.busy_since.elapsed() > BUSY_WITHIN {
                self.busy_since = Stopwatch::start();
                self.busy = 0;
            }
            self.busy += 1;
            self.wakes.send_modify(|count| *count += 1);
        }
        Ok(changed)
    }
}

/// Sleeps for [`SHORTLY`], which the runtime's timers cannot: they count milliseconds.
async fn nap() {
    // It fails where the runtime ends, and the watch with it.
    let _ = tokio::task::spawn_blocking(|| std::thread::sleep(SHORTLY)).await;
}

fn watcher(path: &Path, hints: Arc<Notify>) -> notify::Result<notify::RecommendedWatcher> {
    let mut wal = path.file_name().unwrap_or_default().to_owned();
    wal.push("-wal");
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let elsewhere = |event: notify::Event| {
            matches!(event.kind, EventKind::Access(_))
                || !event.paths.iter().any(|path| path.file_name() == Some(&wal))
        };
        // An error may hide an event: look.
        if !event.is_ok_and(elsewhere) {
            hints.notify_one();
        }
    })
}
