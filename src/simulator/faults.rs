//! The faults that are switched on, and which of them hits a call.
//!
//! Whether a fault with a probability hits depends on the seed, the fault, the endpoint, the env and how many such calls
//! came before, not on the order among envs, so that a run with many requests at once can be repeated.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::Endpoint;
use super::fault::{Fault, Kind};

/// A call that a fault may hit.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Occasion<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) env: Option<&'a str>,
    /// How many calls of the same endpoint and env came before.
    pub(super) nth: u64,
}

impl Occasion<'_> {
    fn is_hit_by(&self, Numbered(number, fault): &Numbered, seed: u64) -> bool {
        fault.endpoint.is_none_or(|endpoint| endpoint == self.endpoint)
            && (fault.probability >= 1.0 || self.chance(seed, *number) < fault.probability)
    }

    /// From 0 to 1, always the same for the same call and fault. (Were it the same for all faults, the first of several
    /// with one probability would hit whatever any of them hits.)
    fn chance(&self, seed: u64, number: u64) -> f64 {
        let mut hasher = DefaultHasher::new();
        (seed, number, self).hash(&mut hasher);
        fastrand::Rng::with_seed(hasher.finish()).f64()
    }
}

/// The faults that are switched on, by env, so that thousands of envs with faults cost a call nothing.
#[derive(Debug, Default)]
pub(super) struct Faults {
    by_env: HashMap<Option<String>, Vec<Numbered>>,
    added: u64,
}

/// A fault, and how many were switched on before it.
#[derive(Debug)]
struct Numbered(u64, Fault);

impl Faults {
    /// Switches one on.
    pub(super) fn add(&mut self, fault: Fault) {
        let numbered = Numbered(self.added, fault.clone());
        self.added += 1;
        self.by_env.entry(fault.env).or_default().push(numbered);
    }

    /// Switches all off.
    pub(super) fn clear(&mut self) {
        self.by_env.clear();
    }

    /// The fault that hits a call, if any, counted down.
    pub(super) fn take(&mut self, call: &Occasion<'_>, seed: u64) -> Option<Fault> {
        if self.by_env.is_empty() {
            return None;
        }
        let own = call.env.map(|env| Some(env.to_owned()));
        own.iter()
            .chain([&None])
            .find_map(|key| take_from(self.by_env.get_mut(key)?, call, seed))
    }
}

fn take_from(faults: &mut Vec<Numbered>, call: &Occasion<'_>, seed: u64) -> Option<Fault> {
    let at = faults
        .iter()
        .position(|numbered| numbered.1.left != Some(0) && call.is_hit_by(numbered, seed))?;
    let hit = faults[at].1.clone();
    match faults[at].1.left.as_mut() {
        Some(1) => drop(faults.remove(at)),
        Some(left) => *left -= 1,
        None => {}
    }
    Some(hit)
}

/// Makes the answer's fields null, or about another env, as the fault says.
pub(super) fn distort(answer: &mut Value, kind: &Kind) {
    let Some(fields) = answer.as_object_mut() else {
        return;
    };
    for (_, value) in fields.iter_mut().filter(|(name, _)| !name.starts_with("err")) {
        match (kind, value.as_array_mut()) {
            (Kind::NullFields, Some(items)) => items.iter_mut().for_each(all_null),
            (Kind::NullFields, None) => *value = Value::Null,
            (Kind::WrongEnv, Some(items)) => items
                .iter_mut()
                .for_each(|item| item["env"] = "another-env".into()),
            _ => {}
        }
    }
}

fn all_null(item: &mut Value) {
    item.as_object_mut()
        .into_iter()
        .flatten()
        .for_each(|(_, value)| *value = Value::Null);
}
