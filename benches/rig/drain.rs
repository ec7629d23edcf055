//! A full queue, and how fast the daemon empties it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use staticstored::clock::Stopwatch;

use super::daemon::Daemon;
use super::database;

/// Calls in flight at once.
pub const IN_FLIGHT: u64 = 64;
const POLL: Duration = Duration::from_millis(20);
/// Without a call for so long, something is wrong.
const LONGEST_STANDSTILL: Duration = Duration::from_secs(10);

/// What the daemon does with each row.
#[derive(Clone, Copy, Debug)]
pub enum Job {
    /// A create, and no more is asked.
    Accepted,
    /// A create, and a describe that finds the website online.
    Confirmed,
}

impl Job {
    /// How many calls one row takes.
    pub fn calls(self) -> u64 {
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

/// Fills a queue in `directory`, lets the daemon empty it, and returns calls per second from the first call to the
/// last, and the daemon, which goes on. `settings` is more TOML.
///
/// # Errors
/// When rows stop being finished.
pub async fn calls_per_second(
    directory: &Path,
    base_url: &str,
    rows: u64,
    (job, settings): (Job, &str),
) -> Result<(f64, Daemon)> {
    let mut connection = database::create(&directory.join("queue.db")).await?;
    database::fill(&mut connection, rows, None).await?;
    let settings = format!(
        "api.max_in_flight = {IN_FLIGHT}\n{}\n{settings}\n",
        job.settings()
    );
    let daemon = Daemon::start(directory, base_url, &settings)?;
    let mut first: Option<(u64, Stopwatch)> = None;
    let (calls, mut last, mut standing) = (rows * job.calls(), 0, Stopwatch::start());
    while last < calls {
        tokio::time::sleep(POLL).await;
        let made = database::calls(&mut connection).await?;
        if made > last {
            (last, standing) = (made, Stopwatch::start());
            first.get_or_insert((made, standing));
        } else if standing.elapsed() > LONGEST_STANDSTILL {
            bail!("{last} of {calls} calls are made, and no more\n{}", daemon.log()?);
        }
    }
    let finished = database::finished(&mut connection).await?;
    ensure!(
        finished == rows,
        "{finished} of {rows} rows are finished\n{}",
        daemon.log()?
    );
    let Some((before, since)) = first else {
        bail!("no rows")
    };
    let taken = since.elapsed() - standing.elapsed();
    Ok(((calls - before) as f64 / taken.as_secs_f64(), daemon))
}
