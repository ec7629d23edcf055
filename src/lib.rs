//! staticstored opens the static websites of Weixin cloud environments and keeps the one token that takes.
//!
//! Two flows, one direction each; `docs/ARCHITECTURE.md` draws them:
//!
//! - a row in `queue` is claimed, its call is made, the answer is given a meaning, the meaning becomes an outcome,
//!   the outcome is settled in `queue`, `status` and `attempt`;
//! - a ticket becomes a token, in memory and in the cache file.

// The vocabulary, pure.
pub mod clock;
pub mod credential;
pub mod outcome;
pub mod pulse;
pub mod request;
pub mod transport;

// The adapters; none knows another.
pub mod callback;
pub mod line;
pub mod owner;
pub mod server;
pub mod store;
pub mod wake;
pub mod weixin;

// The flows.
pub mod housekeeping;
pub mod provisioner;
pub mod reception;
pub mod share;
pub mod token;

// The service.
pub mod config;
pub mod daemon;

// The edge.
pub mod cli;
pub mod observability;
pub mod simulator;
