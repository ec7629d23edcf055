//! One test binary.
#![expect(clippy::disallowed_methods, reason = "a test may spawn")]
#![expect(unreachable_pub, reason = "nobody imports a test binary")]

mod cli;
mod main_job;
mod simulator;
mod world;
