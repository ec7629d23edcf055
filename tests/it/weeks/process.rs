//! The daemon as a process: a thread that runs all of its tasks, and can die with them.
//!
//! One thread, for then what is ready runs in the order in which it became so; and the runtime says when it has nothing
//! left to run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use staticstored::daemon::{self, DaemonError, Orders};
use staticstored::pulse::{Pulse, Work};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::World;

/// The loops that a daemon of its own token has.
const LOOPS: [&str; 8] = [
    "create", "describe", "pause", "report", "ticket", "token", "watch", "writer",
];

pub(super) struct Process {
    runtime: Handle,
    run: Option<JoinHandle<Result<(), DaemonError>>>,
    stop: CancellationToken,
    thread: Option<thread::JoinHandle<()>>,
    /// Dropped, it lets the thread end.
    life: Option<oneshot::Sender<()>>,
    pub(super) pulse: Pulse,
    parks: Arc<Parks>,
}

/// How often the thread went to sleep and woke: odd while it sleeps.
#[derive(Default)]
struct Parks {
    count: AtomicU64,
    slept: Notify,
}

impl Process {
    pub(super) fn start(world: &World) -> Self {
        let (parks, pulse, stop) = (
            Arc::<Parks>::default(),
            Pulse::default(),
            CancellationToken::new(),
        );
        let (asleep, awake) = (parks.clone(), parks.clone());
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || {
                asleep.count.fetch_add(1, SeqCst);
                asleep.slept.notify_one();
            })
            .on_thread_unpark(move || {
                awake.count.fetch_add(1, SeqCst);
            })
            .build()
            .unwrap();
        let handle = runtime.handle().clone();
        let (config, secrets, clock) = (world.config(), world.secrets(), world.clock.clone());
        let orders = Orders {
            stop: stop.clone(),
            reloads: None,
            pulse: Some(pulse.clone()),
        };
        let run = handle.spawn(async move { daemon::run(&config, secrets, clock, orders).await });
        let (life, death) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let _ = runtime.block_on(death);
        });
        Self {
            runtime: handle,
            run: Some(run),
            stop,
            thread: Some(thread),
            life: Some(life),
            pulse,
            parks,
        }
    }

    /// Ends it where it stands: nothing more is written.
    pub(super) fn kill(mut self) {
        self.end();
    }

    /// Tells it to stop.
    pub(super) fn tell_to_stop(&self) {
        self.stop.cancel();
    }

    pub(super) fn is_to_stop(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether it has come to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.run.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What it said at its end.
    pub(super) async fn last_words(mut self) -> Result<(), DaemonError> {
        let run = self.run.take().unwrap();
        run.await.unwrap()
    }

    /// Whether all of its loops have begun to turn.
    pub(super) fn is_up(&self) -> bool {
        LOOPS.iter().all(|name| self.pulse.turns(name).is_some())
    }

    /// Waits until all has run that was woken before this.
    pub(super) async fn has_run(&self) {
        let parks = self.parks.clone();
        let probe = self.runtime.spawn(async move { parks.count.load(SeqCst) });
        // Nobody is left to ask once it has ended.
        let Ok(seen) = probe.await else { return };
        while self.parks.count.load(SeqCst) == seen {
            self.parks.slept.notified().await;
        }
    }

    /// Waits until it has gone to sleep since the last time that this was asked.
    pub(super) async fn sleeps(&self) {
        self.parks.slept.notified().await;
    }

    /// Whether it sleeps, and all the while what `look` asks is so.
    pub(super) fn sleeps_while(&self, look: impl FnOnce() -> bool) -> bool {
        let before = self.parks.count.load(SeqCst);
        before % 2 == 1 && look() && self.parks.count.load(SeqCst) == before
    }

    /// Whether the store has nothing at work.
    pub(super) fn store_rests(&self) -> bool {
        self.pulse.under_way(Work::Read) + self.pulse.under_way(Work::Write) == 0
    }

    pub(super) fn nothing_is_read(&self) -> bool {
        self.pulse.under_way(Work::Read) == 0
    }

    fn end(&mut self) {
        self.life.take();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
