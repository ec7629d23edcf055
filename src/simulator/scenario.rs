//! Envs whose names say what goes wrong with them, for `demo` and for `simulate`: `shop-7--cut-after-effect`.
//!
//! The name carries the fault so that whoever reads a status table sees what happened, and so that nothing needs to be
//! told to a simulator that runs in another process.

mod kinds;

use std::time::Duration;

use super::stores::Course;
use super::{Endpoint, Fault, Opening};

pub use kinds::KINDS;

/// What stands between an env's own name and its kind's.
const SEPARATOR: &str = "--";

/// A way in which an env goes wrong, or not.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name, the end of an env's.
    pub name: &'static str,
    /// One sentence for people.
    pub about: &'static str,
    /// Where the request must end.
    pub ending: Ending,
    /// The errcode that a failed request must end with, where that is given.
    pub errcode: Option<i64>,
    /// Whether `demo` has it.
    pub share: Share,
    faults: fn(Fault, Fault) -> Vec<Fault>,
    pub(super) opening: Option<Opening>,
    pub(super) course: Option<&'static Course<'static>>,
}

/// The state in which a request must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The site is open.
    Online,
    /// It will not open without somebody's help.
    Failed,
}

/// How many of a demo's envs are of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// As many as of the others.
    Even,
    /// One, because it hits all the other envs too.
    One,
    /// None: too slow, or too hard on all the others.
    None,
}

/// An env of a demo.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, which ends in its kind's.
    pub env: String,
    /// What goes wrong with it.
    pub kind: &'static Kind,
}

/// Makes `count` envs: every second one has nothing wrong with it, the others are of every kind in turn.
///
/// They need [`super::Options::faults_by_suffix`], or [`super::Simulator::arrange`] for each.
#[must_use]
pub fn demo(count: usize) -> Vec<Case> {
    let of = |share| KINDS.iter().filter(move |kind| kind.share == share);
    // What hits everybody comes when the first websites are open: somebody watches.
    let even = || of(Share::Even).skip(1);
    let mut wrong = even().chain(of(Share::One)).chain(even().cycle());
    (1..=count)
        .map(|number| {
            let kind = if number % 2 == 0 {
                wrong.next().unwrap_or(&KINDS[0])
            } else {
                &KINDS[0]
            };
            Case {
                env: format!("demo-{number:03}{SEPARATOR}{}", kind.name),
                kind,
            }
        })
        .collect()
}

/// The kind with a name.
#[must_use]
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The kind that an env's name ends in.
#[must_use]
pub fn kind_of(env: &str) -> Option<&'static Kind> {
    kind(env.rsplit_once(SEPARATOR)?.1)
}

impl Kind {
    /// The faults that an env of this kind meets.
    #[must_use]
    pub fn faults(&self, env: &str) -> Vec<Fault> {
        let [create, describe] =
            [Endpoint::Create, Endpoint::Describe].map(|endpoint| Fault::on(endpoint).env(env));
        (self.faults)(create, describe)
    }

    const fn online(
        name: &'static str,
        about: &'static str,
        faults: fn(create: Fault, describe: Fault) -> Vec<Fault>,
    ) -> Self {
        let (ending, share) = (Ending::Online, Share::Even);
        Self {
            name,
            about,
            ending,
            errcode: None,
            share,
            faults,
            opening: None,
            course: None,
        }
    }

    const fn failed(
        name: &'static str,
        about: &'static str,
        faults: fn(create: Fault, describe: Fault) -> Vec<Fault>,
    ) -> Self {
        Self {
            ending: Ending::Failed,
            ..Self::online(name, about, faults)
        }
    }

    const fn errcode(self, errcode: i64) -> Self {
        Self {
            errcode: Some(errcode),
            ..self
        }
    }

    const fn share(self, share: Share) -> Self {
        Self { share, ..self }
    }

    const fn opening(self, opening: Opening) -> Self {
        Self {
            opening: Some(opening),
            ..self
        }
    }

    const fn course(self, course: &'static Course<'static>) -> Self {
        Self {
            course: Some(course),
            ..self
        }
    }
}

/// So many seconds.
const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
