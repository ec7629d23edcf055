//! What the contract promises of each answer, of the token and of the whole line, by the real daemon.

mod answers;
mod cancel;
mod clock;
mod gives_up;
mod guest;
mod line;
mod look;
mod order;
mod others;
mod plans;
mod pushed;
mod reload;
mod retention;
mod stop;
mod ticket;
mod token;
mod wire;

use std::time::Duration;

use crate::world::World;

/// A step of time that passes no wait unseen.
const SECOND: Duration = Duration::from_secs(1);

const UNFINISHED: &str = "SELECT count(*) FROM status WHERE finished_at IS NULL";

/// Names an environment by an errcode.
fn env_of(errcode: i64) -> String {
    format!("code{errcode}")
}

/// Backoff so long that a draw can't make it nothing: a clock that stands still then keeps a request waiting.
fn backoff_in_minutes(world: &mut World) {
    world.set("retry.initial_backoff", "30m");
    world.set("retry.max_backoff", "30m");
}
