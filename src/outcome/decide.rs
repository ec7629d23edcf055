//! The decision itself: one function for each thing that an answer can mean.

use std::time::Duration;

use super::{Backoff, Effect, Final, Meaning, Next, Open, Outcome, Site, StoreRecord, StoreState, Word};
use crate::clock::{Timestamp, after, between};
use crate::request::{Call, Progress, Request};

/// How often an unknown code is met in a row before the request fails with it.
pub const MOST_UNKNOWNS: u32 = 3;
/// How long a request rests after it met a fault of the whole line, so that another one probes next.
pub const LINE_REST: Duration = Duration::from_secs(10);
/// The least number of tries before a request is given up, however long it took: time alone proves nothing.
pub const FEWEST_TRIES: u32 = 3;

/// What to do about a website that did not come online in time.
pub const CONFIRM_REMEDY: &str = "Weixin accepted the request but the website did not come online in time: look at \
     the environment in the Weixin console, then run `staticstored retry` for it.";
const RETRY_REMEDY: &str = "Weixin kept answering in a way that usually passes until retry.give_up_after was over: \
     check the connection and Weixin's own announcements, then run `staticstored retry` for it.";
const BROKEN_REMEDY: &str = "The static store is in a state that only the Weixin or Tencent Cloud console can clear: \
     destroy it there, then run `staticstored retry` for it.";
/// The remedy for a token that Weixin refuses, as it refused the one before.
pub const TOKEN_REMEDY: &str = "Another program probably fetches tokens for this platform, and each new token ends the other \
     one's: let only one program fetch them (with token.source = \"url\": the one at token.url, which must belong to the \
     platform that component.appid and api.base_url name).";
const UNKNOWN_REMEDY: &str = "Weixin answered with a code that staticstored does not know: look it up by errcode and \
     rid, or ask Weixin's support with the rid, then run `staticstored retry` for it.";

/// How a website is watched until it is online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// From the acceptance to the first look, then doubling.
    pub interval: Backoff,
    /// From the acceptance to giving up, counting only time in which it could be looked at.
    pub give_up_after: Duration,
}

/// The configured side of every decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The wait between tries.
    pub retry: Backoff,
    /// From the first failure in a row to giving up, counting only time in which the request could be tried.
    pub give_up_after: Duration,
    /// How the website is watched; `None`: it is not.
    pub confirm: Option<Confirm>,
}

impl Policy {
    /// Decides what to do about what `meaning` says of `request`. `draw` is evenly drawn from 0 to 1.
    #[must_use]
    pub fn decide(&self, request: &Request, meaning: &Meaning, now: Timestamp, draw: f64) -> Outcome {
        let request = &Request {
            progress: request.progress.without(request.idle()),
            ..request.clone()
        };
        match meaning {
            Meaning::Accepted => self.accepted(Site::default(), now),
            Meaning::Store(record) => match request.progress.accepted_at {
                None => self.looked(request, record.as_ref(), now, draw),
                Some(accepted_at) => self.confirmed(request, record.as_ref(), accepted_at, now),
            },
            Meaning::Passes(effect, _) => self.passes(request, *effect, now, draw),
            Meaning::Token => after_rest(request, Word::Token, now, TOKEN_REMEDY),
            Meaning::Line(remedy) => after_rest(request, Word::Line, now, remedy),
            Meaning::Env(remedy) => failed(remedy),
            Meaning::Alone(remedy) => Outcome {
                remedy: Some((*remedy).to_owned()),
                ..self.passes(request, Effect::None, now, draw)
            },
            Meaning::Unknown => self.unknown(request, now, draw),
        }
    }

    fn accepted(&self, site: Site, now: Timestamp) -> Outcome {
        let next = match self.confirm {
            None => Next::Finish(Final::Accepted),
            Some(confirm) => Next::Again {
                state: Open::Opening,
                call: Call::Describe,
                at: Some(after(now, confirm.interval.bound(1))),
                progress: Progress {
                    accepted_at: Some(now),
                    ..Progress::default()
                },
            },
        };
        Outcome {
            word: Word::Accepted,
            next,
            remedy: None,
            site: Some(site),
            keep_answer: false,
        }
    }

    /// Describe answered about a request that nobody knows to be accepted.
    fn looked(&self, request: &Request, found: Option<&StoreRecord>, now: Timestamp, draw: f64) -> Outcome {
        let Some(record) = found else {
            return self.absent(request, now);
        };
        match &record.state {
            StoreState::Offline => self.absent(request, now),
            StoreState::Opening => self.accepted(record.site.clone(), now),
            StoreState::Online if record.site.domain.is_some() => online(record.site.clone()),
            StoreState::Online => self.accepted(record.site.clone(), now),
            StoreState::Broken(_) => failed(BROKEN_REMEDY),
            StoreState::Destroying | StoreState::Unknown(_) => {
                let waited = self.passes(request, Effect::Possible, now, draw);
                let word = if waited.word == Word::Failed {
                    Word::Failed
                } else {
                    Word::NotYet
                };
                Outcome { word, ..waited }
            }
        }
    }

    /// There is no store: create it, unless the creates before were answered by a code that nobody knows too often, or failed
    /// for so long that the request is given up.
    fn absent(&self, request: &Request, now: Timestamp) -> Outcome {
        let progress = request.progress;
        let remedy = if progress.unknowns >= MOST_UNKNOWNS {
            Some(UNKNOWN_REMEDY)
        } else if self.is_over(&progress, now) {
            Some(RETRY_REMEDY)
        } else {
            None
        };
        if let Some(remedy) = remedy {
            return Outcome {
                keep_answer: true,
                ..failed(remedy)
            };
        }
        let tried = progress.failures > 0 || progress.unknowns > 0;
        let state = if tried { Open::Retrying } else { Open::Pending };
        let next = Next::Again {
            state,
            call: Call::Create,
            at: None,
            progress,
        };
        Outcome {
            word: Word::Absent,
            next,
            remedy: None,
            site: None,
            keep_answer: tried,
        }
    }

    /// Describe answered about a request that Weixin has accepted.
    fn confirmed(
        &self,
        request: &Request,
        found: Option<&StoreRecord>,
        accepted_at: Timestamp,
        now: Timestamp,
    ) -> Outcome {
        let site = found.map(|record| record.site.clone()).unwrap_or_default();
        match found.map(|record| &record.state) {
            Some(StoreState::Online) if site.domain.is_some() => return online(site),
            Some(StoreState::Broken(_)) => {
                return Outcome {
                    site: Some(site),
                    ..failed(BROKEN_REMEDY)
                };
            }
            _ => {}
        }
        // Without a confirm section (it was turned off since): one look, and what is accepted is accepted.
        let Some(confirm) = self.confirm else {
            return self.accepted(site, now);
        };
        let looks = request.progress.looks.saturating_add(1);
        if between(accepted_at, now) >= confirm.give_up_after && looks >= FEWEST_TRIES {
            return Outcome {
                site: Some(site),
                ..failed(CONFIRM_REMEDY)
            };
        }
        let at = after(now, confirm.interval.bound(looks.saturating_add(1)));
        let progress = Progress {
            accepted_at: Some(accepted_at),
            looks,
            ..Progress::default()
        };
        let next = Next::Again {
            state: Open::Opening,
            call: Call::Describe,
            at: Some(at),
            progress,
        };
        Outcome {
            word: Word::NotYet,
            next,
            remedy: None,
            site: Some(site),
            keep_answer: false,
        }
    }

    fn passes(&self, request: &Request, effect: Effect, now: Timestamp, draw: f64) -> Outcome {
        let progress = Progress {
            failures: request.progress.failures.saturating_add(1),
            // A clock that was set back must not make patience endless.
            failing_since: Some(request.progress.failing_since.map_or(now, |since| since.min(now))),
            ..request.progress
        };
        // A create that may have taken effect is looked at, however late it is: "failed" must not be said of an open website.
        let unseen = request.call == Call::Create && effect == Effect::Possible;
        if self.is_over(&progress, now) && !unseen {
            return failed(RETRY_REMEDY);
        }
        let at = after(now, self.retry.wait(progress.failures, draw));
        retry(request, effect, at, progress)
    }

    /// Returns whether a request is given up that has failed as `progress` says: long enough, and often enough.
    fn is_over(&self, progress: &Progress, now: Timestamp) -> bool {
        let long_enough = |since| between(since, now) >= self.give_up_after;
        progress.failures >= FEWEST_TRIES && progress.failing_since.is_some_and(long_enough)
    }

    fn unknown(&self, request: &Request, now: Timestamp, draw: f64) -> Outcome {
        let unknowns = request.progress.unknowns.saturating_add(1);
        if unknowns >= MOST_UNKNOWNS && request.call == Call::Describe {
            return failed(UNKNOWN_REMEDY);
        }
        let at = after(now, self.retry.wait(unknowns, draw));
        retry(
            request,
            Effect::Possible,
            at,
            Progress {
                unknowns,
                ..request.progress
            },
        )
    }
}

impl Outcome {
    /// What happens to a request whose call was not made: the same, as soon as may be.
    #[must_use]
    pub fn unsent(request: &Request) -> Self {
        let progress = request.progress;
        let tried = progress.failures > 0 || progress.unknowns > 0;
        let state = match progress.accepted_at {
            Some(_) => Open::Opening,
            None if tried => Open::Retrying,
            None => Open::Pending,
        };
        let next = Next::Again {
            state,
            call: request.call,
            at: None,
            progress,
        };
        Self {
            word: Word::Retry,
            next,
            remedy: None,
            site: None,
            keep_answer: true,
        }
    }
}

/// The call is made again later; a create whose effect nobody knows becomes a look.
fn retry(request: &Request, effect: Effect, at: Timestamp, progress: Progress) -> Outcome {
    let call = match (request.call, effect) {
        (Call::Create, Effect::None) => Call::Create,
        _ => Call::Describe,
    };
    let next = Next::Again {
        state: state_after_failure(&progress),
        call,
        at: Some(at),
        progress,
    };
    Outcome {
        word: Word::Retry,
        next,
        remedy: None,
        site: None,
        keep_answer: false,
    }
}

/// The same call later, at no cost to the request: it was not at fault, and the wait does not count as failing.
fn after_rest(request: &Request, word: Word, now: Timestamp, remedy: &str) -> Outcome {
    let (at, progress) = (after(now, LINE_REST), request.progress.without(LINE_REST));
    let next = Next::Again {
        state: state_after_failure(&progress),
        call: request.call,
        at: Some(at),
        progress,
    };
    Outcome {
        word,
        next,
        remedy: Some(remedy.to_owned()),
        site: None,
        keep_answer: false,
    }
}

/// What Weixin has accepted is opening, whatever a look at it met.
fn state_after_failure(progress: &Progress) -> Open {
    if progress.accepted_at.is_some() {
        Open::Opening
    } else {
        Open::Retrying
    }
}

fn online(site: Site) -> Outcome {
    let next = Next::Finish(Final::Online);
    Outcome {
        word: Word::Online,
        next,
        remedy: None,
        site: Some(site),
        keep_answer: false,
    }
}

fn failed(remedy: &str) -> Outcome {
    let next = Next::Finish(Final::Failed);
    Outcome {
        word: Word::Failed,
        next,
        remedy: Some(remedy.to_owned()),
        site: None,
        keep_answer: false,
    }
}

#[cfg(test)]
mod tests;
