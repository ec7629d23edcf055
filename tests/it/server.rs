//! The daemon's HTTP server against clients that are slow, silent, greedy or many.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Extension;
use axum::routing::{get, post};
use staticstored::server::{self, Limits, Peer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::http::{self, answer, to_the_end};
use crate::world::within;

/// Bounds that nothing here meets but what is meant to; each test takes away what it is about.
const WIDE: Limits = Limits {
    connections: 100,
    head: Duration::from_secs(600),
    request: Duration::from_secs(600),
    body: 1000,
    age: Duration::from_secs(600),
    finish: Duration::from_secs(600),
};
const SHORT: Duration = Duration::from_millis(50);

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// Lets as many `/wait` go on.
    gate: Arc<Semaphore>,
    /// How many `/wait` there are.
    waiting: Arc<Semaphore>,
}

fn router(gate: Arc<Semaphore>, waiting: Arc<Semaphore>) -> Router {
    let wait = || async move {
        waiting.add_permits(1);
        gate.acquire().await.unwrap().forget();
        "done"
    };
    Router::new()
        .route(
            "/length",
            post(|body: Bytes| async move { body.len().to_string() }),
        )
        .route(
            "/peer",
            get(|Extension(peer): Extension<Peer>| async move { peer.to_string() }),
        )
        .route("/wait", get(wait))
}

fn closed() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

async fn start(limits: Limits) -> Running {
    let (gate, waiting) = (closed(), closed());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let router = router(gate.clone(), waiting.clone());
    let task = tokio::spawn(server::serve("test", listener, router, limits, stop.clone()));
    Running {
        address,
        stop,
        task,
        gate,
        waiting,
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        http::connect(self.address).await
    }

    async fn told(&self, bytes: &str) -> String {
        http::told(self.address, bytes).await
    }

    async fn is_waiting(&self) {
        within(self.waiting.acquire()).await.unwrap().forget();
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let server = start(Limits { head: SHORT, ..WIDE }).await;
    for bytes in ["", "POST /length HTTP/1.1\r\nhost: x\r\n"] {
        assert_eq!(server.told(bytes).await, "");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_in_use_is_not() {
    let server = start(Limits {
        head: Duration::from_millis(1500),
        ..WIDE
    })
    .await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream
            .write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        server.is_waiting().await;
        server.gate.add_permits(1);
        answer(&mut stream, "done").await;
    }
    assert_eq!(to_the_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_408_and_a_handler_that_is_not_done_503() {
    let server = start(Limits {
        request: SHORT,
        ..WIDE
    })
    .await;
    let slow = "POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc";
    let answer = server.told(slow).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let answer = server
        .told("GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[tokio::test]
async fn the_largest_body_is_taken_and_one_byte_more_is_answered_413() {
    let server = start(WIDE).await;
    for (length, status) in [(1000, "200"), (1001, "413"), (100_000, "413")] {
        let body = "x".repeat(length);
        let request = format!(
            "POST /length HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let answer = server.told(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let chunked = format!(
            "POST /length HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
             {length:x}\r\n{body}\r\n0\r\n\r\n"
        );
        let answer = server.told(&chunked).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_its_end() {
    let server = start(WIDE).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"POST /length HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let sent = async { while stream.write_all(chunk.as_bytes()).await.is_ok() {} };
    within(sent).await;
}

#[tokio::test]
async fn what_is_no_http_is_answered_400_and_a_head_that_is_too_long_431() {
    let server = start(WIDE).await;
    let answer = server.told("\x16\x03\x01 hello\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let long = format!(
        "GET /peer HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "x".repeat(2 * server::LONGEST_HEAD)
    );
    let answer = server.told(&long).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_connection_beyond_the_most_waits_until_a_place_is_free() {
    const WAIT: &[u8] = b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n";
    let server = start(Limits {
        connections: 2,
        ..WIDE
    })
    .await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    for stream in [&mut first, &mut second] {
        stream.write_all(WAIT).await.unwrap();
        server.is_waiting().await;
    }
    let mut third = server.connect().await;
    third.write_all(WAIT).await.unwrap();
    // Where others may wait for a place, a connection is closed with its answer.
    server.gate.add_permits(1);
    assert!(to_the_end(&mut first).await.contains("connection: close"));
    server.is_waiting().await;
    server.gate.add_permits(2);
    answer(&mut second, "done").await;
    answer(&mut third, "done").await;
}

#[tokio::test]
async fn many_silent_connections_hold_a_request_up_only_until_their_time_is_up() {
    let server = start(Limits {
        connections: 10,
        head: Duration::from_millis(200),
        ..WIDE
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..30 {
        silent.push(server.connect().await);
    }
    let answer = server
        .told("GET /peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn the_request_on_its_way_is_finished_when_the_server_stops_and_nothing_new_is_taken() {
    let server = start(WIDE).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /peer HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut busy = server.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    server.is_waiting().await;
    server.stop.cancel();
    // The idle one is closed, though nobody asked it to.
    assert!(to_the_end(&mut idle).await.starts_with("HTTP/1.1 200 "));
    server.gate.add_permits(1);
    assert!(to_the_end(&mut busy).await.ends_with("done"));
    within(server.task).await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_request_that_does_not_end_does_not_hold_up_the_stop() {
    let server = start(Limits {
        finish: SHORT,
        ..WIDE
    })
    .await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    server.is_waiting().await;
    server.stop.cancel();
    within(server.task).await.unwrap();
    assert_eq!(to_the_end(&mut busy).await, "");
}

#[tokio::test]
async fn a_client_that_never_reads_its_answers_loses_its_connection_by_age() {
    let server = start(Limits {
        age: Duration::from_millis(300),
        finish: SHORT,
        ..WIDE
    })
    .await;
    let mut stream = server.connect().await;
    let requests = "GET /peer HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    let sent = async { while stream.write_all(requests.as_bytes()).await.is_ok() {} };
    within(sent).await;
}

#[tokio::test]
async fn a_peer_is_named_and_whom_a_proxy_names_is_named_too_if_it_is_an_address() {
    let server = start(WIDE).await;
    for (header, end) in [
        ("", ""),
        ("x-forwarded-for: 10.0.0.1, 192.0.2.7\r\n", " for 192.0.2.7"),
        (
            "x-forwarded-for: 10.0.0.1\r\nx-forwarded-for: 2001:db8::1\r\n",
            " for 2001:db8::1",
        ),
        ("x-forwarded-for: evil\r\n", ""),
    ] {
        let request = format!("GET /peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n");
        let answer = server.told(&request).await;
        let peer = answer.split("\r\n\r\n").nth(1).unwrap();
        assert!(peer.starts_with("127.0.0.1:"), "{peer}");
        let after_port = peer["127.0.0.1:".len()..].trim_start_matches(|c: char| c.is_ascii_digit());
        assert_eq!(after_port, end);
    }
}

#[tokio::test]
async fn a_unix_socket_is_served_in_the_same_way() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sock");
    let listener = UnixListener::bind(&path).unwrap();
    let router = router(closed(), closed());
    let stop = CancellationToken::new();
    let task = tokio::spawn(server::serve("test", listener, router, WIDE, stop.clone()));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    ask(&mut stream).await;
    stop.cancel();
    within(task).await.unwrap();
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    stream
        .write_all(b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello")
        .await
        .unwrap();
    assert!(answer(stream, "5").await.starts_with("HTTP/1.1 200 "));
}
