//! What this process holds: claims that are alive, by a clock that nobody sets.
//!
//! A lease in the database ends by the wall clock. A machine that was suspended, or whose time was set, ends all of
//! them at once, while calls are still on their way; a look before such a call arrives would find nothing and lead to
//! a second create. So no row of an environment is made ready whose claim is alive here.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Stopwatch;

/// The claims that are alive, by their environments.
#[derive(Debug, Default)]
pub(in crate::store) struct Held(HashMap<String, Hold>);

#[derive(Debug)]
struct Hold {
    claim: i64,
    since: Stopwatch,
    lease: Duration,
}

impl Held {
    /// A claim was made; where it is rolled back after all, it is let go.
    pub(in crate::store) fn take(&mut self, env: &str, claim: i64, lease: Duration) {
        let since = Stopwatch::start();
        self.0.insert(env.to_owned(), Hold { claim, since, lease });
    }

    /// A claim came to its end, in whatever way.
    pub(in crate::store) fn let_go(&mut self, env: &str, claim: i64) {
        if self.0.get(env).is_some_and(|hold| hold.claim == claim) {
            self.0.remove(env);
        }
    }

    /// The environments, as a JSON array; those whose lease is over by real time, too, are held no longer.
    pub(in crate::store) fn envs(&mut self) -> String {
        self.0.retain(|_, hold| hold.since.elapsed() < hold.lease);
        let envs: Vec<&str> = self.0.keys().map(String::as_str).collect();
        serde_json::Value::from(envs).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn an_environment_is_held_by_its_latest_claim_until_that_comes_to_its_end() {
        let mut held = Held::default();
        held.take("a", 1, LONG);
        held.take("a", 2, LONG);
        held.let_go("a", 1);
        assert_eq!(held.envs(), r#"["a"]"#);
        held.let_go("a", 2);
        assert_eq!(held.envs(), "[]");
    }

    #[test]
    fn a_claim_that_never_comes_to_its_end_holds_no_longer_than_its_lease() {
        let mut held = Held::default();
        held.take("a", 1, Duration::ZERO);
        assert_eq!(held.envs(), "[]");
    }
}
