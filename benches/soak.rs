//! A long day: four programs insert all the while, a million environments are opened, three calls in a hundred fail.
//!
//! No feeder may meet SQLITE_BUSY with a `busy_timeout` of a second, nothing may be lost or opened twice, and
//! memory, file descriptors and the -wal file must stay as they were at the beginning.
//! `cargo bench --bench soak -- [ENVIRONMENTS] [PAUSE]`

#![allow(clippy::print_stdout, reason = "a benchmark's report")]

mod rig;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use rig::daemon::{APPID, Daemon, SECRET};
use rig::{database, feeder, number};
use sqlx::Connection as _;
use staticstored::clock::Stopwatch;
use staticstored::simulator::{Endpoint, Fault, Options, Simulator};

const FEEDERS: u64 = 4;
/// Of each kind of fault, on each call: six make three in a hundred.
const SHARE: f64 = 0.005;
const IN_FLIGHT: u32 = 64;
/// Between two looks at the daemon.
const LOOK: Duration = Duration::from_secs(1);
/// How many lines the report has.
const LINES: u64 = 10;

#[tokio::main]
async fn main() -> Result<()> {
    if let Some(task) = feeder::Task::from_arguments() {
        return task.run().await;
    }
    let (envs, pause) = (number(0, 1_000_000) / FEEDERS * FEEDERS, number(1, 50));
    println!("{FEEDERS} feeders that pause for up to {pause} ms, {envs} environments, {IN_FLIGHT} in flight");
    println!("feeders alone: {}", alone(pause).await?);
    let simulator = weixin().await?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("queue.db");
    let mut connection = database::create(&path).await?;
    let settings = format!("api.max_in_flight = {IN_FLIGHT}");
    let daemon = Daemon::start(directory.path(), &simulator.url(), &settings)?;

    let taken = Stopwatch::start();
    let feeders = feeder::start(FEEDERS, &path, envs, pause)?;
    watch(&daemon, &simulator, &path, envs).await?;
    let report = feeder::end(feeders)?;
    while database::queued(&mut connection).await? > 0 {
        tokio::time::sleep(LOOK).await;
    }
    let seconds = taken.elapsed().as_secs_f64();
    daemon.stop()?;
    println!("feeders: {report}");
    println!("{seconds:.0} s: {:.0} environments/s", envs as f64 / seconds);
    compare_books(&mut connection, &simulator, envs).await?;
    ensure!(report.busy == 0, "feeders met SQLITE_BUSY");
    Ok(())
}

/// What the feeders do to each other.
async fn alone(pause: u64) -> Result<feeder::Report> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("queue.db");
    database::create(&path).await?.close().await?;
    feeder::end(feeder::start(FEEDERS, &path, feeder::BACKLOG, pause)?)
}

/// A Weixin that opens at once and fails now and then, before and after the effect.
async fn weixin() -> Result<Simulator> {
    let simulator = Simulator::start(Options {
        ticket: database::TICKET.to_owned(),
        appid: APPID.to_owned(),
        appsecret: SECRET.to_owned(),
        detailed_ledger: false,
        ..Options::default()
    })
    .await?;
    for endpoint in [Endpoint::Create, Endpoint::Describe] {
        let on = || Fault::on(endpoint).probability(SHARE);
        for fault in [
            on().errcode(-1, "system error"),
            on().errcode(-1, "system error").after_effect(),
            on().cut(),
            on().cut().after_effect(),
            on().http(502),
            on().no_json().after_effect(),
        ] {
            simulator.fault(fault);
        }
    }
    Ok(simulator)
}

/// Looks at the daemon until nearly all is done; a line for each tenth, with the most that was seen in it.
async fn watch(daemon: &Daemon, simulator: &Simulator, path: &Path, envs: u64) -> Result<()> {
    println!("  created   resident  descriptors  -wal      database");
    let wal = path.with_extension("db-wal");
    let mut most = (0.0_f64, 0, 0.0_f64);
    let mut line = 1;
    while line <= LINES {
        tokio::time::sleep(LOOK).await;
        let (resident, _) = daemon.memory()?;
        most.0 = most.0.max(resident);
        most.1 = most.1.max(daemon.descriptors()?);
        most.2 = most.2.max(mebibytes(&wal));
        let created = simulator.calls(Endpoint::Create);
        if created >= envs * line / LINES {
            println!(
                "{created:>9}  {:>5.1} MiB  {:>11}  {:>4.1} MiB  {:>4.0} MiB",
                most.0,
                most.1,
                most.2,
                mebibytes(path)
            );
            most = (0.0, 0, 0.0);
            line += 1;
        }
    }
    Ok(())
}

fn mebibytes(file: &Path) -> f64 {
    std::fs::metadata(file).map_or(0.0, |of| of.len() as f64 / 1024.0 / 1024.0)
}

async fn compare_books(
    connection: &mut sqlx::SqliteConnection,
    simulator: &Simulator,
    envs: u64,
) -> Result<()> {
    let online: i64 = sqlx::query_scalar("SELECT count(*) FROM status WHERE state = 'online'")
        .fetch_one(&mut *connection)
        .await?;
    let wrong = (0..envs)
        .filter(|number| simulator.effective_creates(&database::env(*number)) != 1)
        .count();
    let sound: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut *connection)
        .await?;
    println!("{online} online, {wrong} not created exactly once, integrity_check {sound}");
    ensure!(
        u64::try_from(online)? == envs && wrong == 0 && sound == "ok",
        "the books do not agree"
    );
    Ok(())
}
