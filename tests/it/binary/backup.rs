//! Backup, restore and a move, by the commands of docs/OPERATIONS.md as they stand there.

use std::path::Path;
use std::process::Command;

use staticstored::simulator::Endpoint;

use super::Station;
use crate::docs::{OPERATIONS, fenced, under};
use crate::programs::there;
use crate::world::within;

const MOVE: &str = "Moving to another host";

/// The blocks of a section as they are typed, but for the places, and for the rights that only its own user needs.
fn typed(heading: &str, language: &str, places: &[(&str, &Path)]) -> Vec<String> {
    let blocks = fenced(under(OPERATIONS, heading), language);
    let blocks = blocks.into_iter().map(|block| {
        let block = block
            .replace("sudo ", "")
            .replace("-o staticstored -g staticstored ", "");
        places.iter().fold(block, |block, (from, to)| {
            block.replace(from, &to.display().to_string())
        })
    });
    blocks.collect()
}

fn shell(script: &str) {
    let output = Command::new("sh").args(["-euc", script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{script}");
}

/// What the copy holds of its own accord, without a companion.
fn asked(copy: &Path, sql: &str) -> String {
    let output = Command::new("sqlite3")
        .arg("-readonly")
        .arg(copy)
        .arg(sql)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_backup_of_a_draining_daemon_is_whole_and_after_its_restore_nothing_is_opened_twice() {
    if !there("sqlite3") {
        return;
    }
    let mut station = Station::new().await;
    let library = station.world.directory.path().to_owned();
    let backups = station.outside.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    let places = [
        ("/var/lib/staticstored", library.as_path()),
        ("/var/backups", backups.as_path()),
    ];
    let commands = typed("Backup and restore", "sh", &places);
    let [backup, put_in_place] = &commands[..] else {
        panic!("{commands:?}")
    };
    let sql = typed("Backup and restore", "sql", &[]);

    station.insert_many(400).await;
    station.start();
    within(station.world.simulator.wait_for_calls(Endpoint::Create, 100)).await;
    shell(backup);
    for name in ["staticstored.db", "vacuumed.db"] {
        let copy = backups.join(name);
        assert_eq!(asked(&copy, "PRAGMA integrity_check"), "ok", "{name}");
        let owed = "SELECT count(*) FROM status, (SELECT count(*) AS waiting FROM queue) \
                    WHERE waiting = 0 OR state NOT IN ('online', 'failed', 'cancelled')";
        let waiting = asked(&copy, "SELECT count(*) FROM queue");
        assert_eq!(
            asked(&copy, owed),
            waiting,
            "{name}: each request that is owed is in the queue"
        );
        assert_eq!(asked(&copy, "SELECT count(*) FROM status"), "400", "{name}");
        let mode = std::os::unix::fs::PermissionsExt::mode(&copy.metadata().unwrap().permissions());
        assert_eq!(mode & 0o077, 0, "{name} holds the ticket and is open to others");
    }
    // Life goes on: requests that the backup knows are opened, and one that it does not know.
    station.world.insert("since").await;
    let online = "SELECT count(*) FROM status WHERE state = 'online'";
    station.world.wait_for(online, &["401"]).await;
    station.stop().await;
    let opened = station.world.simulator.calls(Endpoint::Create);

    shell(put_in_place);
    let before_the_start = sql.first().unwrap();
    station.world.execute(before_the_start).await;
    station.start();
    station.world.wait_for_service("paused").await;
    station.world.insert("since").await;
    station.world.execute("UPDATE queue SET call = 'describe'").await;
    let resumed = station.command(&["resume"]).output().unwrap();
    assert!(resumed.status.success(), "{resumed:?}");
    station.world.wait_for(online, &["401"]).await;
    station.stop().await;
    assert_eq!(
        station.world.simulator.calls(Endpoint::Create),
        opened,
        "only looked at"
    );
    assert_eq!(station.world.simulator.needless_creates(), 0);
    assert_eq!(station.world.simulator.exchanges(), 1);
}

#[tokio::test]
async fn a_move_takes_the_requests_and_the_token_along_and_fetches_and_opens_nothing_anew() {
    if !there("sqlite3") {
        return;
    }
    let mut old = Station::new().await;
    old.insert_many(200).await;
    old.start();
    within(old.world.simulator.wait_for_calls(Endpoint::Create, 50)).await;
    old.stop().await;

    let new = old.world.beside().await;
    let carried = old.outside.path();
    let there_and = |library| [("/var/lib/staticstored", library), ("/var/backups", carried)];
    let on_the_old_host = typed(MOVE, "sh", &there_and(old.world.directory.path()));
    let on_the_new_host = typed(MOVE, "sh", &there_and(new.directory.path()));
    shell(&on_the_old_host[0]);
    shell(&on_the_new_host[1]);
    let mut moved = Station::of(new);
    let appsecret = std::fs::read_to_string(old.path("appsecret")).unwrap();
    super::private(&moved.write("appsecret", &appsecret));
    moved.start();
    let online = "SELECT count(*) FROM status WHERE state = 'online'";
    moved.world.wait_for(online, &["200"]).await;
    moved.stop().await;
    assert_eq!(old.world.simulator.needless_creates(), 0);
    assert_eq!(old.world.simulator.exchanges(), 1, "the token came along");
}
