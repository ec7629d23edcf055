//! SIGHUP: what is taken on, what is refused, what needs a restart, and what systemd and the log are told of it.

use std::path::PathBuf;
use std::process::Output;

use staticstored::simulator::{Endpoint, Fault};
use tokio::net::UnixDatagram;

use super::{Station, next, next_with, private, until};
use crate::world::{QUICK, World, within};

/// A station whose configuration file may be changed: what is set here is set by the file.
struct Operator {
    station: Station,
    socket: UnixDatagram,
}

impl Operator {
    async fn new() -> Self {
        let mut station = Station::new().await;
        // What is logged is a setting, too.
        station.variables.push(("RUST_LOG", String::new()));
        let socket = station.listen();
        station.start();
        next_with(&socket, "READY=1").await;
        Self { station, socket }
    }

    fn configure(&self, more: &str) -> PathBuf {
        self.station.write("config.toml", &format!("{QUICK}\n{more}"))
    }

    /// Sends SIGHUP and follows what systemd is told, until the daemon is ready again.
    async fn hang_up(&self) {
        self.station.signal("HUP");
        let (reloading, _) = next_with(&self.socket, "RELOADING=1").await;
        let since = reloading
            .lines()
            .find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        assert!(since.unwrap().parse::<u64>().unwrap() > 0, "{reloading}");
        next_with(&self.socket, "READY=1").await;
    }

    /// Waits for a status that says this.
    async fn status_with(&self, text: &str) {
        loop {
            let (status, _) = next_with(&self.socket, "STATUS=").await;
            if status.contains(text) {
                return;
            }
        }
    }

    fn log(&self) -> String {
        self.station.log()
    }

    fn world(&self) -> &World {
        &self.station.world
    }
}

#[tokio::test]
async fn a_new_configuration_is_taken_on_and_systemd_and_the_log_are_told() {
    let mut operator = Operator::new().await;
    // QUICK has this section: its key is changed in place.
    let text = QUICK.replace("max_backoff = \"40ms\"", "max_backoff = \"50ms\"");
    operator
        .station
        .write("config.toml", &format!("{text}\n[retention]\nattempts = \"7d\""));
    operator.hang_up().await;
    let log = operator.log();
    assert!(
        log.contains("retry.max_backoff from 40ms to 50ms, retention.attempts from 30d to 7d"),
        "{log}"
    );
    assert!(!log.contains("ERROR") && !log.contains("need a restart"), "{log}");
    operator.world().insert("a").await;
    operator.world().wait_for_state("a", "online").await;
    // And again, with nothing new.
    operator.hang_up().await;
    assert!(
        operator
            .log()
            .contains("nothing that can be changed meanwhile has changed")
    );
    operator.station.stop().await;
}

#[tokio::test]
async fn a_bad_configuration_is_refused_with_all_that_is_wrong_and_the_old_one_goes_on() {
    let mut operator = Operator::new().await;
    operator
        .station
        .write("config.toml", "[api]\nmax_in_flight = 0\nspeed = 3\n");
    operator.hang_up().await;
    let log = operator.log();
    let line = log
        .lines()
        .find(|line| line.contains("the reload is refused"))
        .unwrap();
    for part in [
        "ERROR",
        "config.toml",
        "api.max_in_flight = 0 (configuration file): must be a whole number from 1 to 1024",
        "api.speed (configuration file): is no key",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    operator
        .status_with("; the last reload was refused, the log says why")
        .await;
    operator.world().insert("a").await;
    operator.world().wait_for_state("a", "online").await;
    // Mended, the status no longer speaks of it.
    operator.configure("");
    operator.hang_up().await;
    loop {
        let (status, _) = next_with(&operator.socket, "STATUS=").await;
        if !status.contains("refused") {
            break;
        }
    }
    operator.station.stop().await;
}

#[tokio::test]
async fn a_configuration_or_a_secret_that_cannot_be_read_is_refused() {
    let mut operator = Operator::new().await;
    let config = operator.station.path("config.toml");
    std::fs::remove_file(&config).unwrap();
    operator.hang_up().await;
    assert!(
        operator
            .log()
            .contains("config.toml cannot be read: No such file"),
        "{}",
        operator.log()
    );
    operator.configure("");

    let secret = operator.station.path("appsecret");
    let old = std::fs::read_to_string(&secret).unwrap();
    std::fs::write(&secret, "two words").unwrap();
    operator.hang_up().await;
    assert!(
        operator.log().contains("does not hold the secret"),
        "{}",
        operator.log()
    );
    assert!(!operator.log().contains("two words"));
    std::fs::remove_file(&secret).unwrap();
    operator.station.write("appsecret", &old);
    operator.hang_up().await;
    assert!(
        operator.log().contains("is open to everybody"),
        "{}",
        operator.log()
    );
    private(&secret);
    operator.hang_up().await;
    assert_eq!(operator.log().matches("the reload is refused").count(), 3);
    operator.world().insert("a").await;
    operator.world().wait_for_state("a", "online").await;
    operator.station.stop().await;
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_the_rest_is_taken_on() {
    let mut operator = Operator::new().await;
    operator.configure(
        "[share]\nsocket = \"/nowhere/token.sock\"\n[token]\ncache_file = \"other.json\"\nrenew_before = \"9m\"",
    );
    operator.hang_up().await;
    let log = operator.log();
    let line = |text: &str| log.lines().find(|line| line.contains(text)).unwrap().to_owned();
    let held = line("these changes need a restart");
    assert!(held.contains("WARN"), "{held}");
    assert!(
        held.contains("share.socket from off to /nowhere/token.sock"),
        "{held}"
    );
    assert!(
        held.contains("token.cache_file from ") && held.contains(" to other.json"),
        "{held}"
    );
    assert!(line("reloaded").contains("token.renew_before from 10m to 9m"));
    operator
        .status_with("; a restart is needed for token.cache_file, share.socket")
        .await;
    operator.world().insert("a").await;
    operator.world().wait_for_state("a", "online").await;
    operator.station.stop().await;
}

#[tokio::test]
async fn a_rotated_secret_is_read_anew_and_neither_is_ever_shown() {
    let mut operator = Operator::new().await;
    let old = std::fs::read_to_string(operator.station.path("appsecret")).unwrap();
    operator.configure("[log]\nlevel = \"trace\"");
    operator.hang_up().await;
    operator.world().insert("a").await;
    operator.world().wait_for_state("a", "online").await;
    operator
        .world()
        .simulator
        .change(|options| options.appsecret = "canary-new-secret".to_owned());
    operator.station.write("appsecret", "canary-new-secret");
    operator.hang_up().await;
    let log = operator.log();
    assert!(log.contains("the appsecret"), "{log}");
    operator
        .world()
        .simulator
        .change(|options| options.token_overlap = std::time::Duration::ZERO);
    operator.world().simulator.revoke_token();
    operator.world().insert("b").await;
    operator.world().wait_for_state("b", "online").await;
    assert_eq!(operator.world().simulator.exchanges(), 2);
    operator.station.stop().await;
    let log = operator.log();
    assert!(log.contains("TRACE") && !log.contains("canary") && !log.contains(&old));
}

#[tokio::test]
async fn another_log_level_holds_at_once() {
    let mut operator = Operator::new().await;
    assert!(!operator.log().contains("DEBUG"));
    operator.configure("[log]\nlevel = \"staticstored=debug,info\"");
    operator.hang_up().await;
    assert!(
        operator
            .log()
            .contains("log.level from info to staticstored=debug,info"),
        "{}",
        operator.log()
    );
    operator.world().insert("a").await;
    operator.world().wait_for_state("a", "online").await;
    operator.station.wait_for_log("DEBUG").await;
    operator.configure("[log]\nlevel = \"off\"");
    operator.hang_up().await;
    let silent = operator.log();
    operator.world().insert("b").await;
    operator.world().wait_for_state("b", "online").await;
    operator.station.stop().await;
    assert_eq!(operator.log(), silent, "not even the stop is logged");
}

#[tokio::test]
async fn rust_log_wins_over_the_configuration_and_a_reload_says_so() {
    let mut station = Station::new().await;
    station.variables.push(("RUST_LOG", "info".to_owned()));
    let text = format!("{QUICK}\n[log]\nlevel = \"off\"");
    station.write("config.toml", &text);
    station.start();
    station.wait_for_log("started").await;
    station.write("config.toml", &text.replace("\"off\"", "\"trace\""));
    station.signal("HUP");
    station.wait_for_log("log.level from off to trace").await;
    station.wait_for_log("RUST_LOG is set, and wins").await;
    station.stop().await;
    assert!(!station.log().contains("TRACE"));
}

#[tokio::test]
async fn many_hangups_in_a_drain_lose_nothing_and_open_nothing_twice() {
    let operator = Operator::new().await;
    let world = operator.world();
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).probability(0.05).cut().after_effect());
    operator.station.insert_many(600).await;
    let unfinished = "SELECT count(*) FROM status WHERE finished_at IS NULL";
    for round in 0.. {
        if world.row(unfinished).await == "0" {
            break;
        }
        // Limits, timeouts and widths by turns: with a rate nothing is claimed ahead, without one it is.
        let (rate, width) = [(0, 2), (400, 16), (0, 7), (0, 1)][round % 4];
        let text = QUICK
            .replace(
                "creates_per_second = 0",
                &format!("creates_per_second = {rate}\nmax_in_flight = {width}"),
            )
            .replace(
                "request_timeout = \"2s\"",
                &format!("request_timeout = \"{}s\"", 2 + round % 3),
            );
        operator.station.write("config.toml", &text);
        operator.hang_up().await;
        // Several at once are one more.
        operator.station.signal("HUP");
        operator.station.signal("HUP");
    }
    let world = operator.world();
    assert_eq!(
        world
            .row("SELECT count(*) FROM status WHERE state = 'online'")
            .await,
        "600"
    );
    assert_eq!(world.row("SELECT count(*) FROM queue").await, "0");
    assert_eq!(world.simulator.needless_creates(), 0);
    assert!(
        operator.log().matches("reloaded").count() >= 3,
        "{}",
        operator.log()
    );
    assert!(!operator.log().contains("ERROR"), "{}", operator.log());
    // Each round left more to be read than it read; who tells systemd waits while nobody reads.
    let Operator { mut station, socket } = operator;
    tokio::select! {
        () = station.stop() => {}
        () = async { loop { next(&socket).await; } } => {}
    }
}

#[tokio::test]
async fn a_hangup_during_the_start_is_heard_and_one_during_the_stop_is_not() {
    let mut station = Station::new().await;
    station.world.set("api.request_timeout", "10m");
    station
        .world
        .simulator
        .fault(Fault::on(Endpoint::Create).env("held").once().held());
    station.world.insert("held").await;
    let socket = station.listen();
    // Another program holds the database, so the start waits; the handlers are there already.
    let mut writer = station.world.connection().await;
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut writer)
        .await
        .unwrap();
    station.start();
    let caught = format!("/proc/{}/status", station.pid());
    until(|| {
        let status = std::fs::read_to_string(&caught).unwrap_or_default();
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .unwrap_or("0")
            .trim();
        // The first bit is SIGHUP.
        u64::from_str_radix(mask, 16).unwrap() & 1 == 1
    })
    .await;
    station.signal("HUP");
    sqlx::raw_sql("ROLLBACK").execute(&mut writer).await.unwrap();
    drop(writer);
    let (_, before) = next_with(&socket, "RELOADING=1").await;
    assert!(
        before.iter().any(|message| message.contains("READY=1")),
        "{before:?}"
    );
    next_with(&socket, "READY=1").await;

    within(station.world.simulator.wait_for_held(1)).await;
    station.signal("TERM");
    next_with(&socket, "STOPPING=1").await;
    station.signal("HUP");
    station.world.simulator.release();
    assert_eq!(station.ended().await.code(), Some(0), "{}", station.log());
    let mut rest = Vec::new();
    while let Ok(message) = tokio::time::timeout(std::time::Duration::ZERO, next(&socket)).await {
        rest.push(message);
    }
    assert!(
        rest.iter().all(|message| !message.contains("RELOADING")),
        "{rest:?}"
    );
    assert_eq!(station.log().matches("reloaded").count(), 1);
}

#[tokio::test]
async fn what_a_reload_would_refuse_check_finds_without_asking_anybody() {
    let station = Station::new().await;
    let check = async || -> Output {
        let mut command = station.command(&["check", "--files"]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    };
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let found = check().await;
    assert_eq!(found.status.code(), Some(0), "{found:?}");
    assert_eq!(text(&found).lines().count(), 2, "{found:?}");
    std::fs::set_permissions(
        station.path("appsecret"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    let found = check().await;
    assert_eq!(found.status.code(), Some(78));
    assert!(
        text(&found).contains("WRONG  secrets: ") && text(&found).contains("chmod o= "),
        "{found:?}"
    );
    station.write("config.toml", "[api]\nmax_in_flight = 0\n");
    let found = check().await;
    assert_eq!(found.status.code(), Some(78));
    assert!(
        text(&found).contains("WRONG  configuration: ") && text(&found).contains("api.max_in_flight"),
        "{found:?}"
    );
}
