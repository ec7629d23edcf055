//! One thing after the other: whose turn is next, and when nothing goes on any more.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::life::Life;
use super::process::Process;
use crate::world::{PATIENCE, within};

/// After this the watch on the database is stirred again, in case it did not listen just then.
const STIR_AGAIN: Duration = Duration::from_millis(20);

/// What the watch on the database has been seen to notice: the writer's turns and the commits of ours.
type Commits = (Option<u64>, u64);

impl Life {
    /// Lets one after the other have its turn, until nobody wants one. Who is next is for the seed to say, by the time and
    /// the names, so that it is the same again whatever else happened in between.
    pub(super) async fn settle_down(&self) {
        while self.one_turn().await {}
    }

    /// Gives a turn, once nothing else goes on; whether anybody wanted one.
    pub(super) async fn one_turn(&self) -> bool {
        self.a_turn_of_another_than("").await
    }

    /// The same, but one has to wait.
    pub(super) async fn a_turn_of_another_than(&self, who: &str) -> bool {
        self.nothing_goes_on().await;
        self.check_turns();
        let Some(next) = self.next_turn(who) else {
            return false;
        };
        self.note(format!("  {next}"));
        self.world.clock.let_go(&next)
    }

    /// Whose turn is next, if not that of `other`.
    pub(super) fn next_turn(&self, other: &str) -> Option<String> {
        let now = self.world.clock.now();
        let draw = |who: &String| {
            let mut hasher = DefaultHasher::new();
            (self.seed, now, who).hash(&mut hasher);
            hasher.finish()
        };
        let waiting = self.world.clock.waiting().into_iter();
        waiting.filter(|who| who != other).min_by_key(draw)
    }

    /// At most one exchange at a time, whatever happens.
    fn check_turns(&self) {
        let waiting = self.world.clock.waiting();
        let exchanges = waiting.iter().filter(|who| who.starts_with("exchange")).count();
        assert!(exchanges <= 1, "{waiting:?}");
    }

    /// Returns when the daemon, the platform and the database have nothing left to do but to wait for the clock, for a turn or
    /// for a call that is held. It is so as long as nobody of ours does anything.
    pub(super) async fn nothing_goes_on(&self) {
        let Some(process) = &self.process else { return };
        let quiet = async {
            loop {
                self.until_quiet(process).await;
                let commits = self.commits(process);
                if self.noticed.replace(Some(commits)) == Some(commits) {
                    return;
                }
                self.until_noticed(process).await;
            }
        };
        if tokio::time::timeout(PATIENCE, quiet).await.is_err() {
            panic!(
                "something goes on all the time: {:#?}",
                self.what_goes_on(process)
            );
        }
        assert!(
            !process.has_ended() || process.is_to_stop(),
            "the daemon ended by itself"
        );
    }

    async fn until_quiet(&self, process: &Process) {
        loop {
            process.has_run().await;
            // One that stops has no more loops.
            let is_whole = || process.is_up() || process.is_to_stop();
            let rests = || is_whole() && process.store_rests() && self.calls_are_held();
            if process.has_ended() || process.sleeps_while(rests) {
                return;
            }
            self.something_happens(process).await;
        }
    }

    /// The same while somebody holds the write lock: then the daemon may have something to write, and cannot.
    pub(super) async fn nothing_goes_on_but_writes(&self) {
        let Some(process) = &self.process else { return };
        let stuck = async {
            loop {
                process.has_run().await;
                if process.sleeps_while(|| process.nothing_is_read() && self.calls_are_held()) {
                    return;
                }
                self.something_happens(process).await;
            }
        };
        within(stuck).await;
    }

    async fn something_happens(&self, process: &Process) {
        let held = self.world.simulator.held();
        tokio::select! {
            () = process.sleeps() => {}
            () = self.world.simulator.wait_until(|simulator| simulator.held() != held) => {}
        }
    }

    /// Whether all calls that are under way are held by the platform.
    fn calls_are_held(&self) -> bool {
        self.world.clock.acting() == self.world.simulator.held()
    }

    fn commits(&self, process: &Process) -> Commits {
        (process.pulse.turns("writer"), self.commits.get())
    }

    /// Waits until a look of the watch that began after this has come to its end.
    async fn until_noticed(&self, process: &Process) {
        let Some(before) = process.pulse.turns("watch") else {
            return;
        };
        loop {
            match process.pulse.turns("watch") {
                // The first may have begun before; the second ends the one that began after.
                Some(turns) if turns < before + 2 => {}
                _ => return,
            }
            self.stir_the_watch();
            let _ = tokio::time::timeout(STIR_AGAIN, process.sleeps()).await;
        }
    }

    /// A file event on the -wal file, as a commit would be one.
    fn stir_the_watch(&self) {
        let mut wal = self.world.database().into_os_string();
        wal.push("-wal");
        // Without the file the watch looks by itself before long.
        let _ = std::fs::set_permissions(wal, std::fs::Permissions::from_mode(0o660));
    }

    fn what_goes_on(&self, process: &Process) -> Vec<String> {
        vec![
            format!("up: {}, ended: {}", process.is_up(), process.has_ended()),
            format!("acting: {}", self.world.clock.acting()),
            format!("held: {}", self.world.simulator.held()),
            format!("waiting: {:?}", self.world.clock.waiting()),
            format!("{:?}", process.pulse),
        ]
    }
}
