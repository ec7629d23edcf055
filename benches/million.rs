//! What a million rows cost: memory, the time to be ready, the time of a claim; waiting, ready, and finished ones.
//!
//! Everything should cost what it costs with a thousand. `cargo bench --bench million -- [FEW] [MANY]`

#![allow(clippy::print_stdout, reason = "a benchmark's report")]

mod rig;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use rig::daemon::Daemon;
use rig::nginx::Nginx;
use rig::summary::{milliseconds, quantile};
use rig::{database, number};
use staticstored::clock::{Clock, Stopwatch, after};
use staticstored::pulse::Pulse;
use staticstored::request::Call;
use staticstored::store::{Store, Terms};
use tokio_util::task::TaskTracker;

const CLAIMS: usize = 50;
const CLAIM_SIZE: usize = 16;
/// Longer than the writer spaces commits.
const PAUSE: Duration = Duration::from_millis(5);
const LEASE: Duration = Duration::from_secs(60);
/// How long the daemon works before its memory is read: its first statistics are made by then.
const SETTLING: Duration = Duration::from_secs(3);

/// What the rows are.
#[derive(Clone, Copy, Debug)]
enum Rows {
    /// Requested, to be tried in years.
    Waiting,
    /// Requested, to be tried at once; the service is paused.
    Ready,
    /// Finished: a row in `status` alone.
    Finished,
}

#[tokio::main]
async fn main() -> Result<()> {
    let nginx = Nginx::start()?;
    for rows in [Rows::Waiting, Rows::Ready, Rows::Finished] {
        for count in [number(0, 1_000), number(1, 1_000_000)] {
            let directory = tempfile::tempdir()?;
            fill(&directory.path().join("queue.db"), rows, count).await?;
            println!("{count} rows, {rows:?}");
            run(directory.path(), &nginx.base_url()).await?;
            claims(&directory.path().join("queue.db"), rows).await?;
        }
    }
    Ok(())
}

async fn fill(path: &Path, rows: Rows, count: u64) -> Result<()> {
    let mut connection = database::create(path).await?;
    let not_before = matches!(rows, Rows::Waiting).then_some("2099-01-01");
    let taken = Stopwatch::start();
    database::fill(&mut connection, count, not_before).await?;
    println!(
        "  inserted: {:.0} rows/s",
        count as f64 / taken.elapsed().as_secs_f64()
    );
    if matches!(rows, Rows::Finished) {
        database::execute(&mut connection, "DELETE FROM queue").await?;
    }
    database::execute(&mut connection, "UPDATE service SET paused = 1").await
}

async fn run(directory: &Path, base_url: &str) -> Result<()> {
    let daemon = Daemon::start(directory, base_url, "")?;
    println!("  ready after {:.1} ms", milliseconds(daemon.ready_after));
    tokio::time::sleep(SETTLING).await;
    let (now, highest) = daemon.memory()?;
    println!("  resident {now:.1} MiB, at most {highest:.1} MiB");
    println!("  CPU {:.0} ms since its start", milliseconds(daemon.cpu_time()?));
    daemon.stop()
}

/// Claims from the same database as the daemon does; a few rows are always ready.
async fn claims(path: &Path, rows: Rows) -> Result<()> {
    let mut connection = database::connect(path).await?;
    for at in 0..CLAIMS * CLAIM_SIZE {
        let sql = format!("INSERT INTO queue (env, priority) VALUES ('ready-{at}', 1)");
        database::execute(&mut connection, &sql).await?;
    }
    let (clock, tasks) = (Clock::system(), TaskTracker::new());
    let store = Store::open(path, &Pulse::default(), &tasks).await?;
    let mut taken = Vec::new();
    for _ in 0..CLAIMS {
        // The writer spaces commits that come close together; what is measured is the claim.
        tokio::time::sleep(PAUSE).await;
        let now = clock.now();
        let claim = Stopwatch::start();
        let terms = Terms {
            now,
            lease_until: after(now, LEASE),
            make_ready: true,
        };
        let claimed = store.claim(Call::Create, CLAIM_SIZE, terms).await?;
        taken.push(claim.elapsed());
        ensure!(
            claimed.requests.len() == CLAIM_SIZE,
            "{rows:?}: {} claimed",
            claimed.requests.len()
        );
    }
    let (p50, p99) = (quantile(&mut taken, 0.5), quantile(&mut taken, 0.99));
    println!(
        "  claim of {CLAIM_SIZE}: p50 {:.2} ms, p99 {:.2} ms",
        milliseconds(p50),
        milliseconds(p99)
    );
    drop(store);
    tasks.close();
    tasks.wait().await;
    Ok(())
}
