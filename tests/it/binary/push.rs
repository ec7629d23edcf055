//! Weixin's push and the built program: from a push to a website, what the log says, stops and kills.

use std::net::SocketAddr;

use base64::Engine as _;
use staticstored::simulator::Options;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::{Station, next_with, private, told, until};
use crate::http::{self, connect, parts, post, request, to_the_end};
use crate::seal::{Push, Sender};
use crate::world::within;

pub(super) const TOKEN: &str = "canaryCallbackToken0123456789";
/// What its EncodingAESKey begins with.
pub(super) const KEY: &str = "canaryKeyOfThePushReceiver0123456789";
pub(super) const PATH: &str = "/weixin/callback";
const LISTENING: &str = "listening for Weixin's push address=";

/// An EncodingAESKey and what it stands for.
pub(super) fn key(text: &str) -> (String, Vec<u8>) {
    let text = format!("{text:A<42}A");
    let bytes = base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(&text)
        .unwrap();
    (text, bytes)
}

/// The Weixin that pushes to a station.
pub(super) fn weixin() -> Sender {
    Sender::new(&Options::default().appid, TOKEN, &key(KEY).1)
}

/// A station whose daemon receives pushes.
async fn receiving() -> Station {
    let mut station = Station::new().await;
    station.receive_pushes();
    station.world.execute("DELETE FROM ticket").await;
    station
}

impl Station {
    /// Lets daemons started from now on receive what [`weixin`] pushes.
    pub(super) fn receive_pushes(&mut self) {
        self.world.set("callback.listen", "127.0.0.1:0");
        for (name, key_, text) in [
            ("callback_token", "callback.token_file", TOKEN.to_owned()),
            ("encoding_aes_key", "callback.aes_key_file", key(KEY).0),
        ] {
            let file = self.write(name, &text);
            private(&file);
            self.world.set(key_, &file.display().to_string());
        }
    }

    /// Where the daemon that was started last listens.
    pub(super) async fn push_address(&self) -> SocketAddr {
        until(|| self.log().contains(LISTENING)).await;
        let log = self.log();
        let address = log.rsplit(LISTENING).next().unwrap();
        address.split_whitespace().next().unwrap().parse().unwrap()
    }

    pub(super) async fn push(&self, push: &Push) -> (u16, String) {
        let answer = http::told(self.push_address().await, request(PATH, push)).await;
        let (status, body) = parts(&answer);
        (status, body.to_owned())
    }

    pub(super) fn now(&self) -> i64 {
        self.world.clock.now().timestamp()
    }

    async fn tickets(&self) -> Vec<String> {
        self.world
            .rows("SELECT component_verify_ticket FROM ticket ORDER BY id")
            .await
    }
}

#[tokio::test]
async fn a_pushed_ticket_becomes_a_token_and_opens_websites_without_any_other_help() {
    let mut station = receiving().await;
    station.world.insert("a").await;
    station.start();
    station.world.wait_for_service("waiting_for_ticket").await;
    let ticket = station.world.simulator.ticket();
    let pushed = station.push(&weixin().ticket(&ticket, station.now())).await;
    assert_eq!(pushed, (200, "success".to_owned()));
    station.world.wait_for_state("a", "online").await;
    station
        .world
        .wait_for("SELECT ticket_received_at IS NOT NULL FROM service", &["1"])
        .await;
    station
        .wait_for_log("the first push since the start or reload that is encrypted with the current")
        .await;
    station.stop().await;
}

#[tokio::test]
async fn it_listens_before_it_says_that_it_is_ready() {
    let mut station = receiving().await;
    let socket = station.listen();
    station.start();
    next_with(&socket, "READY=1").await;
    let event = weixin().event("authorized");
    assert_eq!(station.push(&event).await, (200, "success".to_owned()));
    station.stop().await;
}

#[tokio::test]
async fn a_ticket_that_was_answered_success_outlives_a_kill() {
    let mut station = receiving().await;
    station.started().await;
    let push = weixin().ticket("ticket@@@1", station.now());
    assert_eq!(station.push(&push).await.0, 200);
    station.kill();
    assert_eq!(station.tickets().await, ["ticket@@@1"]);
    station.start();
    until(|| station.log().matches(LISTENING).count() == 2).await;
    let older = weixin().ticket("ticket@@@0", station.now() - 600);
    assert_eq!(station.push(&older).await.0, 200);
    assert_eq!(station.tickets().await, ["ticket@@@1"]);
    station.stop().await;
}

#[tokio::test]
async fn a_push_on_its_way_is_finished_when_the_daemon_stops() {
    let mut station = receiving().await;
    station.started().await;
    let request = request(PATH, &weixin().ticket("ticket@@@1", station.now()));
    let (first, second) = request.split_at(request.len() - 50);
    let address = station.push_address().await;
    let mut stream = connect(address).await;
    stream.write_all(first.as_bytes()).await.unwrap();
    assert_eq!(parts(&http::told(address, post("/", "")).await).0, 404);
    station.signal("TERM");
    station
        .wait_for_log("stopping; what is in flight is finished first")
        .await;
    stream.write_all(second.as_bytes()).await.unwrap();
    assert_eq!(parts(&to_the_end(&mut stream).await), (200, "success"));
    assert_eq!(station.ended().await.code(), Some(0));
    assert_eq!(station.tickets().await, ["ticket@@@1"]);
}

#[tokio::test]
async fn a_refused_request_is_one_line_that_says_why_and_who_and_a_flood_of_them_is_a_few() {
    let mut station = receiving().await;
    station.started().await;
    let address = station.push_address().await;
    let other = Sender {
        token: "another-token".to_owned(),
        ..weixin()
    };
    let push = other.ticket("canary-of-somebody-else", station.now());
    let request = request(PATH, &push).replace("host: x", "host: x\r\nx-forwarded-for: 192.0.2.7");
    assert_eq!(parts(&http::told(address, &request).await).0, 403);
    station
        .wait_for_log("the signature is not made with the callback token")
        .await;
    let log = station.log();
    let line = log
        .lines()
        .find(|line| line.contains("refused a request"))
        .unwrap();
    for part in [
        "WARN",
        "server=\"callback\"",
        "peer=127.0.0.1:",
        " for 192.0.2.7",
        "status=403",
    ] {
        assert!(line.contains(part), "{line}");
    }
    for _ in 0..500 {
        http::told(address, &request).await;
    }
    // It serves on, and the log has not grown with them.
    assert_eq!(station.push(&weixin().event("authorized")).await.0, 200);
    let log = station.log();
    assert_eq!(log.matches("refused a request").count(), 20, "{log}");
    assert_eq!(log.matches("the next ones are only counted").count(), 1);
    assert!(!log.contains("canary"), "{log}");
    station.stop().await;
}

#[tokio::test]
async fn events_of_unknown_types_are_counted_and_told_by_type() {
    let mut station = receiving().await;
    station.variables.push(("RUST_LOG", String::new()));
    station.started().await;
    for _ in 0..5 {
        assert_eq!(station.push(&weixin().event("brand_new")).await.0, 200);
        assert_eq!(station.push(&weixin().event("authorized")).await.0, 200);
    }
    station.stop().await;
    let log = station.log();
    for count in 1..=5 {
        let told = log.contains(&format!("info_type=\"brand_new\" count={count}"));
        assert_eq!(told, [1, 2, 4].contains(&count), "{count}: {log}");
    }
    assert!(!log.contains("\"authorized\""), "{log}");
}

#[tokio::test]
async fn the_key_is_changed_without_a_push_lost() {
    let mut station = receiving().await;
    let (new, bytes) = key("canaryNewKey");
    let changed = Sender {
        key: bytes,
        ..weixin()
    };
    std::fs::rename(station.path("encoding_aes_key"), station.path("previous")).unwrap();
    private(&station.write("encoding_aes_key", &format!("{new}\n")));
    let previous = station.path("previous").display().to_string();
    station.world.set("callback.previous_aes_key_file", &previous);
    station.started().await;
    assert_eq!(
        station
            .push(&weixin().ticket("ticket@@@1", station.now()))
            .await
            .0,
        200
    );
    station
        .wait_for_log("encrypted with the previous EncodingAESKey")
        .await;
    assert_eq!(
        station
            .push(&changed.ticket("ticket@@@2", station.now() + 1))
            .await
            .0,
        200
    );
    station
        .wait_for_log("encrypted with the current EncodingAESKey")
        .await;
    assert_eq!(station.tickets().await, ["ticket@@@1", "ticket@@@2"]);
    station.stop().await;
}

#[tokio::test]
async fn an_address_in_use_ends_it_with_1_and_is_named() {
    let mut station = receiving().await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap().to_string();
    station
        .variables
        .push(("STATICSTORED_CALLBACK__LISTEN", address.clone()));
    let output = told(station.command(&["run"]), "").await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("callback.listen: {address} cannot be listened on")),
        "{said}"
    );
    assert!(said.contains("in use"), "{said}");
}

#[tokio::test]
async fn secrets_that_are_missing_malformed_or_open_to_others_end_it_with_78_and_are_not_shown() {
    let station = receiving().await;
    let files = ["callback_token", "encoding_aes_key"].map(|name| station.path(name));
    let wrong_key = format!("{}A", key(KEY).0);
    for (file, text, mode, complaint) in [
        (
            &files[0],
            "canary with spaces",
            0o600,
            "(callback.token_file): the callback token must be 1 to 128",
        ),
        (&files[0], TOKEN, 0o644, "is open to everybody"),
        (
            &files[1],
            &wrong_key,
            0o600,
            "(callback.aes_key_file): the EncodingAESKey has 44 characters, must be 43",
        ),
        (
            &files[1],
            &key(KEY).0.replace('A', "!"),
            0o600,
            "none of A-Z a-z 0-9 + /",
        ),
        (&files[1], &key(KEY).0, 0o604, "is open to everybody"),
    ] {
        let good = std::fs::read(file).unwrap();
        std::fs::write(file, text).unwrap();
        let open = |mode| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        open(mode);
        let output = within(told(station.command(&["run"]), "")).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(complaint), "{said}");
        assert!(!said.contains("canary"), "{said}");
        std::fs::write(file, good).unwrap();
        open(0o600);
    }
    for (key, name) in [
        ("STATICSTORED_CALLBACK__TOKEN_FILE", "callback.token_file"),
        ("STATICSTORED_CALLBACK__AES_KEY_FILE", "callback.aes_key_file"),
        (
            "STATICSTORED_CALLBACK__PREVIOUS_AES_KEY_FILE",
            "callback.previous_aes_key_file",
        ),
    ] {
        let mut command = station.command(&["run"]);
        command.env(key, "/nowhere/secret");
        let said = String::from_utf8(told(command, "").await.stderr).unwrap();
        assert!(
            said.contains(&format!("/nowhere/secret ({name}) cannot be read")),
            "{said}"
        );
    }
    for (key, credential) in [
        (
            "STATICSTORED_CALLBACK__TOKEN_FILE",
            "LoadCredential=callback_token:FILE",
        ),
        (
            "STATICSTORED_CALLBACK__AES_KEY_FILE",
            "LoadCredential=encoding_aes_key:FILE",
        ),
    ] {
        let mut command = station.command(&["run"]);
        command.env_remove(key);
        let output = told(command, "").await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(credential), "{said}");
    }
}

#[tokio::test]
async fn check_says_that_the_daemon_listens() {
    let mut station = receiving().await;
    station.started().await;
    let address = station.push_address().await;
    station
        .variables
        .push(("STATICSTORED_CALLBACK__LISTEN", address.to_string()));
    let output = told(station.command(&["check"]), "").await;
    let said = String::from_utf8(output.stdout).unwrap();
    let line = format!("ok     push receiver: http://{address}{PATH}, a daemon listens there\n");
    assert!(said.contains(&line), "{said}");
    station.stop().await;
}

#[tokio::test]
async fn without_descriptors_for_more_connections_it_waits_and_then_goes_on() {
    const DESCRIPTORS: usize = 100;
    let mut station = receiving().await;
    station.open_files = Some(DESCRIPTORS);
    station.started().await;
    let address = station.push_address().await;
    let mut crowd = Vec::new();
    for _ in 0..DESCRIPTORS {
        crowd.push(connect(address).await);
    }
    station.wait_for_log("Too many open files").await;
    let before = cpu_time(station.pid());
    // It says so once a second: a loop that turned all the time would say it, and take time, thousands of times.
    until(|| station.log().matches("Too many open files").count() >= 3).await;
    let ticks = cpu_time(station.pid()) - before;
    assert!(ticks < 50, "{ticks} hundredths of a second in about two seconds");
    drop(crowd);
    let push = weixin().ticket("ticket@@@1", station.now());
    assert_eq!(station.push(&push).await, (200, "success".to_owned()));
    station.stop().await;
}

/// The processor time that a process has used, in hundredths of a second.
fn cpu_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
