//! Exit statuses, and what an operator reads with them.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use super::{Station, told};

/// What `run` said and its exit status.
async fn refused(command: Command) -> (i32, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = told(command, "").await;
    assert_eq!(String::from_utf8(stdout).unwrap(), "");
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

/// Checks that `run` exits with 78 and one line that says all of this.
#[track_caller]
fn check((status, said): (i32, String), parts: &[&str]) {
    assert_eq!(status, 78, "{said}");
    assert!(said.starts_with("staticstored: "), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
}

#[tokio::test]
async fn each_kind_of_bad_configuration_ends_with_78_and_one_line_that_names_it() {
    let station = Station::new().await;
    let run = || station.command(&["run"]);
    let secret = "STATICSTORED_COMPONENT__APPSECRET_FILE";

    let mut missing = Command::new(super::PROGRAM);
    missing
        .env_clear()
        .args(["run", "--config", "/nowhere/config.toml"]);
    check(refused(missing).await, &["/nowhere/config.toml cannot be read"]);

    let text = super::QUICK;
    for (more, parts) in [
        ("[api]\nspeed = 1", &["config.toml"][..]),
        ("speed = 1", &["config.toml", "speed"]),
        (
            "[retention]\nattempts = \"long\"",
            &["config.toml", "retention.attempts", "\"long\"", "30d"],
        ),
        (
            "[retention]\nschedule = \"daily\"",
            &["config.toml", "retention.schedule", "\"daily\""],
        ),
        (
            "[retention]\nstatuses = \"1d\"",
            &["config.toml", "retention.statuses", "retention.status"],
        ),
    ] {
        station.write("config.toml", &format!("{more}\n{text}"));
        check(refused(run()).await, parts);
    }
    station.write("config.toml", text);

    for (name, value, parts) in [
        (
            "STATICSTORED_API__BASE_URL",
            "http://api.weixin.qq.com",
            &["STATICSTORED_API__BASE_URL", "https"][..],
        ),
        (
            "STATICSTORED_API__MAX_IN_FLIGHT",
            "0",
            &["STATICSTORED_API__MAX_IN_FLIGHT", "1", "1024"],
        ),
        (
            "STATICSTORED_API__MAX_INFLIGHT",
            "8",
            &["STATICSTORED_API__MAX_INFLIGHT"],
        ),
        ("STATICSTORED_COMPONENT__APPID", "", &["component.appid"]),
        (
            "RUST_LOG",
            "a=b=c",
            &["RUST_LOG", "\"a=b=c\"", "error, warn, info, debug, trace"],
        ),
        (
            "STATICSTORED_DATABASE__URL",
            "sqlite:/nowhere/queue.db",
            &["there is no directory /nowhere"],
        ),
        (
            secret,
            "/nowhere/secret",
            &["/nowhere/secret", "component.appsecret_file", "cannot be read"],
        ),
    ] {
        let mut command = run();
        command.env(name, value);
        check(refused(command).await, parts);
    }

    let mut command = run();
    command.env_remove(secret);
    check(
        refused(command).await,
        &["component.appsecret_file", "LoadCredential"],
    );
    let file = station.write("appsecret", "");
    check(refused(run()).await, &["appsecret", "is empty"]);
    station.write("appsecret", "canary");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    check(refused(run()).await, &["is open to everybody", "chmod o= "]);
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_left_alone_and_no_restart_is_asked_for() {
    let station = Station::new().await;
    station
        .world
        .execute("INSERT INTO _sqlx_migrations SELECT 99999999999999, description, installed_on, success, checksum, \
         execution_time FROM _sqlx_migrations LIMIT 1")
        .await;
    check(
        refused(station.command(&["run"])).await,
        &["queue.db", "newer staticstored", "99999999999999"],
    );
    let version = station
        .world
        .row("SELECT max(version) FROM _sqlx_migrations")
        .await;
    assert_eq!(version, "99999999999999");
}

#[tokio::test]
async fn a_second_daemon_ends_with_75_names_the_first_and_does_it_no_harm() {
    let mut station = Station::new().await;
    station.started().await;
    let (status, said) = refused(station.command(&["run"])).await;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let holder = format!("is held by pid {} on {}", station.pid(), host.trim());
    assert!(status == 75 && said.contains(&holder), "{status} {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    station.world.insert("a").await;
    station.world.wait_for_state("a", "online").await;
    let pid = station.pid().to_string();
    assert_eq!(station.world.row("SELECT pid FROM service").await, pid);
    station.stop().await;
}

#[tokio::test]
async fn a_log_that_nobody_reads_any_more_does_not_end_the_daemon() {
    let mut station = Station::new().await;
    let mut command = station.command(&["run"]);
    let mut child = command
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    station.daemon = Some(child);
    station.world.insert("a").await;
    station.world.wait_for_state("a", "online").await;
    station.stop_quietly().await;
}

impl Station {
    async fn stop_quietly(&mut self) {
        self.signal("TERM");
        assert_eq!(self.ended().await.code(), Some(0));
    }
}
