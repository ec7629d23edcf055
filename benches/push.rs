//! How many pushes the receiver takes, against a server that does nothing (the floor), and what they cost a drain.
//!
//! The rate by itself says little on a machine that the pusher shares; pushes per second of the receiver's own CPU time
//! are what one core could do. A drain is measured beside pushes to the daemon and beside the same pushes to the floor,
//! which tells the receiver's share from that of the pusher. `cargo bench --bench push -- [PUSHES] [ROUNDS] [ROWS]`

#![allow(clippy::print_stdout, reason = "a benchmark's report")]

mod rig;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use rig::daemon::{APPID, Daemon};
use rig::drain::Job;
use rig::floor::Floor;
use rig::nginx::Nginx;
use rig::pusher::Kind;
use rig::summary::{median, milliseconds, quantile};
use rig::{database, drain, floor, number, pusher};
use staticstored::simulator::push::{CALLBACK_TOKEN, ENCODING_AES_KEY};
use tokio_util::sync::CancellationToken;

/// Pushes a second beside a drain.
const RATES: [u64; 2] = [500, 2_000];
/// Pushes beside a drain; they last longer than it does, for a ticket that comes again is not stored again.
const SEALED: usize = 30_000;

#[tokio::main]
async fn main() -> Result<()> {
    floor::serve_if_asked().await?;
    let (pushes, rounds, rows) = (number(0, 20_000), number(1, 3), number(2, 40_000));
    let nginx = Nginx::start()?;
    for kind in [Kind::Event, Kind::Ticket] {
        rate(&nginx, kind, usize::try_from(pushes)?, rounds).await?;
    }
    for rate in RATES {
        beside_a_drain(&nginx, rate, rounds, rows).await?;
    }
    Ok(())
}

/// Floor and receiver in turns, each as fast as it goes.
async fn rate(nginx: &Nginx, kind: Kind, count: usize, rounds: u64) -> Result<()> {
    let pushes = pusher::seal(kind, count, APPID)?;
    let (mut floors, mut receivers) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let floor = Floor::start()?;
        let before = floor.cpu_time()?;
        let flood = pusher::flood(floor.address, &pushes).await?;
        floors.push(told("floor", kind, flood, floor.cpu_time()? - before));

        let directory = tempfile::tempdir()?;
        let (address, settings) = callback(directory.path())?;
        database::create(&directory.path().join("queue.db")).await?;
        let daemon = Daemon::start(directory.path(), &nginx.base_url(), &settings)?;
        let before = daemon.cpu_time()?;
        let flood = pusher::flood(address, &pushes).await?;
        receivers.push(told("receiver", kind, flood, daemon.cpu_time()? - before));
        daemon.stop()?;
    }
    println!(
        "{kind:?}: receiver {:.0}, floor {:.0} pushes per second of one core's time (medians of {rounds} rounds of {count})",
        median(&mut receivers),
        median(&mut floors)
    );
    Ok(())
}

/// Prints a round and returns pushes per second of CPU time.
fn told(who: &str, kind: Kind, (mut report, taken): (pusher::Report, Duration), used: Duration) -> f64 {
    let count = report.latencies.len() as f64;
    let per_cpu_second = count / used.as_secs_f64();
    println!(
        "{kind:?}, {who}: {:.0} pushes/s, {per_cpu_second:.0} per CPU second, p50 {:.2} ms, p99 {:.2} ms",
        count / taken.as_secs_f64(),
        milliseconds(quantile(&mut report.latencies, 0.5)),
        milliseconds(quantile(&mut report.latencies, 0.99)),
    );
    per_cpu_second
}

/// A drain beside nothing, beside pushes to the floor, and beside pushes to the daemon, in turns.
async fn beside_a_drain(nginx: &Nginx, rate: u64, rounds: u64, rows: u64) -> Result<()> {
    let floor = Floor::start()?;
    let (mut alone, mut beside_floor, mut beside_receiver) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(drained(nginx, rows, Pushes::None).await?);
        beside_floor.push(drained(nginx, rows, Pushes::To(floor.address, rate)).await?);
        beside_receiver.push(drained(nginx, rows, Pushes::ToTheDaemon(rate)).await?);
    }
    let (alone, beside_floor) = (median(&mut alone), median(&mut beside_floor));
    let beside_receiver = median(&mut beside_receiver);
    println!(
        "drain: alone {alone:.0} calls/s; beside {rate} pushes/s to the floor {beside_floor:.0}, to the daemon \
         {beside_receiver:.0} ({:+.1} %; medians of {rounds} rounds of {rows} rows)",
        100.0 * (beside_receiver / beside_floor - 1.0)
    );
    Ok(())
}

/// Who gets pushes during a drain.
#[derive(Clone, Copy, Debug)]
enum Pushes {
    None,
    To(SocketAddr, u64),
    ToTheDaemon(u64),
}

async fn drained(nginx: &Nginx, rows: u64, pushes: Pushes) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let (address, settings) = callback(directory.path())?;
    let base_url = nginx.base_url();
    let drain = drain::calls_per_second(
        directory.path(),
        &base_url,
        rows,
        (Job::Accepted, settings.as_str()),
    );
    let (address, rate) = match pushes {
        Pushes::None => {
            let (drained, daemon) = drain.await?;
            daemon.stop()?;
            return Ok(drained);
        }
        Pushes::To(address, rate) => (address, rate),
        Pushes::ToTheDaemon(rate) => (address, rate),
    };
    let stop = CancellationToken::new();
    let sealed = pusher::seal(Kind::Ticket, SEALED, APPID)?;
    let trickle = async {
        wait_until_it_listens(address).await;
        pusher::trickle(address, sealed, rate, stop.clone()).await
    };
    let drain = async {
        let drained = drain.await;
        stop.cancel();
        drained
    };
    // The daemon goes on until nobody pushes any more.
    let (drained, report) = tokio::join!(drain, trickle);
    let (mut report, (drained, daemon)) = (report?, drained?);
    daemon.stop()?;
    println!(
        "{pushes:?}: {:.0} calls/s; {} pushes, p50 {:.2} ms, p99 {:.2} ms, {} given up",
        drained,
        report.latencies.len(),
        milliseconds(quantile(&mut report.latencies, 0.5)),
        milliseconds(quantile(&mut report.latencies, 0.99)),
        report.skipped
    );
    Ok(drained)
}

async fn wait_until_it_listens(address: SocketAddr) {
    while tokio::net::TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Settings that turn the receiver on, with keys of its own.
fn callback(directory: &Path) -> Result<(SocketAddr, String)> {
    let address = SocketAddr::from(([127, 0, 0, 1], rig::free_port()?));
    let mut settings = format!("callback.listen = \"{address}\"\n");
    for (key, content) in [("token_file", CALLBACK_TOKEN), ("aes_key_file", ENCODING_AES_KEY)] {
        let file = directory.join(key);
        fs::write(&file, content)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        settings.push_str(&format!("callback.{key} = \"{}\"\n", file.display()));
    }
    Ok((address, settings))
}
