//! How fast a full queue empties, against the bare client's calls per second (the floor).
//!
//! Both make the same number of calls to the same nginx, in turns, so that what the machine does besides meets both.
//! Prints calls per second and the ratio. `cargo bench --bench drain -- [CALLS] [ROUNDS]`

#![allow(clippy::print_stdout, reason = "a benchmark's report")]

mod rig;

use std::time::Duration;

use anyhow::{Result, bail};
use rig::daemon::Daemon;
use rig::nginx::Nginx;
use rig::summary::{self, microseconds};
use rig::{bare, database, number};
use staticstored::clock::Stopwatch;

const IN_FLIGHT: u64 = 64;
const POLL: Duration = Duration::from_millis(20);
/// Without a row finished for so long, something is wrong.
const LONGEST_STANDSTILL: Duration = Duration::from_secs(10);

/// What the daemon does with each row.
#[derive(Clone, Copy, Debug)]
enum Job {
    /// A create, and no more is asked.
    Accepted,
    /// A create, and a describe that finds the website online.
    Confirmed,
}

impl Job {
    fn calls(self) -> u64 {
        match self {
            Self::Accepted => 1,
            Self::Confirmed => 2,
        }
    }

    fn settings(self) -> &'static str {
        match self {
            Self::Accepted => "confirm.enabled = false",
            Self::Confirmed => "confirm.initial_interval = \"1ms\"\nconfirm.max_interval = \"1ms\"",
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let (calls, rounds) = (number(0, 20_000), number(1, 3));
    let nginx = Nginx::start()?;
    for job in [Job::Accepted, Job::Confirmed] {
        let (mut floors, mut drains) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let before = rig::cpu_time("self")?;
            let floor = bare::calls_per_second(&nginx.base_url(), calls, IN_FLIGHT).await?;
            let floor_cpu = (rig::cpu_time("self")? - before) / u32::try_from(calls)?;
            let (drain, drain_cpu) = drained_per_second(&nginx.base_url(), calls / job.calls(), job).await?;
            println!(
                "{job:?}: floor {floor:.0} calls/s, {:.1} us of CPU each; daemon {drain:.0} calls/s, {:.1} us",
                microseconds(floor_cpu),
                microseconds(drain_cpu)
            );
            floors.push(floor);
            drains.push(drain);
        }
        let ratio = summary::median(&mut drains) / summary::median(&mut floors);
        println!(
            "{job:?}: daemon / floor {ratio:.2} (medians of {rounds} rounds of {calls} calls, {IN_FLIGHT} in flight)"
        );
    }
    Ok(())
}

/// Fills a queue, lets the daemon empty it, and returns calls per second from the first row finished to the last, and the
/// CPU time of a call, from start to end.
async fn drained_per_second(base_url: &str, rows: u64, job: Job) -> Result<(f64, Duration)> {
    let directory = tempfile::tempdir()?;
    let mut connection = database::create(&directory.path().join("queue.db")).await?;
    database::fill(&mut connection, rows, None).await?;
    let settings = format!("api.max_in_flight = {IN_FLIGHT}\n{}\n", job.settings());
    let daemon = Daemon::start(directory.path(), base_url, &settings)?;
    let mut first: Option<(u64, Stopwatch)> = None;
    let (mut last, mut standing) = (0, Stopwatch::start());
    while last < rows {
        tokio::time::sleep(POLL).await;
        let finished = database::finished(&mut connection).await?;
        if finished > last {
            (last, standing) = (finished, Stopwatch::start());
            first.get_or_insert((finished, standing));
        } else if standing.elapsed() > LONGEST_STANDSTILL {
            bail!(
                "{last} of {rows} rows are finished, and no more\n{}",
                daemon.log()?
            );
        }
    }
    let Some((before, since)) = first else {
        bail!("no rows")
    };
    let taken = since.elapsed() - standing.elapsed();
    let cpu = daemon.cpu_time()? / u32::try_from(rows * job.calls())?;
    daemon.stop()?;
    Ok((((rows - before) * job.calls()) as f64 / taken.as_secs_f64(), cpu))
}
