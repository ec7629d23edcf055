//! No secret leaves the places that are meant for it, at the most talkative log level, whatever goes wrong.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use staticstored::simulator::scenario::{KINDS, Share};
use staticstored::simulator::{Endpoint, Fault};

use super::canary::clean;
use super::push::{self, weixin};
use super::{Station, until};
use crate::http;
use crate::seal::{Push, Sender};

const APPSECRET: &str = "canaryappsecret0123456789abcdef0";
const TICKET: &str = "ticket@@@canary-of-the-ticket-that-works-0123456789";
const BAD_TICKET: &str = "ticket@@@canary-of-a-ticket-that-never-worked-0123456789";
/// How much of an errmsg is kept; a secret that lies across its end must not be cut in two.
const KEPT: usize = staticstored::weixin::LONGEST_ERRMSG;

async fn station() -> Station {
    let mut station = Station::with(|options| {
        options.appsecret = APPSECRET.to_owned();
        options.ticket = TICKET.to_owned();
        options.token_overlap = Duration::ZERO;
        options.faults_by_suffix = true;
        options.start_push_makes_ticket = false;
    })
    .await;
    station.variables.push(("RUST_LOG", "trace".to_owned()));
    // Each second: tickets are pruned while the test runs.
    station.world.set("retention.schedule", "* * * * * *");
    station
        .world
        .execute(&format!(
            "DELETE FROM ticket; INSERT INTO ticket (component_verify_ticket) VALUES ('{BAD_TICKET}')"
        ))
        .await;
    station
}

/// What can go wrong with an exchange; some answers quote what they were sent.
fn exchange_faults() -> Vec<Fault> {
    let on = || Fault::on(Endpoint::Exchange);
    let quoting = format!(
        "{}component_appsecret {APPSECRET}, ticket {TICKET}",
        "x".repeat(KEPT - 30)
    );
    vec![
        on().cut(),
        on().cut_in_body(),
        on().no_json(),
        on().null_fields(),
        on().errcode(-1, &quoting),
        on().errcode(-1, &format!("component_appsecret {APPSECRET}, ticket {TICKET}")),
    ]
}

#[tokio::test]
async fn no_secret_is_in_the_log_the_database_or_the_process_table_whatever_goes_wrong() {
    let mut station = station().await;
    let simulator = station.world.simulator.clone();
    let told = told_to_systemd(&mut station);
    station.start();
    station.world.wait_for_service("waiting_for_ticket").await;
    station.stop().await;
    station.world.give_ticket().await;
    // A start for each, since the daemon waits longer and longer between two tries.
    let complaints = |station: &Station| station.log().matches("no new token yet").count();
    for fault in exchange_faults() {
        let before = complaints(&station);
        simulator.fault(fault);
        station.start();
        until(|| complaints(&station) > before).await;
        station.stop().await;
        simulator.clear_faults();
    }
    station.start();
    let kinds = KINDS.iter().filter(|kind| kind.share != Share::None);
    let envs: Vec<String> = kinds.map(|kind| format!("env--{}", kind.name)).collect();
    for env in &envs {
        station.world.insert(env).await;
    }
    finished(&station).await;

    quote_the_token(&mut station).await;
    simulator.refuse().await;
    station.world.insert("refused").await;
    station.world.wait_for_state("refused", "retrying").await;
    simulator.accept().await;
    simulator.revoke_token();
    station.world.insert("revoked").await;
    finished(&station).await;

    let tokens = simulator.tokens();
    assert!(tokens.len() >= 3, "{tokens:?}");
    let mut secrets = tokens.clone();
    secrets.push(APPSECRET.to_owned());
    process_and_files(&station, &secrets);
    station
        .world
        .wait_for("SELECT count(*) FROM ticket", &["1"])
        .await;
    tables(&station, &secrets).await;
    station.stop().await;

    // The pruned ticket is not in the file's unused space either.
    let database = std::fs::read(station.world.database()).unwrap();
    clean(
        "the database after the stop",
        &database,
        &[&secrets[..], &[BAD_TICKET.to_owned()]].concat(),
    );
    secrets.extend([TICKET.to_owned(), BAD_TICKET.to_owned()]);
    let log = std::fs::read(station.log_file()).unwrap();
    assert!(String::from_utf8_lossy(&log).contains("TRACE"));
    clean("the log", &log, &secrets);
    cache(&station, &tokens, &secrets);
    let told = told.lock().unwrap();
    assert!(
        told.contains("token until") && told.contains("no token"),
        "{told}"
    );
    clean("what systemd was told", told.as_bytes(), &secrets);
}

/// Notes all that daemons started from now on tell systemd.
fn told_to_systemd(station: &mut Station) -> Arc<Mutex<String>> {
    let socket = station.listen();
    let told = Arc::new(Mutex::new(String::new()));
    let notes = told.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok(length) = socket.recv(&mut buffer).await {
            let text = String::from_utf8_lossy(&buffer[..length]);
            notes.lock().unwrap().push_str(&text);
        }
    });
    told
}

/// Waits until every request is finished.
async fn finished(station: &Station) {
    let patience = crate::world::PATIENCE * 3;
    let done = async {
        while station.world.row("SELECT count(*) FROM queue").await != "0" {
            tokio::time::sleep(super::LOOK).await;
        }
    };
    tokio::time::timeout(patience, done).await.unwrap();
}

/// Answers that quote the token, near their start and across the place where they are cut.
async fn quote_the_token(station: &mut Station) {
    let token = station.world.simulator.current_token().unwrap();
    for (env, before) in [("quoted", 10), ("quoted-across-the-cut", KEPT - 80)] {
        let errmsg = format!("{} {token}", "x".repeat(before));
        let fault = Fault::on(Endpoint::Create).env(env).errcode(85088, &errmsg);
        station.world.simulator.fault(fault);
        station.world.insert(env).await;
        station.world.wait_for_state(env, "failed").await;
        let kept = station.world.status("errmsg LIKE '%xxx [tok%'", env).await;
        assert_eq!(kept, "1", "{}", station.world.status("errmsg", env).await);
    }
}

/// While it runs: what `ps` shows, and the files that SQLite has open.
fn process_and_files(station: &Station, secrets: &[String]) {
    for name in ["cmdline", "environ", "comm"] {
        clean(
            name,
            &std::fs::read(format!("/proc/{}/{name}", station.pid())).unwrap(),
            secrets,
        );
    }
    // Read by another process: closing a descriptor here would be no harm to the daemon's locks, but to this test's own.
    for name in ["queue.db", "queue.db-wal", "queue.db.lock"] {
        let output = std::process::Command::new("cat")
            .arg(station.path(name))
            .output()
            .unwrap();
        clean(name, &output.stdout, secrets);
    }
}

/// Row by row, for a value may lie on two pages of the file.
async fn tables(station: &Station, secrets: &[String]) {
    for table in ["status", "service", "attempt", "queue"] {
        for row in station.world.rows(&format!("SELECT * FROM {table}")).await {
            clean(table, row.as_bytes(), secrets);
            clean(table, row.as_bytes(), &[TICKET.to_owned(), BAD_TICKET.to_owned()]);
        }
    }
}

/// The cache holds the last token, and that alone; nobody but its owner reads it.
fn cache(station: &Station, tokens: &[String], secrets: &[String]) {
    let file = station.path("token.json");
    let text = std::fs::read(&file).unwrap();
    let (last, others) = tokens.split_last().unwrap();
    assert!(String::from_utf8_lossy(&text).contains(last));
    clean("token.json", &text, others);
    clean("token.json", &text, &secrets[tokens.len()..]);
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(!station.path("token.json.new").exists());
}

/// Waits until a guest has nothing left to do.
async fn opened(guest: &Station, env: &str) {
    guest.world.insert(env).await;
    guest.world.wait_for_state(env, "online").await;
}

#[tokio::test]
async fn neither_token_nor_bearer_is_in_the_log_or_the_database_of_an_owner_or_of_its_guest() {
    const BEARER: &str = "canary-of-the-bearer-credential-0123456789";
    let mut owner = station().await;
    let simulator = owner.world.simulator.clone();
    owner.world.give_ticket().await;
    let socket = owner.share();
    let mut guest = owner.guest_at(&socket).await;
    guest.variables.push(("RUST_LOG", "trace".to_owned()));
    let file = guest.write("bearer", BEARER);
    super::private(&file);
    guest.world.set("token.bearer_file", file.to_str().unwrap());
    owner.started().await;
    owner.has_token().await;
    guest.started().await;
    opened(&guest, "first").await;
    simulator.revoke_token();
    opened(&guest, "second").await;

    // An owner that quotes what it was sent in its reason, and one that answers with a token in no known shape.
    owner.stop().await;
    let garbles = Arc::new(AtomicBool::new(false));
    careless(&socket, &simulator.current_token().unwrap(), &garbles);
    simulator.revoke_token();
    guest.world.insert("third").await;
    guest
        .world
        .wait_for(
            "SELECT reason LIKE '%has none: you are Bearer [hidden] and sent %[hidden]%' FROM service",
            &["1"],
        )
        .await;
    garbles.store(true, Ordering::Relaxed);
    guest
        .world
        .wait_for("SELECT reason LIKE '%no such JSON%' FROM service", &["1"])
        .await;
    guest.stop().await;

    let mut secrets = simulator.tokens();
    assert!(secrets.len() >= 3, "{secrets:?}");
    secrets.push(BEARER.to_owned());
    for station in [&owner, &guest] {
        let log = std::fs::read(station.log_file()).unwrap();
        assert!(String::from_utf8_lossy(&log).contains("TRACE"));
        clean("a log", &log, &secrets);
        tables(station, &secrets).await;
    }
}

/// Listens where an owner did, as a program that is careless with what it is sent, and, once it garbles, with what it
/// has.
fn careless(socket: &Path, token: &str, garbles: &Arc<AtomicBool>) {
    let (garbled, garbles) = (format!("the token is {token}"), garbles.clone());
    let router = Router::new().fallback(move |headers: HeaderMap, body: String| async move {
        if garbles.load(Ordering::Relaxed) {
            return (StatusCode::OK, garbled);
        }
        let (bearer, body) = (headers["authorization"].to_str().unwrap(), body.replace('"', "'"));
        let quoted = format!("{{\"reason\":\"you are {bearer} and sent {body}\"}}");
        (StatusCode::SERVICE_UNAVAILABLE, quoted)
    });
    let listener = tokio::net::UnixListener::bind(socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
}

#[tokio::test]
async fn an_errmsg_of_the_exchange_that_quotes_secrets_reaches_service_without_them() {
    let mut station = station().await;
    let errmsg = format!("bad {APPSECRET} with {TICKET}");
    station.world.give_ticket().await;
    station
        .world
        .simulator
        .fault(Fault::on(Endpoint::Exchange).errcode(40125, &errmsg));
    station.start();
    station.world.wait_for_service("blocked").await;
    let service = station.world.row("SELECT reason, remedy FROM service").await;
    assert!(
        service.contains("errcode 40125: bad [hidden] with [hidden]"),
        "{service}"
    );
    until(|| station.log().contains("[hidden]")).await;
    station.stop().await;
    clean(
        "the log",
        station.log().as_bytes(),
        &[APPSECRET.to_owned(), TICKET.to_owned()],
    );
}

#[tokio::test]
async fn the_password_of_the_proxy_is_neither_in_the_log_nor_in_the_database() {
    const PASSWORD: &str = "canaryOfTheProxysPassword0123456789";
    let mut station = station().await;
    station.world.give_ticket().await;
    // The simulator reads a request to a proxy as one to itself.
    let address = station.world.simulator.address();
    let proxy = format!("http://somebody:{PASSWORD}@{address}");
    station.world.set("api.proxy", &proxy);
    station.started().await;
    station.world.insert("a").await;
    station.world.wait_for_state("a", "online").await;
    // Out of reach, what is said names what was tried.
    station.world.simulator.refuse().await;
    station.world.insert("refused").await;
    station.world.wait_for_state("refused", "retrying").await;
    station.world.simulator.accept().await;
    station.world.wait_for_state("refused", "online").await;
    let told = base64::engine::general_purpose::STANDARD.encode(format!("somebody:{PASSWORD}"));
    let secrets = [PASSWORD.to_owned(), told];
    tables(&station, &secrets).await;
    station.stop().await;
    let log = station.log();
    assert!(log.contains("TRACE"));
    clean("the log", log.as_bytes(), &secrets);
}

/// The ways in which a program writes bytes.
fn written(bytes: &[u8]) -> Vec<String> {
    let hex = |case: fn(&u8) -> String| bytes.iter().map(case).collect::<String>();
    vec![
        hex(|byte| format!("{byte:02x}")),
        hex(|byte| format!("{byte:02X}")),
        format!("{bytes:?}"),
        bytes.escape_ascii().to_string(),
    ]
}

/// Pushes that are refused, each with the ticket in it as far as it can be.
fn refused_pushes() -> Vec<Push> {
    let with = |sender: Sender| sender.ticket(TICKET, 1);
    let good = with(weixin());
    let plain = weixin().ticket_message(TICKET, 1);
    vec![
        with(Sender {
            token: "another-token".to_owned(),
            ..weixin()
        }),
        with(Sender {
            key: vec![9; 32],
            ..weixin()
        }),
        with(Sender {
            sealed_appid: TICKET.to_owned(),
            ..weixin()
        }),
        weixin().ticket(&format!("{TICKET} {BAD_TICKET}"), 1),
        weixin().push(&format!("{plain}{TICKET}")),
        weixin().push(&format!("<xml><InfoType>{TICKET}</Info></xml>")),
        Push {
            query: format!("{}&nonce={TICKET}", good.query),
            body: plain.clone(),
        },
        Push {
            query: good.query,
            body: plain,
        },
    ]
}

#[tokio::test]
async fn no_secret_of_the_push_is_in_the_log_the_database_or_the_process_table() {
    let mut station = station().await;
    station.receive_pushes();
    station.start();
    let address = station.push_address().await;
    for push in refused_pushes() {
        assert!((400..500).contains(&station.push(&push).await.0), "{push:?}");
    }
    for head in [
        format!("{TICKET} {TICKET} HTTP/1.1\r\n\r\n"),
        format!(
            "POST /{TICKET}?{TICKET} HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {TICKET}\r\nconnection: close\r\n\r\n"
        ),
        format!(
            "GET {}?{TICKET} HTTP/1.1\r\nhost: {TICKET}\r\nconnection: close\r\n\r\n",
            push::PATH
        ),
    ] {
        http::told(address, head).await;
    }
    let now = station.now();
    for (ticket, at) in [
        (BAD_TICKET, now),
        (TICKET, now + 1),
        (TICKET, now + 1),
        (BAD_TICKET, now),
    ] {
        assert_eq!(station.push(&weixin().ticket(ticket, at)).await.0, 200);
    }
    assert_eq!(station.push(&weixin().event("authorized")).await.0, 200);
    station.world.insert("a").await;
    station.world.wait_for_state("a", "online").await;

    let (text, bytes) = push::key(push::KEY);
    let mut secrets = vec![text, push::TOKEN.to_owned()];
    secrets.extend(written(&bytes));
    process_and_files(&station, &secrets);
    tables(&station, &secrets).await;
    station.stop().await;
    secrets.extend([TICKET.to_owned(), BAD_TICKET.to_owned()]);
    let log = station.log();
    assert!(
        log.contains("refused a request") && log.contains("TRACE"),
        "{log}"
    );
    clean("the log", log.as_bytes(), &secrets);
}
