//! How many events of each type have come.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::callback::InfoType;

/// The most types that are counted each by itself.
const MOST_TYPES: usize = 100;

#[derive(Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    by_type: BTreeMap<InfoType, u64>,
    /// Of all further types.
    others: u64,
}

impl Tally {
    /// Counts one more; answers how many of its type there were.
    pub(super) fn count(&self, info_type: &InfoType) -> u64 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = counts.by_type.len() >= MOST_TYPES;
        let count = match counts.by_type.get_mut(info_type) {
            Some(count) => count,
            None if is_full => &mut counts.others,
            None => counts.by_type.entry(info_type.clone()).or_default(),
        };
        *count += 1;
        *count
    }
}
