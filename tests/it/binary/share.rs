//! The socket that the token is shared on: what it answers, to how many, to whom, and what becomes of its file.

mod file;
mod programs;

use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use staticstored::clock;
use staticstored::simulator::{Endpoint, Fault};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::Station;
use crate::world::within;

const TOKEN: &str = "/component_access_token";
const REJECT: &str = "/component_access_token/reject";

/// A daemon that shares its token, at a Weixin that honours no token but the newest.
async fn sharer() -> (Station, Socket) {
    let mut station = Station::with(|options| options.token_overlap = Duration::ZERO).await;
    let path = station.share();
    station.started().await;
    station.has_token().await;
    let socket = Socket::at(&path);
    (station, socket)
}

/// A client of the socket.
struct Socket(Client);

/// What it answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Socket {
    fn at(path: &Path) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self(Client::builder().unix_socket(path).build().unwrap())
    }

    async fn ask(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.0.request(method, format!("http://localhost{path}"));
        let response = within(request.body(body).send()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        Answer {
            status,
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    async fn get(&self) -> Answer {
        self.ask(Method::GET, TOKEN, "").await
    }

    async fn reject(&self, token: &str) -> Answer {
        let body = json!({ "component_access_token": token }).to_string();
        self.ask(Method::POST, REJECT, body).await
    }
}

impl Answer {
    #[track_caller]
    fn token(&self) -> &str {
        assert_eq!(self.status, 200, "{self:?}");
        self.body["component_access_token"].as_str().unwrap()
    }
}

#[tokio::test]
async fn a_get_answers_the_token_and_its_life_and_nobody_may_keep_the_answer() {
    let (mut station, socket) = sharer().await;
    let answer = socket.get().await;
    assert_eq!(answer.token(), station.world.simulator.current_token().unwrap());
    let left = answer.body["expires_in"].as_u64().unwrap();
    assert!((7100..=7200).contains(&left), "{left}");
    let expires_at = answer.body["expires_at"].as_str().unwrap();
    assert_eq!(
        expires_at,
        station.world.row("SELECT token_expires_at FROM service").await
    );
    assert_eq!(clock::text(clock::parse(expires_at).unwrap()), expires_at);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.body.as_object().unwrap().len(), 3);
    station.stop().await;
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once_and_an_older_one_rejects_nothing() {
    let (mut station, socket) = sharer().await;
    let simulator = station.world.simulator.clone();
    let first = socket.get().await.token().to_owned();
    let second = socket.reject(&first).await.token().to_owned();
    assert_ne!(first, second);
    for stale in [first.as_str(), "never-a-token"] {
        assert_eq!(socket.reject(stale).await.token(), second);
    }
    assert_eq!(socket.get().await.token(), second);
    assert_eq!(simulator.exchanges(), 2);
    // The daemon itself calls with the new one, too.
    station.world.insert("one").await;
    station.world.wait_for_state("one", "online").await;
    assert_eq!(simulator.exchanges(), 2);
    station.stop().await;
}

#[tokio::test]
async fn a_client_that_rejects_each_token_waits_alone_and_everybody_else_keeps_it() {
    let (mut station, socket) = sharer().await;
    let simulator = station.world.simulator.clone();
    let first = socket.get().await.token().to_owned();
    let second = socket.reject(&first).await.token().to_owned();
    for round in 0..20 {
        let refused = socket.reject(&second).await;
        assert_eq!(refused.status, 503, "{refused:?}");
        let seconds: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=6).contains(&seconds), "{seconds}");
        assert!(refused.body["reason"].as_str().unwrap().contains("Retry-After"));
        // Others have the token meanwhile, and so has the daemon.
        assert_eq!(socket.get().await.token(), second);
        let env = format!("env-{round}");
        station.world.insert(&env).await;
        station.world.wait_for_state(&env, "online").await;
    }
    // Its calls passed: there was no reason for a third one.
    assert_eq!(simulator.exchanges(), 2);
    assert_eq!(station.world.row("SELECT state FROM service").await, "running");
    let log = station.log();
    let by = format!(
        "rejected by client uid {} pid ",
        rustix::process::getuid().as_raw()
    );
    assert!(log.contains(&by), "{log}");
    station.stop().await;
}

#[tokio::test]
async fn a_client_whose_rejection_brings_no_token_is_told_why_and_the_others_keep_the_old_one() {
    let (mut station, socket) = sharer().await;
    let token = socket.get().await.token().to_owned();
    station
        .world
        .simulator
        .fault(Fault::on(Endpoint::Exchange).errcode(40125, "invalid appsecret"));
    for _ in 0..2 {
        let answer = socket.reject(&token).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        let reason = answer.body["reason"].as_str().unwrap();
        assert!(reason.contains("errcode 40125: invalid appsecret"), "{reason}");
        assert!(answer.body["remedy"].as_str().unwrap().contains("appsecret"));
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(socket.get().await.token(), token);
    }
    station.world.simulator.clear_faults();
    station.stop().await;
}

#[tokio::test]
async fn a_thousand_clients_that_reject_the_same_token_lead_to_one_exchange() {
    const CLIENTS: usize = 1000;
    let (mut station, socket) = sharer().await;
    let simulator = station.world.simulator.clone();
    let stale = socket.get().await.token().to_owned();
    simulator.revoke_token();
    // It comes only when many wait for it.
    simulator.fault(Fault::on(Endpoint::Exchange).once().held());
    let body = json!({ "component_access_token": stale }).to_string();
    let request = format!(
        "POST {REJECT} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (path, request) = (station.path("token.sock"), request.clone());
        clients.spawn(async move {
            let mut stream = UnixStream::connect(path).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        });
    }
    station.world.see(|simulator| simulator.held() == 1).await;
    simulator.release();
    let answers = within(clients.join_all()).await;
    let current = simulator.current_token().unwrap();
    assert_ne!(current, stale);
    for answer in &answers {
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains(&format!("\"component_access_token\":\"{current}\"")));
    }
    assert_eq!(answers.len(), CLIENTS);
    assert_eq!(simulator.calls(Endpoint::Exchange), 2);
    station.stop().await;
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_with_what_is_allowed_and_never_repeated() {
    let (mut station, socket) = sharer().await;
    let long = "canary".repeat(2000);
    let too_long = json!({ "component_access_token": "canary".repeat(200) }).to_string();
    let (json, paths) = ("must be JSON", "there are GET /component_access_token");
    for (method, path, body, status, allowed) in [
        (Method::POST, REJECT, "", 400, json),
        (Method::POST, REJECT, "canary", 400, json),
        (Method::POST, REJECT, "[\"canary\"]", 400, json),
        (Method::POST, REJECT, "{\"access_token\":\"canary\"}", 400, json),
        (
            Method::POST,
            REJECT,
            "{\"component_access_token\":null}",
            400,
            json,
        ),
        (Method::POST, REJECT, "{\"component_access_token\":7}", 400, json),
        (
            Method::POST,
            REJECT,
            "{\"component_access_token\":\"\"}",
            400,
            json,
        ),
        (
            Method::POST,
            REJECT,
            "{\"component_access_token\":\"a canary\"}",
            400,
            json,
        ),
        (Method::POST, REJECT, &too_long, 400, json),
        (Method::POST, REJECT, &long, 413, "at most 8 KiB"),
        (Method::GET, "/", "", 404, paths),
        (Method::GET, "/canary", "", 404, paths),
        (Method::POST, "/component_access_token/reject/", "", 404, paths),
        (
            Method::POST,
            TOKEN,
            "canary",
            405,
            "GET /component_access_token reads",
        ),
        (
            Method::DELETE,
            TOKEN,
            "",
            405,
            "GET /component_access_token reads",
        ),
        (
            Method::GET,
            REJECT,
            "",
            405,
            "POST /component_access_token/reject rejects",
        ),
    ] {
        let answer = socket.ask(method, path, body.to_owned()).await;
        assert_eq!(answer.status, status, "{path} {body}");
        let reason = answer.body["reason"].as_str().unwrap();
        assert!(reason.contains(allowed), "{reason}");
        assert!(!answer.body.to_string().contains("canary"), "{answer:?}");
        assert_eq!(answer.headers.contains_key("allow"), status == 405);
    }
    // More than the server reads at all.
    let answer = socket.ask(Method::POST, REJECT, "canary".repeat(20_000)).await;
    assert_eq!(answer.status, 413);
    assert!(answer.body["reason"].as_str().unwrap().contains("too large"));
    assert_eq!(
        station.world.simulator.exchanges(),
        1,
        "none of these rejected a token"
    );
    assert!(!station.log().contains("canary"), "{}", station.log());
    let mine = format!("uid {}", nobody_else());
    assert!(
        station.log().contains(&mine),
        "the log says who: {}",
        station.log()
    );
    station.stop().await;
}

/// The user of this process.
fn nobody_else() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").unwrap().uid()
}
