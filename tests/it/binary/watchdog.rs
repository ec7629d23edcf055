//! systemd's watchdog: fed as long as the loops turn, whatever they wait for, and no longer.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::UnixDatagram;

use super::feeders::{HOLDER, python};
use super::{Station, next_with};
use crate::programs::{may_trace, there};

const FED: &str = "WATCHDOG=1";
/// Half of it is more than a busy machine keeps a process waiting for.
const PERIOD: Duration = Duration::from_secs(4);

/// Stops threads of a process, those whose names begin so, until it is killed.
const DEBUGGER: &str = include_str!("../../systemd/hold.py");

/// A station whose daemon has a watchdog of this period, and what systemd would hear.
async fn watched(period: Duration) -> (Station, UnixDatagram) {
    let mut station = Station::new().await;
    let socket = station.listen();
    station
        .variables
        .push(("WATCHDOG_USEC", period.as_micros().to_string()));
    station.start();
    next_with(&socket, "READY=1").await;
    (station, socket)
}

/// Starts a program that says `held` and goes on until its standard input is closed.
pub(super) fn holding(mut program: Command) -> Child {
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"held\n");
    child
}

pub(super) async fn let_go(mut child: Child) {
    drop(child.stdin.take());
    assert!(super::ended(&mut child).await.success());
}

/// Waits until it was fed so often.
async fn fed(socket: &UnixDatagram, times: usize) {
    for _ in 0..times {
        next_with(socket, FED).await;
    }
}

/// Forgets what was said until now.
fn forget(socket: &UnixDatagram) {
    while socket.try_recv(&mut [0; 4096]).is_ok() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_only_waits_feeds_the_watchdog() {
    let (mut station, socket) = watched(PERIOD).await;
    // Nothing to do, for several periods.
    fed(&socket, 6).await;
    // Nothing that may be done.
    station.world.execute("UPDATE service SET paused = 1").await;
    station.world.wait_for_service("paused").await;
    station.world.insert("a").await;
    fed(&socket, 6).await;
    station.signal("TERM");
    let (stopping, _) = next_with(&socket, "STOPPING=1").await;
    // QUICK's request_timeout of 2 s, 10 s beyond it, and 5 s of grace.
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC=17000000"), "{stopping}");
    assert!(station.ended().await.success());
    assert!(!station.log().contains("a loop hangs"), "{}", station.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_another_program_holds_is_no_reason_to_be_ended() {
    if !there("python3") {
        return;
    }
    // The writer waits 5 seconds for the lock before it tries anew: less than half of this.
    let (mut station, socket) = watched(Duration::from_secs(12)).await;
    let mut holder = python(HOLDER);
    holder.arg(station.world.database());
    let holder = holding(holder);
    // Its own heartbeat, if nothing else, has to be written.
    station
        .wait_for_log("the database cannot be written; trying again")
        .await;
    forget(&socket);
    fed(&socket, 3).await;
    let_go(holder).await;
    station.stop().await;
    assert!(!station.log().contains("a loop hangs"), "{}", station.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_that_hangs_is_named_and_feeds_it_no_more() {
    if !there("python3") || !may_trace() {
        return;
    }
    let (mut station, socket) = watched(PERIOD).await;
    fed(&socket, 1).await;
    let mut debugger = python(DEBUGGER);
    debugger.args([&station.pid().to_string(), "sqlx-sqlite"]);
    let mut debugger = holding(debugger);
    station
        .wait_for_log("a loop hangs; systemd is to start us anew")
        .await;
    forget(&socket);
    // For longer than systemd would have waited.
    let more = tokio::time::timeout(PERIOD, next_with(&socket, FED)).await;
    assert!(more.is_err(), "fed although a loop hangs");
    let hangs = |log: &str| log.matches("a loop hangs").count();
    assert_eq!(hangs(&station.log()), 1, "told once: {}", station.log());
    debugger.kill().unwrap();
    debugger.wait().unwrap();
    fed(&socket, 4).await;
    assert!(station.log().contains("the loop turns again"));
    station.stop().await;
}

#[tokio::test]
async fn without_a_watchdog_or_with_one_of_another_process_nobody_is_fed() {
    for variables in [&[][..], &[("WATCHDOG_USEC", "100000"), ("WATCHDOG_PID", "1")]] {
        let mut station = Station::new().await;
        let socket = station.listen();
        station
            .variables
            .extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
        station.start();
        station.world.insert("a").await;
        station.world.wait_for_state("a", "online").await;
        station.stop().await;
        let (_, before) = next_with(&socket, "STOPPING=1").await;
        assert!(
            before.iter().all(|message| !message.contains("WATCHDOG")),
            "{before:?}"
        );
    }
}
