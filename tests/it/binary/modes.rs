//! Who may read and write the files that the program makes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{GROUP, Station, by_somebody_in, next_with, told, until};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A station without a database.
async fn bare() -> Station {
    let station = Station::new().await;
    std::fs::remove_file(station.world.database()).unwrap();
    station
}

#[tokio::test]
async fn whoever_creates_the_database_and_under_whatever_umask_its_files_have_the_same_modes() {
    for umask in ["022", "077", "000"] {
        for first in ["init", "run"] {
            let mut station = bare().await;
            let socket = station.listen();
            station.set_umask(umask);
            if first == "init" {
                assert!(told(station.command(&["init"]), "").await.status.success());
                assert_eq!(mode(&station.world.database()), 0o660, "init, umask {umask}");
            }
            station.start();
            next_with(&socket, "READY=1").await;
            station.world.wait_for_service("waiting_for_ticket").await;
            station.world.give_ticket().await;
            until(|| station.path("token.json").exists()).await;
            let modes = [
                "queue.db",
                "queue.db-wal",
                "queue.db-shm",
                "queue.db.lock",
                "token.json",
            ]
            .map(|name| format!("{name} {:o}", mode(&station.path(name))));
            let wanted = [
                "queue.db 660",
                "queue.db-wal 660",
                "queue.db-shm 660",
                "queue.db.lock 660",
                "token.json 600",
            ];
            assert_eq!(modes, wanted, "{first} first, umask {umask}");
            station.stop().await;
        }
    }
}

#[tokio::test]
async fn a_member_of_the_directorys_group_may_insert_and_nobody_else_may_read() {
    if !crate::programs::there("sqlite3") {
        return;
    }
    let mut station = bare().await;
    let socket = station.listen();
    if !station.give_to_group() {
        return;
    }
    station.set_umask("077");
    station.start();
    next_with(&socket, "READY=1").await;
    station.world.wait_for_service("waiting_for_ticket").await;
    station.world.give_ticket().await;

    let insert = |group: &str, env: &str| {
        let mut command = by_somebody_in(group);
        command
            .args(["sqlite3", "-cmd", ".timeout 5000"])
            .arg(station.world.database());
        command.arg(format!(
            "INSERT INTO queue (env) VALUES ('{env}'); SELECT count(*) FROM status"
        ));
        command
    };
    let member = told(insert(GROUP, "from-a-member"), "").await;
    assert!(
        member.status.success(),
        "{}",
        String::from_utf8_lossy(&member.stderr)
    );
    let stranger = told(insert("54323", "from-a-stranger"), "").await;
    assert!(!stranger.status.success() && stranger.stdout.is_empty());
    station.world.wait_for_state("from-a-member", "online").await;
    let rows = station.world.row("SELECT count(*) FROM status").await;
    assert_eq!(rows, "1");
    station.stop().await;
}
