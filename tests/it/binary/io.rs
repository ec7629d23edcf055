//! The kernel refuses single calls on the database's files, by strace's injection: what was not written was not said to be.

use staticstored::simulator::Endpoint;

use super::Station;
use crate::programs::{may_trace, there};

const ENVS: usize = 300;
const NOT_WRITTEN: &str = "the database cannot be written; trying again";

/// A drain in which calls on a file fail as strace's `inject` says, and of which the log says so.
async fn through(file: &str, fault: &str, said: &str) {
    if !there("strace") || !may_trace() {
        return;
    }
    let mut station = Station::new().await;
    let (call, _) = fault.split_once(':').unwrap();
    // -D: the daemon is our child, and strace its tracer.
    let path = station.path(file).display().to_string();
    let strace = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", &path];
    let faults = ["-e", &format!("trace={call}"), "-e", &format!("inject={fault}")];
    station.under = strace.iter().chain(&faults).map(ToString::to_string).collect();
    station.insert_many(ENVS).await;
    station.start();
    let states = "SELECT state, count(*) FROM status GROUP BY state";
    station.world.wait_for(states, &[&format!("online|{ENVS}")]).await;
    station.stop().await;
    let log = station.log();
    let line = |line: &str| {
        line.contains(said) && (line.contains("disk I/O error") || line.contains("disk is full"))
    };
    assert!(log.lines().any(line), "{file} {fault}: {log}");
    assert_eq!(station.world.row("SELECT count(*) FROM queue").await, "0");
    assert_eq!(station.world.simulator.needless_creates(), 0, "{file} {fault}");
    assert_eq!(
        station.world.simulator.calls(Endpoint::Create),
        ENVS as u64,
        "{file} {fault}"
    );
    assert_eq!(
        station.world.row("PRAGMA integrity_check").await,
        "ok",
        "{file} {fault}"
    );
}

// `when` counts in each thread.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_the_disk_does_not_confirm_are_made_again() {
    through("queue.db-wal", "fdatasync:error=EIO:when=3..6", NOT_WRITTEN).await;
    through("queue.db-wal", "fdatasync:error=EIO:when=2+3", NOT_WRITTEN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_the_disk_does_not_take_are_made_again() {
    through("queue.db-wal", "pwrite64:error=EIO:when=20..35", NOT_WRITTEN).await;
    through("queue.db-wal", "pwrite64:error=ENOSPC:when=40..50", NOT_WRITTEN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_fails_is_left_to_the_next() {
    let said = "the database could not be optimized; the next run tries again";
    through("queue.db", "fdatasync:error=EIO:when=1..3", said).await;
    through("queue.db", "pwrite64:error=EIO:when=2+5", said).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_fail_are_tried_again() {
    let said = "the database cannot be read; trying again";
    // (Of EIO, which SQLite takes for a file system that is corrupt, the daemon ends: systemd starts it anew.)
    through("queue.db-wal", "pread64:error=ENOMEM:when=12..16", said).await;
}
