//! staticstored opens the static websites of Weixin cloud environments and keeps the one token that takes.
//!
//! Two flows, one direction each; `docs/ARCHITECTURE.md` draws them:
//!
//! - a row in `queue` is claimed, its call is made, the answer is given a meaning, the meaning becomes an outcome,
//!   the outcome is settled in `queue`, `status` and `attempt`;
//! - a ticket becomes a token, in memory and in the cache file.

pub mod cli;
pub mod clock;
pub mod config;
pub mod credential;
pub mod outcome;
pub mod request;
pub mod simulator;
pub mod store;
pub mod weixin;
