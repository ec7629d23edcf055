//! A Weixin that notes when each createstaticstore request arrived.
//!
//! It runs in the benchmark's process, so that the clock of the INSERT and the clock of the request are one.

use anyhow::{Context, Result};
use staticstored::clock::Stopwatch;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const ACCEPTED: &str = r#"{"errcode":0,"errmsg":"ok"}"#;
const TOKEN: &str = r#"{"component_access_token":"bench-token","expires_in":7200}"#;

/// An env whose create arrived, and a stopwatch started at that moment.
pub type Seen = (String, Stopwatch);

/// A listening witness; it ends with this value.
#[derive(Debug)]
pub struct Witness {
    port: u16,
    seen: mpsc::UnboundedReceiver<Seen>,
    _server: JoinSet<()>,
}

impl Witness {
    /// Listens on a free port of the loopback.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (note, seen) = mpsc::unbounded_channel();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, note.clone()));
            }
        });
        Ok(Self {
            port,
            seen,
            _server: server,
        })
    }

    /// Where it answers.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next create that arrives.
    ///
    /// # Errors
    /// When the witness has ended.
    pub async fn next(&mut self) -> Result<Seen> {
        self.seen.recv().await.context("the witness has ended")
    }
}

/// Answers one connection until it is closed; a broken one is the client's affair.
async fn serve(stream: TcpStream, note: mpsc::UnboundedSender<Seen>) {
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    while let Ok(Some((path, body))) = request(&mut stream).await {
        let arrived = Stopwatch::start();
        let answer = if path.contains("/createstaticstore") {
            let env = serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default()["env"].take();
            let _ = note.send((env.as_str().unwrap_or_default().to_owned(), arrived));
            ACCEPTED
        } else {
            TOKEN
        };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
        let text = format!("{head} {}\r\n\r\n{answer}", answer.len());
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The next request's first line and body; `None` at the end of the connection.
async fn request(stream: &mut BufReader<TcpStream>) -> Result<Option<(String, Vec<u8>)>> {
    let mut first = String::new();
    if stream.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim().split_once(':') {
            None => break,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse()?;
            }
            Some(_) => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some((first, body)))
}
