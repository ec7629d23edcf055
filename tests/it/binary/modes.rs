//! Who may read and write the files that the program makes.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use super::{Station, ended, next_with, told, until};

/// The group of the directory in these tests: any but our own.
const GROUP: &str = "54321";

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The program as the shell starts it under an umask.
fn under(umask: &str, station: &Station, subcommand: &str) -> Command {
    let plain = station.command(&[subcommand]);
    let mut command = Command::new("sh");
    command
        .env_clear()
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
        .arg("-c")
        .arg(format!("umask {umask}; exec \"$0\" \"$@\""))
        .arg(plain.get_program())
        .args(plain.get_args());
    command
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
            if first == "init" {
                assert!(told(under(umask, &station, "init"), "").await.status.success());
                assert_eq!(mode(&station.world.database()), 0o660, "init, umask {umask}");
            }
            station.daemon = Some(under(umask, &station, "run").spawn().unwrap());
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
            station.signal("TERM");
            assert!(ended(&mut station.daemon.take().unwrap()).await.success());
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
    let directory = station.world.directory.path().to_owned();
    if std::fs::metadata(&directory).unwrap().uid() != 0 {
        eprintln!("skipped: only root can be another user");
        return;
    }
    std::os::unix::fs::chown(&directory, None, Some(GROUP.parse().unwrap())).unwrap();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o2770)).unwrap();
    station.daemon = Some(under("077", &station, "run").spawn().unwrap());
    next_with(&socket, "READY=1").await;
    station.world.wait_for_service("waiting_for_ticket").await;
    station.world.give_ticket().await;

    let insert = |group: &str, env: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "54322", "--regid", "54322", "--groups", group]);
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
    station.signal("TERM");
    assert!(station.ended().await.success());
}
