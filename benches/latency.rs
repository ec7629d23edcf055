//! How long an INSERT into an idle queue waits for its request to be on the wire, and what idling costs.
//!
//! The INSERT comes from another process than the daemon, as a user's would; the request is seen by the benchmark itself.
//! Prints the median and the 99th percentile, and the daemon's share of one CPU while nothing happens.
//! `cargo bench --bench latency -- [INSERTS] [IDLE_SECONDS]`

#![allow(clippy::print_stdout, reason = "a benchmark's report")]

mod rig;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rig::daemon::Daemon;
use rig::summary::{milliseconds, quantile};
use rig::witness::Witness;
use rig::{database, number};
use sqlx::sqlite::SqliteConnection;
use staticstored::clock::Stopwatch;

/// Between two INSERTs, in milliseconds: at random, so that no beat of the daemon's own is met or missed each time.
const SPACING: std::ops::RangeInclusive<u64> = 20..=60;
const LONGEST_WAIT: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<()> {
    let (inserts, idle) = (number(0, 300), Duration::from_secs(number(1, 20)));
    let directory = tempfile::tempdir()?;
    let mut connection = database::create(&directory.path().join("queue.db")).await?;
    let mut witness = Witness::start().await?;
    let daemon = Daemon::start(directory.path(), &witness.base_url(), "confirm.enabled = false\n")?;
    // The first one also waits for the token.
    latency(&mut connection, &mut witness, "warm-up").await?;

    let (mut whole, mut committed) = (Vec::new(), Vec::new());
    for at in 0..inserts {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(SPACING))).await;
        let (from_start, from_commit) = latency(&mut connection, &mut witness, &database::env(at)).await?;
        whole.push(from_start);
        committed.push(from_commit);
    }
    for (name, all) in [("INSERT begun", &mut whole), ("INSERT committed", &mut committed)] {
        let (p50, p99) = (quantile(all, 0.5), quantile(all, 0.99));
        println!(
            "{name} to request: p50 {:.2} ms, p99 {:.2} ms ({inserts} inserts)",
            milliseconds(p50),
            milliseconds(p99)
        );
    }
    println!(
        "idle: {:.2} % of one CPU over {} s",
        idle_share(&daemon, idle).await?,
        idle.as_secs()
    );
    daemon.stop()
}

/// Inserts `env`; returns the time to its request from before the INSERT and from after its commit (zero when the
/// request was there before the INSERT had returned).
async fn latency(
    connection: &mut SqliteConnection,
    witness: &mut Witness,
    env: &str,
) -> Result<(Duration, Duration)> {
    let begun = Stopwatch::start();
    sqlx::query("INSERT INTO queue (env) VALUES (?)")
        .bind(env)
        .execute(connection)
        .await?;
    let insert = begun.elapsed();
    let (seen, arrived) = tokio::time::timeout(LONGEST_WAIT, witness.next())
        .await
        .context("no request came")??;
    let whole = begun.elapsed() - arrived.elapsed();
    ensure!(seen == env, "{seen} came instead of {env}");
    Ok((whole, whole.saturating_sub(insert)))
}

async fn idle_share(daemon: &Daemon, idle: Duration) -> Result<f64> {
    let before = daemon.cpu_time()?;
    let taken = Stopwatch::start();
    tokio::time::sleep(idle).await;
    let used = daemon.cpu_time()? - before;
    Ok(100.0 * used.as_secs_f64() / taken.elapsed().as_secs_f64())
}
