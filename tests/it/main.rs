//! One test binary.
#![expect(clippy::disallowed_methods, reason = "a test may spawn")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(unreachable_pub, reason = "nobody imports a test binary")]

mod binary;
mod cli;
mod docs;
mod flows;
mod fuzz;
mod house;
mod http;
mod main_job;
mod printed;
mod programs;
mod reception;
mod schema;
mod seal;
mod server;
mod simulator;
mod weeks;
mod world;
