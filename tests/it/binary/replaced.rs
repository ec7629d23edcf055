//! Somebody puts another file in the database's place and has not stopped the daemon.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::Station;
use crate::programs::there;

/// A feeder as long-lived as the daemon: inserts one environment a line that it is told, and says so.
const FEEDER: &str = "
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute('SELECT * FROM queue').fetchall()
print('ready', flush=True)
for line in sys.stdin:
    connection.execute('INSERT INTO queue (env) VALUES (?)', (line.strip(),))
    print('done', flush=True)
";

struct Feeder(Child);

impl Feeder {
    fn of(database: &Path) -> Self {
        let mut python = Command::new("python3");
        python.args(["-c", FEEDER]).arg(database);
        let feeder = python
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut feeder = Self(feeder);
        feeder.hears("ready");
        feeder
    }

    fn insert(&mut self, env: &str) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{env}").unwrap();
        self.hears("done");
    }

    fn hears(&mut self, word: &str) {
        let mut said = vec![0; word.len() + 1];
        self.0.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert_eq!(String::from_utf8_lossy(&said).trim_end(), word);
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_database_that_is_replaced_ends_the_daemon_before_it_calls_anything_and_is_left_as_it_is() {
    if !there("sqlite3") || !there("python3") {
        return;
    }
    let mut station = Station::new().await;
    station.insert_many(20).await;
    station.start();
    let online = "SELECT count(*) FROM status WHERE state = 'online'";
    station.world.wait_for(online, &["20"]).await;
    let path = station.world.database();
    let mut old = Feeder::of(&path);
    let shell = |script: &str| {
        let output = Command::new("sh")
            .args(["-euc", script])
            .current_dir(station.world.directory.path())
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    shell("sqlite3 queue.db '.backup copy.db'; rm -f queue.db-wal queue.db-shm; mv copy.db queue.db");
    // In its -wal file only, as long as the feeder keeps it open.
    let mut new = Feeder::of(&path);
    new.insert("new");
    let before = station.world.simulator.ledger().len();

    // What a program inserts that has the old file open, too, is lost; but nobody acts on it.
    old.insert("old");
    let status = station.ended().await;
    let log = station.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains("was replaced or removed under the running daemon"),
        "{log}"
    );
    assert_eq!(
        station.world.simulator.ledger().len(),
        before,
        "nothing was called"
    );
    drop((old, new));

    station.start();
    station.world.wait_for(online, &["21"]).await;
    station.world.wait_for_state("new", "online").await;
    assert_eq!(station.world.row("PRAGMA integrity_check").await, "ok");
    station.stop().await;
}
