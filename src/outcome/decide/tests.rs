//! Every meaning for every kind of request: the whole outcome, at the borders.

use super::*;
use crate::outcome::Load;
use crate::request::Env;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const REMEDY: &str = "mend it";

/// Waits are 1, 2, 4 s …, and 5, 10, 20 s … for a look.
fn policy() -> Policy {
    let interval = Backoff {
        initial: 5 * SECOND,
        max: 60 * SECOND,
    };
    Policy {
        retry: Backoff {
            initial: SECOND,
            max: 300 * SECOND,
        },
        give_up_after: HOUR,
        confirm: Some(Confirm {
            interval,
            give_up_after: HOUR / 2,
        }),
    }
}

fn request(call: Call, progress: Progress) -> Request {
    Request {
        id: 1,
        claim: 2,
        env: Env::parse("ENV").unwrap(),
        call,
        progress,
        due_at: None,
        claimed_at: NOW,
    }
}

fn fresh(call: Call) -> Request {
    request(call, Progress::default())
}

/// A look at a request that was accepted at [`NOW`] and looked at so often since.
fn accepted(looks: u32) -> Request {
    let progress = Progress {
        accepted_at: Some(NOW),
        looks,
        ..Progress::default()
    };
    request(Call::Describe, progress)
}

fn at(seconds: u32) -> Timestamp {
    after(NOW, seconds * SECOND)
}

/// What comes of it at a moment, where the draw takes the longest wait.
fn decide(request: &Request, meaning: &Meaning, now: Timestamp) -> Outcome {
    policy().decide(request, meaning, now, 1.0)
}

fn site(domain: Option<&str>) -> Site {
    Site {
        domain: domain.map(str::to_owned),
        bucket: Some("bucket".into()),
        region: None,
    }
}

fn store(state: StoreState, domain: Option<&str>) -> Meaning {
    let site = site(domain);
    Meaning::Store(Some(StoreRecord { state, site }))
}

fn outcome(word: Word, next: Next) -> Outcome {
    Outcome {
        word,
        next,
        remedy: None,
        site: None,
        keep_answer: false,
    }
}

fn again(state: Open, call: Call, at: Option<Timestamp>, progress: Progress) -> Next {
    Next::Again {
        state,
        call,
        at,
        progress,
    }
}

fn fails(remedy: &str) -> Outcome {
    Outcome {
        remedy: Some(remedy.to_owned()),
        ..outcome(Word::Failed, Next::Finish(Final::Failed))
    }
}

/// Accepted now: followed from the first look on.
fn follows(now: Timestamp, site: Site) -> Outcome {
    let progress = Progress {
        accepted_at: Some(now),
        ..Progress::default()
    };
    let look = Some(after(now, 5 * SECOND));
    Outcome {
        site: Some(site),
        ..outcome(
            Word::Accepted,
            again(Open::Opening, Call::Describe, look, progress),
        )
    }
}

#[test]
fn what_is_accepted_is_followed_afresh_or_finished_where_nobody_follows() {
    let tried = Progress {
        failures: 3,
        unknowns: 1,
        failing_since: Some(NOW),
        ..Progress::default()
    };
    let create = request(Call::Create, tried);
    let told = decide(&create, &Meaning::Accepted, at(7));
    assert_eq!(told, follows(at(7), Site::default()));

    let unwatched = Policy {
        confirm: None,
        ..policy()
    };
    let finished = |site| Outcome {
        site: Some(site),
        ..outcome(Word::Accepted, Next::Finish(Final::Accepted))
    };
    let told = unwatched.decide(&create, &Meaning::Accepted, at(7), 1.0);
    assert_eq!(told, finished(Site::default()));
    // It was turned off after the acceptance.
    let told = unwatched.decide(&accepted(1), &store(StoreState::Opening, Some("d")), at(7), 1.0);
    assert_eq!(told, finished(site(Some("d"))));
}

#[test]
fn what_a_look_finds_open_or_opening_is_not_created() {
    let look = fresh(Call::Describe);
    let online = |domain| decide(&look, &store(StoreState::Online, domain), at(3));
    let finished = Outcome {
        site: Some(site(Some("d"))),
        ..outcome(Word::Online, Next::Finish(Final::Online))
    };
    assert_eq!(online(Some("d")), finished);
    // A website without a domain is not open yet.
    assert_eq!(online(None), follows(at(3), site(None)));
    let opening = decide(&look, &store(StoreState::Opening, Some("d")), at(3));
    assert_eq!(opening, follows(at(3), site(Some("d"))));
    let broken = decide(
        &look,
        &store(StoreState::Broken("create_fail".into()), None),
        at(3),
    );
    assert_eq!(broken, fails(BROKEN_REMEDY));
}

#[test]
fn what_a_look_does_not_find_is_created_at_once_and_its_story_is_kept() {
    let story = |failures, unknowns| Progress {
        failures,
        unknowns,
        failing_since: Some(NOW),
        ..Progress::default()
    };
    for (progress, state) in [
        (story(0, 0), Open::Pending),
        (story(1, 0), Open::Retrying),
        (story(0, 1), Open::Retrying),
        (story(4, MOST_UNKNOWNS - 1), Open::Retrying),
    ] {
        for meaning in [Meaning::Store(None), store(StoreState::Offline, Some("d"))] {
            let told = decide(&request(Call::Describe, progress), &meaning, at(3));
            let expected = Outcome {
                keep_answer: state == Open::Retrying,
                ..outcome(Word::Absent, again(state, Call::Create, None, progress))
            };
            assert_eq!(told, expected, "{progress:?}");
        }
    }
    let unknown = decide(
        &request(Call::Describe, story(0, MOST_UNKNOWNS)),
        &Meaning::Store(None),
        at(3),
    );
    let expected = Outcome {
        keep_answer: true,
        ..fails(UNKNOWN_REMEDY)
    };
    assert_eq!(unknown, expected, "the answer to the create is what matters");
}

#[test]
fn a_store_that_is_in_between_is_looked_at_again_until_it_is_given_up() {
    for state in [StoreState::Destroying, StoreState::Unknown("weird".into())] {
        let meaning = store(state, None);
        let told = decide(&fresh(Call::Describe), &meaning, NOW);
        let progress = Progress {
            failures: 1,
            failing_since: Some(NOW),
            ..Progress::default()
        };
        let next = again(Open::Retrying, Call::Describe, Some(at(1)), progress);
        assert_eq!(told, outcome(Word::NotYet, next));
        let often = Progress {
            failures: FEWEST_TRIES - 1,
            ..progress
        };
        let told = decide(&request(Call::Describe, often), &meaning, after(NOW, HOUR));
        assert_eq!(told, fails(RETRY_REMEDY));
    }
}

#[test]
fn an_accepted_one_is_looked_at_until_it_is_online_broken_or_too_late() {
    let online = decide(&accepted(2), &store(StoreState::Online, Some("d")), at(9));
    let finished = Outcome {
        site: Some(site(Some("d"))),
        ..outcome(Word::Online, Next::Finish(Final::Online))
    };
    assert_eq!(online, finished);

    let broken = decide(&accepted(2), &store(StoreState::Broken("x".into()), None), at(9));
    let with_site = |outcome| Outcome {
        site: Some(site(None)),
        ..outcome
    };
    assert_eq!(broken, with_site(fails(BROKEN_REMEDY)));

    let not_yet = |looks, due| {
        let next = again(Open::Opening, Call::Describe, Some(due), accepted(looks).progress);
        with_site(outcome(Word::NotYet, next))
    };
    // The first look came after 5 s, the next after 10, the one after that after 20 more.
    let opening = store(StoreState::Opening, None);
    assert_eq!(decide(&accepted(0), &opening, at(5)), not_yet(1, at(15)));
    assert_eq!(decide(&accepted(1), &opening, at(15)), not_yet(2, at(35)));
    let without_domain = store(StoreState::Online, None);
    assert_eq!(decide(&accepted(1), &without_domain, at(15)), not_yet(2, at(35)));
    // No look comes sooner because the end is near, and two looks are too few to give up.
    assert_eq!(decide(&accepted(8), &opening, at(1799)), not_yet(9, at(1859)));
    assert_eq!(decide(&accepted(1), &opening, at(9000)), not_yet(2, at(9020)));
    let late = decide(&accepted(9), &opening, at(1800));
    assert_eq!(late, with_site(fails(CONFIRM_REMEDY)));

    // It is gone: Weixin may list it later.
    let gone = decide(&accepted(0), &Meaning::Store(None), at(5));
    let next = again(Open::Opening, Call::Describe, Some(at(15)), accepted(1).progress);
    let expected = Outcome {
        site: Some(Site::default()),
        ..outcome(Word::NotYet, next)
    };
    assert_eq!(gone, expected);
}

#[test]
fn what_passes_is_tried_again_later_and_later_until_it_is_given_up() {
    let failing = |failures| Progress {
        failures,
        failing_since: Some(NOW),
        ..Progress::default()
    };
    let passes = |effect| Meaning::Passes(effect, Load::Busy);
    let retry = |call, due, failures| {
        let next = again(Open::Retrying, call, Some(due), failing(failures));
        outcome(Word::Retry, next)
    };
    // A create without effect is made again; one that may have had one is looked for.
    let create = fresh(Call::Create);
    let told = decide(&create, &passes(Effect::None), NOW);
    assert_eq!(told, retry(Call::Create, at(1), 1));
    let told = decide(&create, &passes(Effect::Possible), NOW);
    assert_eq!(told, retry(Call::Describe, at(1), 1));
    let told = decide(&request(Call::Create, failing(3)), &passes(Effect::None), at(10));
    assert_eq!(told, retry(Call::Create, at(18), 4));
    let drawn = policy().decide(
        &request(Call::Create, failing(3)),
        &passes(Effect::None),
        at(10),
        0.25,
    );
    assert_eq!(drawn, retry(Call::Create, at(12), 4));

    // No try comes sooner because the end is near; the first failure after the end is the last.
    let create = request(Call::Create, failing(20));
    let told = decide(&create, &passes(Effect::None), at(3590));
    assert_eq!(told, retry(Call::Create, at(3890), 21));
    let given_up = fails(RETRY_REMEDY);
    assert_eq!(decide(&create, &passes(Effect::None), at(3600)), given_up);
    let look = request(Call::Describe, failing(20));
    assert_eq!(decide(&look, &passes(Effect::Possible), at(3600)), given_up);
    // Two tries are too few.
    let told = decide(
        &request(Call::Create, failing(1)),
        &passes(Effect::None),
        at(9000),
    );
    assert_eq!(told, retry(Call::Create, at(9002), 2));
    // A create that may have opened the website gets one more look, ...
    let told = decide(&create, &passes(Effect::Possible), at(4000));
    assert_eq!(told, retry(Call::Describe, at(4300), 21));
    // ... which is the end where it finds nothing.
    let told = decide(
        &request(Call::Describe, failing(21)),
        &Meaning::Store(None),
        at(4300),
    );
    let nothing_there = Outcome {
        keep_answer: true,
        ..given_up
    };
    assert_eq!(told, nothing_there);
}

#[test]
fn time_in_which_a_request_could_not_be_tried_counts_for_nothing() {
    let progress = Progress {
        failures: 5,
        failing_since: Some(NOW),
        ..Progress::default()
    };
    // Due after 10 s, and claimed a week later: paused, blocked, stopped, or a jump of the clock.
    let week = 7 * 24 * HOUR;
    let late = |call, progress| Request {
        due_at: Some(at(10)),
        claimed_at: after(at(10), week),
        ..request(call, progress)
    };
    let now = after(at(11), week);
    let told = decide(
        &late(Call::Create, progress),
        &Meaning::Passes(Effect::None, Load::Fine),
        now,
    );
    let shifted = Progress {
        failures: 6,
        failing_since: Some(after(NOW, week)),
        ..progress
    };
    let next = again(
        Open::Retrying,
        Call::Create,
        Some(after(now, 32 * SECOND)),
        shifted,
    );
    assert_eq!(told, outcome(Word::Retry, next));
    let told = decide(
        &late(Call::Describe, accepted(9).progress),
        &store(StoreState::Opening, None),
        now,
    );
    let Next::Again { progress, .. } = told.next else {
        panic!("{told:?}")
    };
    assert_eq!(progress.accepted_at, Some(after(NOW, week)));
}

#[test]
fn an_environment_that_alone_meets_a_fault_of_the_line_fails_by_itself_with_the_remedy_of_the_code() {
    let failing = Progress {
        failures: 3,
        failing_since: Some(NOW),
        ..Progress::default()
    };
    let create = request(Call::Create, failing);
    let told = decide(&create, &Meaning::Alone(REMEDY), at(10));
    let progress = Progress {
        failures: 4,
        ..failing
    };
    let expected = Outcome {
        remedy: Some(REMEDY.to_owned()),
        ..outcome(
            Word::Retry,
            again(Open::Retrying, Call::Create, Some(at(18)), progress),
        )
    };
    assert_eq!(told, expected);
    assert_eq!(decide(&create, &Meaning::Alone(REMEDY), at(3600)), fails(REMEDY));
}

mod property {
    use proptest::prelude::*;

    use super::*;

    fn meanings() -> impl Strategy<Value = Meaning> {
        prop_oneof![
            4 => Just(Meaning::Passes(Effect::Possible, Load::Busy)),
            2 => Just(Meaning::Passes(Effect::None, Load::Busy)),
            4 => Just(Meaning::Store(None)),
            1 => Just(store(StoreState::Destroying, None)),
            1 => Just(store(StoreState::Opening, None)),
            1 => Just(Meaning::Alone(REMEDY)),
            1 => Just(Meaning::Line(REMEDY)),
        ]
    }

    /// An answer, the draw of the wait that follows, the time that the call is late by, and the time that it takes.
    fn steps() -> impl Strategy<Value = Vec<(Meaning, f64, u64, u64)>> {
        let late = prop_oneof![3 => Just(0_u64), 1 => 1..1_000_000_u64];
        proptest::collection::vec((meanings(), 0.1..=1.0_f64, late, 0..15_u64), 1..40)
    }

    proptest! {
        /// For every sequence of answers (repeated for ever) and every clock: the request ends, no failed call is followed by
        /// another before its backoff is over, and none is given up before its time and its tries.
        #[test]
        fn every_request_ends_and_none_is_hammered(steps in steps(), call in prop_oneof![Just(Call::Create), Just(Call::Describe)]) {
            // A fault of the whole line never ends a request.
            prop_assume!(steps.iter().any(|(meaning, ..)| !matches!(meaning, Meaning::Line(_))));
            let mut request = fresh(call);
            let (mut now, mut tried, mut calls) = (NOW, Duration::ZERO, 0);
            for (meaning, draw, late, took) in steps.iter().cycle() {
                calls += 1;
                prop_assert!(calls < 50_000, "it never ends: {request:?}");
                // A create never finds anything, and a look that is refused as a create is would be another answer.
                let meaning = match (request.call, meaning) {
                    (Call::Create, Meaning::Store(_)) => &Meaning::Passes(Effect::Possible, Load::Busy),
                    (_, meaning) => meaning,
                };
                now = after(request.due_at.unwrap_or(now), SECOND * u32::try_from(*late).unwrap());
                request.claimed_at = now;
                now = after(now, SECOND * u32::try_from(*took).unwrap());
                tried += SECOND * u32::try_from(*took).unwrap();
                let told = policy().decide(&request, meaning, now, *draw);
                let failed = matches!(meaning, Meaning::Passes(..) | Meaning::Alone(_));
                match told.next {
                    Next::Finish(_) => {
                        if told.word == Word::Failed {
                            prop_assert!(tried >= HOUR / 2, "given up after {tried:?}: {request:?}");
                            prop_assert!(request.progress.failures + 1 >= FEWEST_TRIES || request.progress.looks + 1 >= FEWEST_TRIES);
                        }
                        return Ok(());
                    }
                    Next::Again { call, at, progress, .. } => {
                        let wait = at.map_or(Duration::ZERO, |at| between(now, at));
                        if failed {
                            prop_assert_eq!(wait, policy().retry.wait(progress.failures, *draw));
                        }
                        if !matches!(meaning, Meaning::Line(_)) {
                            tried += wait;
                        }
                        request = Request { call, progress, due_at: Some(at.unwrap_or(now)), ..request };
                    }
                }
            }
        }
    }
}

#[test]
fn faults_of_token_and_line_cost_the_request_nothing_and_those_of_its_env_end_it() {
    let failing = Progress {
        failures: 2,
        unknowns: 1,
        failing_since: Some(NOW),
        ..Progress::default()
    };
    let create = request(Call::Create, failing);
    let token = decide(&create, &Meaning::Token, at(10));
    let rested = |seconds| Progress {
        failing_since: Some(at(seconds)),
        ..failing
    };
    let next = again(Open::Retrying, Call::Create, Some(at(20)), rested(10));
    let expected = Outcome {
        remedy: Some(TOKEN_REMEDY.to_owned()),
        ..outcome(Word::Token, next)
    };
    assert_eq!(token, expected);

    let look = accepted(3);
    let line = decide(&look, &Meaning::Line(REMEDY), at(10));
    let progress = Progress {
        accepted_at: Some(at(10)),
        ..look.progress
    };
    let next = again(Open::Opening, Call::Describe, Some(at(20)), progress);
    let expected = Outcome {
        remedy: Some(REMEDY.to_owned()),
        ..outcome(Word::Line, next)
    };
    assert_eq!(line, expected);

    assert_eq!(decide(&create, &Meaning::Env(REMEDY), at(10)), fails(REMEDY));
}

#[test]
fn a_code_that_nobody_knows_is_looked_behind_until_it_came_too_often() {
    let met = |unknowns| Progress {
        unknowns,
        ..Progress::default()
    };
    for call in Call::ALL {
        let told = decide(&request(call, met(1)), &Meaning::Unknown, at(10));
        let next = again(Open::Retrying, Call::Describe, Some(at(12)), met(2));
        assert_eq!(told, outcome(Word::Retry, next));
    }
    let look = request(Call::Describe, met(MOST_UNKNOWNS - 1));
    assert_eq!(decide(&look, &Meaning::Unknown, at(10)), fails(UNKNOWN_REMEDY));
    // After a create the look decides.
    let create = request(Call::Create, met(MOST_UNKNOWNS - 1));
    let told = decide(&create, &Meaning::Unknown, at(10));
    let next = again(Open::Retrying, Call::Describe, Some(at(14)), met(MOST_UNKNOWNS));
    assert_eq!(told, outcome(Word::Retry, next));
}

#[test]
fn what_was_not_sent_stays_as_it_was() {
    let failing = Progress {
        failures: 1,
        ..Progress::default()
    };
    let unknown = Progress {
        unknowns: 1,
        ..Progress::default()
    };
    for (request, state) in [
        (fresh(Call::Create), Open::Pending),
        (request(Call::Create, failing), Open::Retrying),
        (request(Call::Describe, unknown), Open::Retrying),
        (accepted(4), Open::Opening),
    ] {
        let next = again(state, request.call, None, request.progress);
        let expected = Outcome {
            keep_answer: true,
            ..outcome(Word::Retry, next)
        };
        assert_eq!(Outcome::unsent(&request), expected);
    }
}

#[test]
fn what_is_put_off_is_never_called_before_and_what_is_over_stays_so() {
    let create = fresh(Call::Create);
    let due = |outcome: Outcome| match outcome.next {
        Next::Again { at, .. } => at,
        Next::Finish(_) => None,
    };
    let passes = Meaning::Passes(Effect::None, Load::Busy);
    assert_eq!(due(decide(&create, &passes, NOW).put_off(at(9))), Some(at(9)));
    assert_eq!(due(decide(&create, &passes, at(9)).put_off(NOW)), Some(at(10)));
    assert_eq!(due(Outcome::unsent(&create).put_off(at(9))), Some(at(9)));
    assert_eq!(fails(REMEDY).put_off(at(9)), fails(REMEDY));
}

#[test]
fn the_words_in_the_history_are_those_that_are_documented() {
    let words = [
        Word::Accepted,
        Word::Online,
        Word::NotYet,
        Word::Absent,
        Word::Retry,
        Word::Token,
        Word::Line,
        Word::Failed,
    ];
    let readme = include_str!("../../../README.md");
    for word in words.map(Word::as_str) {
        assert!(word.len() > 3 && readme.contains(&format!("`{word}`")), "{word}");
    }
}
