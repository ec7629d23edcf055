//! A life: a daemon, a platform, and how time goes by.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use fastrand::Rng;
use sqlx::{Row as _, SqliteConnection};
use staticstored::clock::{Clock, Timestamp, after, parse, text};
use staticstored::simulator::{Endpoint, Fault, Opening, Options};
use staticstored::store::{self, Access};

use super::process::Process;
use crate::world::World;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// Environments, so few that they are requested again and again.
const ENVS: usize = 16;
/// In how many steps the time between two events goes by.
const STEPS: u32 = 2;
/// Weixin pushes one every ten minutes; within the hour is often enough.
const TICKETS_COME_EVERY: TimeDelta = TimeDelta::minutes(45);
/// How long mended things may take, at most, to come to their end: longer than any backoff.
const LONGEST_END: Duration = Duration::from_secs(3 * 24 * 3600);
/// A file system in memory: what a disk does to the database is asked by `binary`, and here it only costs time.
const MEMORY: &str = "/dev/shm";
/// The first moment of the first life.
const BEGINNING: &str = "2026-01-01T00:00:00.000Z";

pub(super) struct Life {
    pub(super) seed: u64,
    pub(super) world: World,
    /// The daemon; `None` while it is dead.
    pub(super) process: Option<Process>,
    /// The feeders' connection, which also looks.
    connection: RefCell<Option<SqliteConnection>>,
    /// The platform's time, which does not jump when the daemon's machine's does.
    pub(super) platform: Clock,
    pub(super) dice: Rng,
    /// Every env ever requested.
    pub(super) requested: BTreeSet<String>,
    /// How often the feeders have committed.
    pub(super) commits: Cell<u64>,
    /// The commits that the daemon is known to have noticed.
    pub(super) noticed: Cell<Option<(Option<u64>, u64)>>,
    /// How often the daemon died.
    pub(super) crashes: u64,
    /// When, by the platform's time, the daemon's clock jumped or its machine was suspended.
    pub(super) jumps: Vec<Timestamp>,
    /// The newest call in the history when the last of these happened.
    pub(super) known_at_jump: i64,
    /// What the daemon's clock showed after that.
    pub(super) jumped_to: Timestamp,
    begun: Timestamp,
    /// When what goes on now is over.
    pub(super) trouble_until: Option<Timestamp>,
    pub(super) paused: bool,
    ticket_at: Timestamp,
    pub(super) tickets_come: bool,
    /// Rows that were due when time last stood still, though nothing was in the way.
    pub(super) hungry: Vec<Vec<String>>,
    /// What has happened, to be told when the books do not agree.
    log: RefCell<Vec<String>>,
}

impl Life {
    pub(super) async fn begin(seed: u64) -> Self {
        // Another time for each: chance is drawn from the moment, too.
        let now = after(
            parse(BEGINNING).unwrap(),
            SECOND * u32::try_from(seed % 1_000_000).unwrap(),
        );
        let platform = Clock::manual(now);
        let options = Options {
            clock: platform.clone(),
            seed,
            opening: Opening::online_after(3 * MINUTE),
            start_push_makes_ticket: false,
            // A call that finds a connection which the platform has just cut would fail in one way or in another.
            keep_alive: false,
            ..Options::default()
        };
        let mut world = World::in_directory(directory(), options).await;
        world.clock = Clock::manual(now);
        world.clock.take_turns();
        for (key, value) in SETTINGS {
            world.set(key, value);
        }
        world.set("api.max_in_flight", ["1", "2", "4"][(seed % 3) as usize]);
        let connection = store::connect(&world.database(), Access::Write).await.unwrap();
        let mut life = Self {
            seed,
            world,
            process: None,
            connection: RefCell::new(Some(connection)),
            platform,
            dice: Rng::with_seed(seed),
            requested: BTreeSet::new(),
            commits: Cell::default(),
            noticed: Cell::default(),
            crashes: 0,
            jumps: Vec::new(),
            known_at_jump: 0,
            jumped_to: now,
            begun: now,
            trouble_until: None,
            paused: false,
            ticket_at: now,
            tickets_come: true,
            hungry: Vec::new(),
            log: RefCell::default(),
        };
        life.everyday_faults();
        life.new_ticket().await;
        life.start().await;
        life
    }

    /// What goes wrong on any day.
    pub(super) fn everyday_faults(&self) {
        for endpoint in [Endpoint::Create, Endpoint::Describe] {
            for fault in [
                Fault::on(endpoint).errcode(-1, "system error"),
                Fault::on(endpoint).errcode(-1, "system error").after_effect(),
                Fault::on(endpoint).cut(),
                Fault::on(endpoint).cut().after_effect(),
                Fault::on(endpoint).http(502),
                Fault::on(endpoint).no_json().after_effect(),
                Fault::on(endpoint).errcode(45011, "slow down"),
                Fault::on(endpoint).errcode(-604_999, "nobody knows"),
            ] {
                self.world.simulator.fault(fault.probability(0.03));
            }
            self.world
                .simulator
                .fault(Fault::on(endpoint).token_lost().probability(0.01));
        }
        for fault in [
            Fault::on(Endpoint::Describe).null_fields(),
            Fault::on(Endpoint::Describe).wrong_env(),
            Fault::on(Endpoint::Create).errcode(-501_007, "no such resource"),
        ] {
            self.world.simulator.fault(fault.probability(0.01));
        }
        for fault in [
            Fault::on(Endpoint::Exchange).errcode(-1, "system error"),
            Fault::on(Endpoint::Exchange).cut().after_effect(),
        ] {
            self.world.simulator.fault(fault.probability(0.1));
        }
    }

    /// Starts the daemon, and lets it do what it finds.
    pub(super) async fn start(&mut self) {
        self.noticed.set(None);
        self.process = Some(Process::start(&self.world));
        self.settle_down().await;
    }

    /// Time goes by, in steps; what is over is over, and tickets come.
    pub(super) async fn let_go_by(&mut self, whole: Duration) {
        let end = after(self.platform.now(), whole);
        while self.platform.now() < end {
            self.move_clocks(SECOND * (whole.as_secs() as u32 / STEPS).max(1));
            self.settle_down().await;
            let now = self.platform.now();
            if self.trouble_until.is_some_and(|until| until <= now) {
                self.end_trouble().await;
            }
            if self.tickets_come && now - self.ticket_at >= TICKETS_COME_EVERY {
                self.new_ticket().await;
            }
            self.nobody_starves().await;
        }
    }

    pub(super) fn move_clocks(&self, by: Duration) {
        self.platform.advance(by);
        self.world.clock.advance(by);
    }

    async fn new_ticket(&mut self) {
        self.ticket_at = self.platform.now();
        let (ticket, now) = (self.world.simulator.new_ticket(), text(self.world.clock.now()));
        self.write(&format!(
            "INSERT INTO ticket (component_verify_ticket, received_at) VALUES ('{ticket}', '{now}')"
        ))
        .await;
        self.settle_down().await;
    }

    /// Writes as a feeder does, without waiting for what comes of it. While nothing goes on, nobody is in its way.
    pub(super) async fn write(&self, sql: &str) {
        let mut connection = self.connection.take().expect("one at a time");
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut connection)
            .await;
        self.connection.replace(Some(connection));
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
        self.commits.set(self.commits.get() + 1);
    }

    /// The rows of a query, each value as text, NULL as `NULL`.
    pub(super) async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let mut connection = self.connection.take().expect("one at a time");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut connection)
            .await;
        self.connection.replace(Some(connection));
        let value = |row: &sqlx::sqlite::SqliteRow, i| {
            let value = row.try_get_unchecked::<Option<String>, _>(i).unwrap();
            value.unwrap_or_else(|| "NULL".to_owned())
        };
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.iter()
            .map(|row| (0..row.len()).map(|i| value(row, i)).collect())
            .collect()
    }

    /// The first column of a query.
    pub(super) async fn column(&self, sql: &str) -> Vec<String> {
        let rows = self.rows(sql).await;
        rows.into_iter().map(|mut row| row.swap_remove(0)).collect()
    }

    pub(super) fn note(&self, what: impl Into<String>) {
        let (now, what) = (text(self.platform.now()), what.into());
        self.log.borrow_mut().push(format!("{now} {what}"));
    }

    /// What has happened, and whose turn it was when.
    pub(super) fn told(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    pub(super) fn env(&mut self) -> String {
        format!("env-{}", self.dice.usize(0..ENVS))
    }

    /// Everything is as it should be again, and what is owed comes to its end.
    pub(super) async fn mend_everything(&mut self) {
        self.note("everything is mended");
        self.trouble_until = Some(self.platform.now());
        self.end_trouble().await;
        self.world.simulator.clear_faults();
        self.tickets_come = true;
        let begun = self.platform.now();
        while self.owed().await > 0 && self.platform.now() < after(begun, LONGEST_END) {
            self.let_go_by(20 * MINUTE).await;
        }
    }

    /// How long it has lasted.
    pub(super) fn lasted(&self) -> TimeDelta {
        self.platform.now() - self.begun
    }

    async fn owed(&self) -> i64 {
        self.column("SELECT count(*) FROM queue").await[0]
            .parse()
            .unwrap()
    }
}

/// By turns at most one call is made at a time; what is parked may be as much as `api.max_in_flight`.
const SETTINGS: [(&str, &str); 10] = [
    ("api.request_timeout", "60s"),
    ("api.connect_timeout", "60s"),
    // With a limit, however high, nothing is claimed ahead of its permit: two lanes would do that side by side.
    ("api.creates_per_second", "10000"),
    ("api.describes_per_second", "10000"),
    ("retry.initial_backoff", "1s"),
    ("retry.max_backoff", "5m"),
    ("confirm.initial_interval", "5s"),
    ("confirm.max_interval", "60s"),
    ("retry.give_up_after", "24h"),
    // On the day that hardly ever comes: its bell goes by real time.
    ("retention.schedule", "0 0 0 29 2 *"),
];

fn directory() -> tempfile::TempDir {
    if Path::new(MEMORY).is_dir() {
        tempfile::tempdir_in(MEMORY).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "seed {} (WEEKS_SEEDS={}..{}); what happened:\n  {}",
                self.seed,
                self.seed,
                self.seed + 1,
                self.told().join("\n  ")
            );
        }
    }
}
