//! How long a program waits for the token on the socket, and how many may ask.
//!
//! The daemon is a process of its own, as its operator runs it. Beside it, in turns, the same exchange with a bare axum
//! server in the benchmark's process, which is the floor: no daemon that speaks HTTP can be faster.
//! `cargo bench --bench share -- [GETS] [ROUNDS]`

#![allow(clippy::print_stdout, reason = "a benchmark's report")]

mod rig;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::routing::get;
use rig::daemon::Daemon;
use rig::summary::{milliseconds, quantile};
use rig::witness::Witness;
use rig::{database, number};
use staticstored::clock::Stopwatch;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

const KEPT: &[u8] = b"GET /component_access_token HTTP/1.1\r\nHost: localhost\r\n\r\n";
const CLOSED: &[u8] = b"GET /component_access_token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// What the daemon answers here, in length.
const ANSWER: &str =
    r#"{"component_access_token":"bench-token","expires_in":7199,"expires_at":"2026-11-23T16:25:07.123Z"}"#;
const CLIENTS: u64 = 16;
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How the token is asked for.
#[derive(Clone, Copy)]
enum Way {
    /// One client, one connection.
    Kept,
    /// One client, a connection for each GET, as curl makes it.
    Fresh,
    /// Many clients at once, each with a connection of its own.
    Many,
}

const WAYS: [(Way, &str); 3] = [
    (Way::Kept, "one connection"),
    (Way::Fresh, "a connection for each"),
    (Way::Many, "16 clients at once"),
];

#[tokio::main]
async fn main() -> Result<()> {
    let (gets, rounds) = (number(0, 5_000), number(1, 3));
    let directory = tempfile::tempdir()?;
    database::create(&directory.path().join("queue.db")).await?;
    let witness = Witness::start().await?;
    let socket = directory.path().join("token.sock");
    let settings = format!("share.socket = \"{}\"\n", socket.display());
    let daemon = Daemon::start(directory.path(), &witness.base_url(), &settings)?;
    until_there_is_a_token(&socket).await?;
    let bare = bare(&directory.path().join("bare.sock"))?;

    let mut taken = WAYS.map(|_| [Vec::new(), Vec::new()]);
    for _ in 0..rounds {
        for ((way, _), taken) in WAYS.into_iter().zip(&mut taken) {
            for (socket, taken) in [&bare, &socket].into_iter().zip(taken) {
                taken.extend(measure(way, socket, gets).await?);
            }
        }
    }
    for ((_, name), taken) in WAYS.iter().zip(&mut taken) {
        for (server, taken) in ["bare server (floor)", "daemon"].into_iter().zip(taken) {
            println!(
                "GET, {name}, {server}: p50 {:.3} ms, p99 {:.3} ms ({} gets)",
                milliseconds(quantile(taken, 0.5)),
                milliseconds(quantile(taken, 0.99)),
                taken.len()
            );
        }
    }
    daemon.stop()
}

/// The same answer, from nothing but axum.
fn bare(path: &Path) -> Result<PathBuf> {
    let listener = UnixListener::bind(path)?;
    let answer = || async { ([("content-type", "application/json")], ANSWER) };
    let router = Router::new().route("/component_access_token", get(answer));
    // It ends with the process.
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await });
    server.detach_all();
    Ok(path.to_owned())
}

async fn until_there_is_a_token(socket: &Path) -> Result<()> {
    let there = async {
        loop {
            let mut stream = UnixStream::connect(socket).await?;
            if exchange(&mut stream, CLOSED).await?.starts_with(b"HTTP/1.1 200") {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONGEST_WAIT, there)
        .await
        .context("the daemon has no token")?
}

/// How long each of `gets` takes.
async fn measure(way: Way, socket: &Path, gets: u64) -> Result<Vec<Duration>> {
    match way {
        Way::Kept => on_one(socket.to_owned(), gets).await,
        Way::Fresh => {
            let mut taken = Vec::new();
            for _ in 0..gets {
                let watch = Stopwatch::start();
                let mut stream = UnixStream::connect(socket).await?;
                exchange(&mut stream, CLOSED).await?;
                taken.push(watch.elapsed());
            }
            Ok(taken)
        }
        Way::Many => {
            let mut clients = JoinSet::new();
            for _ in 0..CLIENTS {
                clients.spawn(on_one(socket.to_owned(), gets / CLIENTS));
            }
            let taken: Result<Vec<_>> = clients.join_all().await.into_iter().collect();
            Ok(taken?.concat())
        }
    }
}

async fn on_one(socket: PathBuf, gets: u64) -> Result<Vec<Duration>> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut taken = Vec::new();
    for _ in 0..gets {
        let watch = Stopwatch::start();
        exchange(&mut stream, KEPT).await?;
        taken.push(watch.elapsed());
    }
    Ok(taken)
}

/// One request and its answer, which ends with the brace of its JSON.
async fn exchange(stream: &mut UnixStream, request: &[u8]) -> Result<Vec<u8>> {
    stream.write_all(request).await?;
    let mut answer = Vec::with_capacity(1024);
    while answer.last() != Some(&b'}') {
        ensure!(
            stream.read_buf(&mut answer).await? > 0,
            "the server closed the connection"
        );
    }
    Ok(answer)
}
