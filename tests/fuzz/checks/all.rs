//! What holds for all bytes that may come: for the fuzzer, and in every run of the tests for the seeds (tests/it/fuzz.rs).
//!
//! That nothing panics is the least of it. Whatever somebody sends is refused or read as what it is, and what is kept of it
//! fits on one line of a terminal.

#[path = "answers.rs"]
mod answers;
#[path = "configuration.rs"]
mod configuration;
#[path = "pushes.rs"]
mod pushes;

pub use answers::{answer, errmsg, owner};
pub use configuration::config;
pub use pushes::push;

/// One check.
pub type Check = fn(&[u8]);

/// The targets, by name.
pub const ALL: [(&str, Check); 5] = [
    ("answer", answer),
    ("errmsg", errmsg),
    ("owner", owner),
    ("push", push),
    ("config", config),
];

/// Whether a text fits on one line of a terminal, and leaves the next ones alone.
fn is_a_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
