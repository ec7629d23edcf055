//! A disk that is full, or that can't be written, for a while.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use staticstored::simulator::Endpoint;
use staticstored::store;

use super::feeders::python;
use super::watchdog::{holding, let_go};
use super::{Station, private};
use crate::programs::there;
use crate::world::{QUICK, within};

/// A small file system (it must hold a -wal file of 4 MiB, which SQLite lets grow to that size) of its own over a directory, gone when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, and a word why, where this user may not mount.
    fn over(directory: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(directory)
            .stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(directory.to_owned()));
        }
        eprintln!("skipped: a file system can be mounted only by root");
        None
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut ballast = File::create(self.0.join("ballast")).unwrap();
        for size in [64 * 1024, 1024, 1] {
            let piece = vec![b'x'; size];
            let error = loop {
                if let Err(error) = ballast.write_all(&piece) {
                    break error;
                }
            };
            assert_eq!(error.kind(), ErrorKind::StorageFull);
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

async fn all_online(station: &mut Station, count: usize) {
    let states = "SELECT state, count(*) FROM status GROUP BY state";
    station
        .world
        .wait_for(states, &[&format!("online|{count}")])
        .await;
    assert_eq!(station.world.row("SELECT count(*) FROM queue").await, "0");
    assert_eq!(station.world.simulator.needless_creates(), 0);
    assert_eq!(station.world.row("PRAGMA integrity_check").await, "ok");
    station.stop().await;
}

#[tokio::test]
async fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    const ENVS: usize = 1000;
    let mut station = Station::new().await;
    let Some(disk) = SmallDisk::over(station.world.directory.path()) else {
        return;
    };
    station.write("config.toml", QUICK);
    private(&station.write(
        "appsecret",
        &staticstored::simulator::Options::default().appsecret,
    ));
    store::migrate(&station.world.database()).await.unwrap();
    station.world.give_ticket().await;
    station.insert_many(ENVS).await;

    station.start();
    for round in 1..=3 {
        within(
            station
                .world
                .simulator
                .wait_for_calls(Endpoint::Create, round * 100),
        )
        .await;
        disk.fill();
        let warnings = |log: &str| {
            log.matches("the database cannot be written; trying again")
                .count() as u64
        };
        super::until(|| warnings(&station.log()) >= round).await;
        assert!(
            station.daemon.as_mut().unwrap().try_wait().unwrap().is_none(),
            "{}",
            station.log()
        );
        disk.free();
        let again = |log: &str| log.matches("the database can be written again").count() as u64;
        super::until(|| again(&station.log()) >= round).await;
    }
    all_online(&mut station, ENVS).await;
    let log = station.log();
    assert!(log.contains("disk is full"), "{log}");
}

#[tokio::test]
async fn a_disk_that_is_full_at_the_stop_does_not_keep_the_daemon_from_stopping() {
    let mut station = Station::new().await;
    let Some(disk) = SmallDisk::over(station.world.directory.path()) else {
        return;
    };
    station.write("config.toml", QUICK);
    private(&station.write(
        "appsecret",
        &staticstored::simulator::Options::default().appsecret,
    ));
    station.world.set("api.request_timeout", "100ms");
    station.world.set("api.connect_timeout", "100ms");
    store::migrate(&station.world.database()).await.unwrap();
    station.world.give_ticket().await;
    station.insert_many(500).await;
    station.start();
    within(station.world.simulator.wait_for_calls(Endpoint::Create, 50)).await;
    disk.fill();
    station
        .wait_for_log("the database cannot be written; trying again")
        .await;
    station.stop().await;
    disk.free();
    station.start();
    all_online(&mut station, 500).await;
}

/// The immutable flag stops even root, and even through a descriptor that is open.
fn set_immutable(station: &Station, flag: &str) -> bool {
    let files = ["queue.db", "queue.db-wal"].map(|name| station.path(name));
    Command::new("chattr")
        .arg(flag)
        .args(files)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

struct Mutable<'a>(&'a Station);

impl Drop for Mutable<'_> {
    fn drop(&mut self) {
        set_immutable(self.0, "-i");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_written_for_a_while_is_waited_for_and_nothing_is_lost() {
    let mut station = Station::new().await;
    station.insert_many(500).await;
    station.start();
    within(station.world.simulator.wait_for_calls(Endpoint::Create, 100)).await;
    {
        let _mutable = Mutable(&station);
        if !set_immutable(&station, "+i") {
            eprintln!("skipped: files cannot be made immutable here");
            return;
        }
        station
            .wait_for_log("the database cannot be written; trying again")
            .await;
    }
    station.wait_for_log("the database can be written again").await;
    all_online(&mut station, 500).await;
}

/// Holds a snapshot, and fills the -wal file with more than it may keep.
const STUCK_READER: &str = "
import sqlite3, sys
reader, writer = (sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30) for _ in range(2))
reader.execute('BEGIN')
reader.execute('SELECT count(*) FROM queue').fetchall()
for _ in range(int(sys.argv[2])):
    writer.execute(\"INSERT INTO attempt (env, at, call, errmsg, latency_ms, outcome) \"
                   \"VALUES ('other', '2026-11-23T16:25:07.123Z', 'create', printf('%.*c', 1000000, 'x'), 1, 'retry')\")
writer.close()
print('held', flush=True)
sys.stdin.read()
";

#[tokio::test]
async fn a_wal_that_a_stuck_reader_let_grow_is_cut_once_the_reader_is_gone() {
    if !there("python3") {
        return;
    }
    let mut station = Station::new().await;
    station.started().await;
    let mut reader = python(STUCK_READER);
    let megabytes = store::LARGEST_WAL / 1_000_000 + 5;
    reader.arg(station.world.database()).arg(megabytes.to_string());
    let reader = holding(reader);
    let wal = station.path("queue.db-wal");
    let size = || std::fs::metadata(&wal).unwrap().len();
    // It goes on all the same.
    station.insert_many(50).await;
    let online = "SELECT count(*) FROM status WHERE state = 'online'";
    station.world.wait_for(online, &["50"]).await;
    assert!(size() > store::LARGEST_WAL, "{}", size());
    let_go(reader).await;
    for round in 0.. {
        station.world.insert(&format!("later-{round}")).await;
        station
            .world
            .wait_for_state(&format!("later-{round}"), "online")
            .await;
        if size() <= store::LARGEST_WAL {
            break;
        }
        assert!(round < 50, "{} after {round} requests", size());
    }
    station.stop().await;
}
