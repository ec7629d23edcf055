//! A reverse proxy under load: genuine pushes over connections that are kept, as fast as they go or at a rate.
//!
//! They are sealed before anything is measured, and the requests are bytes, so that the pusher's own work is small: it
//! shares the machine with what it measures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use staticstored::clock::{Clock, Stopwatch};
use staticstored::simulator::push::{CALLBACK_TOKEN, ENCODING_AES_KEY, Event, Letter, Seal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Connections that are kept, each with one push at a time.
pub const CONNECTIONS: usize = 64;
/// The path of the receiver.
pub const PATH: &str = "/weixin/callback";
/// A ticket is good for twelve hours, and an older one is not taken for one that was made just now.
const MOST_TICKETS: usize = 11 * 3600;
const ANSWER: &[u8] = b"success";
/// How far a sender that is paced may be behind before it gives up a push: a stall is not made up for by a flood.
const LONGEST_DELAY: Duration = Duration::from_millis(200);

/// What is pushed.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Tickets, each newer than the one before: each is stored before it is answered.
    Ticket,
    /// Events of another InfoType: nothing is stored.
    Event,
}

/// What came of many pushes.
#[derive(Debug, Default)]
pub struct Report {
    /// How long each took that was answered.
    pub latencies: Vec<Duration>,
    /// How many were given up since the sender was behind.
    pub skipped: usize,
}

/// Seals `count` pushes for `appid`; the tickets among them are made a second apart, the last of them now.
///
/// # Errors
/// When they would not all be younger than a ticket may be.
pub fn seal(kind: Kind, count: usize, appid: &str) -> Result<Arc<[Vec<u8>]>> {
    let seal = Seal::new(CALLBACK_TOKEN, ENCODING_AES_KEY, appid)?;
    ensure!(count <= MOST_TICKETS, "at most {MOST_TICKETS} pushes");
    let now = Clock::system().now();
    let event = |nth| match kind {
        Kind::Ticket => Event::ticket(
            &format!("ticket@@@bench-{nth:032}"),
            now - Duration::from_secs((count - nth) as u64),
        ),
        Kind::Event => Event::other("updateauthorized", now),
    };
    Ok((0..count)
        .map(|nth| request(&seal.letter(&event(nth), now)))
        .collect())
}

fn request(letter: &Letter) -> Vec<u8> {
    let (query, body) = (letter.query(), letter.body());
    let head = format!(
        "POST {PATH}?{query} HTTP/1.1\r\nHost: bench\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// Sends all pushes as fast as they are answered; returns how long each took, and all of them together.
///
/// # Errors
/// When one is not answered `success`.
pub async fn flood(address: SocketAddr, pushes: &Arc<[Vec<u8>]>) -> Result<(Report, Duration)> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = JoinSet::new();
    let taken = Stopwatch::start();
    for _ in 0..CONNECTIONS {
        let (pushes, next) = (Arc::clone(pushes), Arc::clone(&next));
        senders.spawn(async move {
            let mut wire = Wire::connect(address).await?;
            let mut latencies = Vec::new();
            while let Some(push) = pushes.get(next.fetch_add(1, Ordering::Relaxed)) {
                latencies.push(wire.push(push).await?);
            }
            Ok(latencies)
        });
    }
    let latencies = gathered(senders).await?;
    let report = Report {
        latencies,
        skipped: 0,
    };
    Ok((report, taken.elapsed()))
}

/// Sends `per_second` of the pushes until `stop`, from the first on again when they run out.
///
/// # Errors
/// When one is not answered `success`.
pub async fn trickle(
    address: SocketAddr,
    pushes: Arc<[Vec<u8>]>,
    per_second: u64,
    stop: CancellationToken,
) -> Result<Report> {
    let skipped = Arc::new(AtomicUsize::new(0));
    let begun = Stopwatch::start();
    let mut senders = JoinSet::new();
    for lane in 0..CONNECTIONS {
        let (pushes, stop, skipped) = (Arc::clone(&pushes), stop.clone(), Arc::clone(&skipped));
        senders.spawn(async move {
            let mut wire = Wire::connect(address).await?;
            let mut latencies = Vec::new();
            for nth in (lane..).step_by(CONNECTIONS) {
                let due = Duration::from_secs_f64(nth as f64 / per_second as f64);
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(due.saturating_sub(begun.elapsed())) => {}
                }
                if begun.elapsed() > due + LONGEST_DELAY {
                    skipped.fetch_add(1, Ordering::Relaxed);
                } else {
                    latencies.push(wire.push(&pushes[nth % pushes.len()]).await?);
                }
            }
            Ok(latencies)
        });
    }
    let latencies = gathered(senders).await?;
    let skipped = skipped.load(Ordering::Relaxed);
    Ok(Report { latencies, skipped })
}

async fn gathered(senders: JoinSet<Result<Vec<Duration>>>) -> Result<Vec<Duration>> {
    let all: Result<Vec<_>> = senders.join_all().await.into_iter().collect();
    Ok(all?.concat())
}

/// A connection that is kept.
struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(1024),
        })
    }

    async fn push(&mut self, request: &[u8]) -> Result<Duration> {
        let taken = Stopwatch::start();
        self.stream.write_all(request).await?;
        self.buffer.clear();
        while !self.buffer.ends_with(ANSWER) {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            let said = || String::from_utf8_lossy(&self.buffer).into_owned();
            ensure!(read > 0, "the connection was closed after: {}", said());
            ensure!(self.buffer.len() < 1024, "not success: {}", said());
            let status = self.buffer.get(9..12).context("no status")?;
            ensure!(status == b"200", "not success: {}", said());
        }
        Ok(taken.elapsed())
    }
}
