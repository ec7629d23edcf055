//! How fast a full queue empties, against the bare client's calls per second (the floor).
//!
//! Both make the same number of calls to the same nginx, in turns, so that what the machine does besides meets both.
//! Prints calls per second and the ratio. `cargo bench --bench drain -- [CALLS] [ROUNDS]`

#![allow(clippy::print_stdout, reason = "a benchmark's report")]

mod rig;

use anyhow::Result;
use rig::drain::{IN_FLIGHT, Job};
use rig::nginx::Nginx;
use rig::summary::microseconds;
use rig::{bare, drain, number, summary};

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
            let directory = tempfile::tempdir()?;
            let rows = calls / job.calls();
            let (drain, daemon) =
                drain::calls_per_second(directory.path(), &nginx.base_url(), rows, (job, "")).await?;
            let drain_cpu = daemon.cpu_time()? / u32::try_from(rows * job.calls())?;
            daemon.stop()?;
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
