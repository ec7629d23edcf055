//! Other programs write while the daemon drains, and hold locks longer than they should.

use crate::programs::there;
use std::process::Command;

use super::watchdog::{holding, let_go};
use super::{Station, told};

/// Inserts the environments named on its command line's range, one transaction each, with Python's own timeout (5 s).
const FEEDER: &str = "
import sqlite3, sys
path, prefix, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
connection = sqlite3.connect(path)
for number in range(count):
    with connection:
        connection.execute('INSERT INTO queue (env) VALUES (?)', (f'{prefix}-{number}',))
";

/// Holds the write lock until its standard input ends.
pub(super) const HOLDER: &str = "
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute('BEGIN IMMEDIATE')
print('held', flush=True)
sys.stdin.read()
connection.execute('COMMIT')
";

pub(super) fn python(program: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg("-c").arg(program);
    command
}

#[tokio::test]
async fn feeders_with_a_busy_timeout_never_meet_an_error_while_the_daemon_drains() {
    if !there("python3") {
        return;
    }
    let mut station = Station::new().await;
    station.insert_many(500).await;
    station.start();
    let feed = |prefix: &str| {
        let mut command = python(FEEDER);
        command.arg(station.world.database()).args([prefix, "300"]);
        told(command, "")
    };
    let (one, two) = tokio::join!(feed("one"), feed("two"));
    for output in [one, two] {
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    station
        .world
        .wait_for("SELECT count(*) FROM status WHERE state = 'online'", &["1100"])
        .await;
    assert_eq!(station.world.simulator.needless_creates(), 0);
    station.stop().await;
}

/// The shell has no busy timeout: each error is one INSERT that its user must repeat. How many there are is printed, for
/// they depend on the machine; what was inserted is served, and what was refused was said to be refused.
#[tokio::test]
async fn the_bare_shell_is_told_of_each_insert_that_did_not_go_through() {
    const INSERTS: usize = 200;
    if !there("sqlite3") {
        return;
    }
    let mut station = Station::new().await;
    station.insert_many(500).await;
    station.start();
    let mut refused = 0;
    for number in 0..INSERTS {
        let mut command = Command::new("sqlite3");
        command
            .arg(station.world.database())
            .arg(format!("INSERT INTO queue (env) VALUES ('bare-{number}')"));
        let output = told(command, "").await;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("database is locked"), "{said}");
            refused += 1;
        }
    }
    eprintln!("{refused} of {INSERTS} INSERTs of a shell without a busy timeout were refused");
    let online = (500 + INSERTS - refused).to_string();
    station
        .world
        .wait_for("SELECT count(*) FROM status WHERE state = 'online'", &[&online])
        .await;
    station.stop().await;
}

/// Longer than the daemon's own busy timeout of 5 s.
#[tokio::test]
async fn a_lock_that_somebody_holds_for_long_delays_and_loses_nothing() {
    if !there("python3") {
        return;
    }
    let mut station = Station::new().await;
    station.insert_many(200).await;
    station.start();
    let drained = station
        .world
        .simulator
        .wait_for_calls(staticstored::simulator::Endpoint::Create, 20);
    crate::world::within(drained).await;
    let mut holder = python(HOLDER);
    holder.arg(station.world.database());
    let holder = holding(holder);
    // Twice: the writer goes on trying.
    station
        .wait_for_log("the database cannot be written; trying again")
        .await;
    let_go(holder).await;
    station.wait_for_log("the database can be written again").await;
    station
        .world
        .wait_for("SELECT count(*) FROM status WHERE state = 'online'", &["200"])
        .await;
    assert_eq!(station.world.simulator.needless_creates(), 0);
    station.stop().await;
}

/// The stop is bounded even then: systemd's own limit would end it with SIGKILL.
#[tokio::test]
async fn a_lock_that_somebody_holds_does_not_keep_the_daemon_from_stopping() {
    if !there("python3") {
        return;
    }
    let mut station = Station::new().await;
    station.world.set("api.request_timeout", "100ms");
    station.world.set("api.connect_timeout", "100ms");
    station.insert_many(500).await;
    station.start();
    let drained = station
        .world
        .simulator
        .wait_for_calls(staticstored::simulator::Endpoint::Create, 20);
    crate::world::within(drained).await;
    let mut command = python(HOLDER);
    command
        .arg(station.world.database())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut holder = command.spawn().unwrap();
    station
        .wait_for_log("the database cannot be written; trying again")
        .await;
    station.stop().await;
    assert!(
        station.log().contains("stopped before all was written down"),
        "{}",
        station.log()
    );
    drop(holder.stdin.take());
    assert!(super::ended(&mut holder).await.success());
    station.started().await;
    station
        .world
        .wait_for("SELECT count(*) FROM status WHERE state = 'online'", &["500"])
        .await;
    assert_eq!(station.world.simulator.needless_creates(), 0);
    station.stop().await;
}
