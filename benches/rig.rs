//! What the benchmarks share: a Weixin that costs next to nothing, the daemon as its operator runs it, the bare
//! client it is measured against.
//!
//! Each benchmark uses a part of it, hence the `allow`.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every benchmark compiles all of this and uses a part"
)]

use std::time::Duration;

use anyhow::{Context, Result};

pub mod bare;
pub mod daemon;
pub mod database;
pub mod drain;
pub mod feeder;
pub mod floor;
pub mod nginx;
pub mod pusher;
pub mod summary;
pub mod witness;

/// The number at `place` among the arguments that are numbers (`cargo bench` adds flags of its own), or `default`.
pub fn number(place: usize, default: u64) -> u64 {
    std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .nth(place)
        .unwrap_or(default)
}

/// What /proc counts CPU time in: USER_HZ, 100 on every Linux architecture that Rust's `std` runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The CPU time that a process has used so far; `self` is this one.
///
/// # Errors
/// When /proc can't be read.
pub fn cpu_time(pid: &str) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name stands in parentheses and may hold anything; utime and stime are the 12th and 13th after it.
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat without a name")?;
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<f64>)
        .sum::<Result<f64, _>>()?;
    Ok(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
}

/// A port of 127.0.0.1 that was free a moment ago.
///
/// # Errors
/// When no port is free.
pub fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}
