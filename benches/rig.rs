//! What the benchmarks share: a Weixin that costs next to nothing, the daemon as its operator runs it, the bare
//! client it is measured against.
//!
//! Each benchmark uses a part of it, hence the `allow`.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every benchmark compiles all of this and uses a part"
)]

pub mod bare;
pub mod daemon;
pub mod database;
pub mod drain;
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

/// A port of 127.0.0.1 that was free a moment ago.
///
/// # Errors
/// When no port is free.
pub fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}
