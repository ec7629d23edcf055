//! The ledger: what was called and what came of it, kept call by call or only counted.

use crate::clock::Timestamp;

use super::Endpoint;

/// A call, as the platform saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// 1 for the first call after the start or after the ledger was cleared.
    pub sequence: u64,
    /// When the platform dealt with it.
    pub at: Timestamp,
    /// What was called.
    pub endpoint: Endpoint,
    /// The env in the body.
    pub env: Option<String>,
    /// Which token came with it, 1 for the first ever made; `None` for none or one that was never made.
    pub token: Option<u64>,
    /// The errcode in the answer, 0 for a success without one; `None` when the answer has none, or there is none.
    pub errcode: Option<i64>,
    /// Whether it changed the platform: a create accepted, a token made, a ticket made.
    pub took_effect: bool,
    /// Whether a whole answer was sent for it (a client that went away meanwhile is not noticed).
    pub answered: bool,
}

/// All calls.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    sequence: u64,
    calls: [u64; Endpoint::COUNT],
    exchanges: u64,
}

impl Ledger {
    /// Counts a call and, when told, keeps it.
    pub(super) fn append(&mut self, mut entry: Entry, keep: bool) {
        self.sequence += 1;
        self.calls[entry.endpoint.index()] += 1;
        if entry.took_effect && entry.endpoint == Endpoint::Exchange {
            self.exchanges += 1;
        }
        if keep {
            entry.sequence = self.sequence;
            self.entries.push(entry);
        }
    }

    /// The calls that were kept.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many calls an endpoint had.
    pub(super) fn calls(&self, endpoint: Endpoint) -> u64 {
        self.calls[endpoint.index()]
    }

    /// How many exchanges made a token.
    pub(super) fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
