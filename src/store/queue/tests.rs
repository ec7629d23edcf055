//! Claims and settlements on a database in a file, with a second row that must not change.

use std::time::Duration;

use super::*;
use crate::clock::after;
use crate::outcome::{Final, Next, Open, Outcome, Site, Word};
use crate::request::Progress;
use crate::store::scratch::{LEASE, Scratch, now, terms_at};

/// What the tests ask of `queue` and of `status`.
const QUEUE: &str = "SELECT env, call, claim IS NOT NULL, due_at, retry_at, failures, unknowns, failing_since, accepted_at, \
                     looks FROM queue ORDER BY id";
const STATUS: &str = "SELECT env, state, attempts, create_sent, errcode, errmsg, rid, remedy, domain, next_attempt_at, \
                      finished_at FROM status ORDER BY env";

fn later(seconds: u64) -> Timestamp {
    after(now(), Duration::from_secs(seconds))
}

fn attempt(call: Call, errcode: i64) -> Attempt {
    Attempt {
        at: now(),
        call,
        errcode: Some(errcode),
        errmsg: format!("said {errcode}"),
        http_status: Some(200),
        latency_ms: 7,
        outcome: "retry",
    }
}

fn outcome(next: Next) -> Outcome {
    Outcome {
        word: Word::Retry,
        next,
        remedy: Some("wait".into()),
        site: None,
        keep_answer: false,
    }
}

fn again(state: Open, call: Call, at: Option<Timestamp>, progress: Progress) -> Outcome {
    outcome(Next::Again {
        state,
        call,
        at,
        progress,
    })
}

/// What came of it, by calls of this kind.
fn settlement(request: &Request, outcome: Outcome, calls: &[Call]) -> Settlement {
    Settlement {
        id: request.id,
        claim: request.claim,
        env: request.env.clone(),
        outcome,
        attempts: calls.iter().map(|call| attempt(*call, -1)).collect(),
        rid: Some("rid-1".into()),
        claimed_for: request.call,
        now: now(),
    }
}

impl Scratch {
    /// Rows, requested an hour ago.
    async fn request(&self, envs: &[&str]) {
        for env in envs {
            self.execute(&format!(
                "INSERT INTO queue (env, requested_at) VALUES ('{env}', '2026-11-24T09:00:00.000Z')"
            ))
            .await;
        }
    }

    /// Claims the only one that is ready for `call`.
    async fn claim_one(&self, call: Call) -> Request {
        let mut claimed = self.claim(call, 9).await;
        assert_eq!(claimed.len(), 1);
        claimed.remove(0)
    }

    async fn settle(&self, settlement: Settlement) {
        self.store.settle(settlement).await.unwrap();
    }
}

fn envs(requests: &[Request]) -> Vec<&str> {
    requests.iter().map(|request| request.env.as_str()).collect()
}

#[tokio::test]
async fn a_claim_takes_the_most_urgent_of_its_call_and_shows_what_a_crash_would_need() {
    let scratch = Scratch::new().await;
    scratch.request(&["a", "b", "c"]).await;
    scratch
        .execute("UPDATE queue SET priority = 5 WHERE env = 'c'")
        .await;
    assert!(scratch.claim(Call::Describe, 9).await.is_empty());
    let claimed = scratch.claim(Call::Create, 2).await;
    assert_eq!(envs(&claimed), ["c", "a"]);
    assert_eq!(claimed[0].call, Call::Create);
    assert_eq!(claimed[0].progress, Progress::default());
    assert_eq!(
        scratch.rows(QUEUE).await,
        [
            "a|describe|1|2026-11-24T10:05:00.000Z|NULL|0|0|NULL|NULL|0",
            "b|create|0|NULL|NULL|0|0|NULL|NULL|0",
            "c|describe|1|2026-11-24T10:05:00.000Z|NULL|0|0|NULL|NULL|0",
        ]
    );
    let seen = scratch
        .rows("SELECT env, state, attempts, create_sent, updated_at FROM status ORDER BY env")
        .await;
    assert_eq!(
        seen,
        [
            "a|opening|1|1|2026-11-24T10:00:00.000Z",
            "b|pending|0|0|2026-11-24T09:00:00.000Z",
            "c|opening|1|1|2026-11-24T10:00:00.000Z",
        ]
    );
    // No two claims are alike, and what is claimed is not there to be claimed.
    let next = scratch.claim(Call::Create, 9).await;
    assert_eq!(envs(&next), ["b"]);
    assert_ne!(next[0].claim, claimed[0].claim);
}

#[tokio::test]
async fn a_claim_for_a_look_counts_no_create_and_believes_what_the_row_has_been_through() {
    let scratch = Scratch::new().await;
    scratch.request(&["a"]).await;
    let first = scratch.claim_one(Call::Create).await;
    let progress = Progress {
        failures: 2,
        unknowns: 1,
        failing_since: Some(later(1)),
        accepted_at: Some(later(2)),
        looks: 3,
    };
    let looked_for = again(Open::Opening, Call::Describe, None, progress);
    scratch
        .settle(settlement(&first, looked_for, &[Call::Create]))
        .await;
    let look = scratch.claim_one(Call::Describe).await;
    assert_eq!((look.call, look.progress), (Call::Describe, progress));
    assert_eq!(
        scratch.rows("SELECT state, attempts FROM status").await,
        ["opening|1"]
    );
}

#[tokio::test]
async fn what_comes_due_is_made_ready_and_so_is_what_a_dead_claim_left() {
    let scratch = Scratch::new().await;
    scratch.request(&["due", "later", "dead"]).await;
    scratch
        .execute(
            "UPDATE queue SET due_at = retry_at, retry_at = '2026-11-24T10:00:00.000Z' WHERE env = 'due';
             UPDATE queue SET due_at = '2026-11-24T10:00:00.000Z' WHERE env = 'due';
             UPDATE queue SET due_at = '2026-11-24T10:00:00.001Z' WHERE env = 'later';
             UPDATE queue SET claim = 1, call = 'describe', due_at = '2026-11-24T10:00:00.000Z' WHERE env = 'dead'",
        )
        .await;
    let not_yet = Terms {
        make_ready: false,
        ..terms_at(now())
    };
    let claimed = scratch.store.claim(Call::Create, 9, not_yet).await.unwrap();
    assert_eq!((claimed.requests.len(), claimed.became_ready), (0, 0));
    let claimed = scratch
        .store
        .claim(Call::Create, 9, terms_at(now()))
        .await
        .unwrap();
    assert_eq!((envs(&claimed.requests), claimed.became_ready), (vec!["due"], 2));
    assert_eq!(envs(&scratch.claim(Call::Describe, 9).await), ["dead"]);
}

#[tokio::test]
async fn a_dead_claim_leaves_a_row_that_was_put_off_meanwhile_until_then() {
    let scratch = Scratch::new().await;
    scratch.request(&["a"]).await;
    scratch
        .execute(
            "UPDATE queue SET claim = 1, due_at = '2026-11-24T10:00:00.000Z' WHERE env = 'a';
             UPDATE queue SET not_before = '2026-11-24T12:00:00.000Z'",
        )
        .await;
    assert!(scratch.claim(Call::Create, 9).await.is_empty());
    assert_eq!(
        scratch.rows("SELECT claim, due_at FROM queue").await,
        ["NULL|2026-11-24T12:00:00.000Z"]
    );
}

#[tokio::test]
async fn a_claim_that_is_alive_here_is_no_dead_one_though_its_lease_is_over_by_the_wall_clock() {
    let scratch = Scratch::new().await;
    scratch.request(&["a", "b"]).await;
    let held = scratch.claim(Call::Create, 1).await;
    assert_eq!(envs(&held), ["a"]);
    let much_later = terms_at(later(9000));
    let claimed = scratch.store.claim(Call::Describe, 9, much_later).await.unwrap();
    assert_eq!((claimed.requests.len(), claimed.became_ready), (0, 0));
    // Once it has come to its end, it is.
    let stranger = Settlement {
        claim: held[0].claim,
        ..settlement(
            &held[0],
            again(
                Open::Retrying,
                Call::Describe,
                Some(later(1)),
                Progress::default(),
            ),
            &[Call::Create],
        )
    };
    scratch.settle(stranger).await;
    let claimed = scratch.store.claim(Call::Describe, 9, much_later).await.unwrap();
    assert_eq!(envs(&claimed.requests), ["a"]);
}

#[tokio::test]
async fn what_is_finished_leaves_the_queue_and_its_status_says_how() {
    let scratch = Scratch::new().await;
    scratch.request(&["a", "b"]).await;
    let site = Site {
        domain: Some("a.tcloudbaseapp.com".into()),
        bucket: Some("bucket".into()),
        region: Some("ap-shanghai".into()),
    };
    let request = scratch.claim(Call::Create, 1).await.remove(0);
    let online = Outcome {
        site: Some(site),
        remedy: None,
        ..outcome(Next::Finish(Final::Online))
    };
    scratch
        .settle(settlement(&request, online, &[Call::Create]))
        .await;
    assert_eq!(
        scratch.rows(STATUS).await,
        [
            "a|online|1|1|-1|said -1|rid-1|NULL|a.tcloudbaseapp.com|NULL|2026-11-24T10:00:00.000Z",
            "b|pending|0|0|NULL|NULL|NULL|NULL|NULL|2026-11-24T09:00:00.000Z|NULL",
        ]
    );
    assert_eq!(
        scratch.rows("SELECT bucket, region FROM status").await,
        ["bucket|ap-shanghai", "NULL|NULL"]
    );
    assert_eq!(scratch.rows("SELECT env FROM queue").await, ["b"]);
    assert_eq!(
        scratch
            .rows("SELECT env, at, call, errcode, errmsg, http_status, latency_ms, outcome FROM attempt")
            .await,
        ["a|2026-11-24T10:00:00.000Z|create|-1|said -1|200|7|retry"]
    );
    for (end, state) in [(Final::Failed, "failed"), (Final::Accepted, "accepted")] {
        scratch.execute("DELETE FROM queue").await;
        scratch.request(&[state]).await;
        let request = scratch.claim_one(Call::Create).await;
        scratch
            .settle(settlement(&request, outcome(Next::Finish(end)), &[Call::Create]))
            .await;
        let seen = scratch
            .rows(&format!("SELECT state FROM status WHERE env = '{state}'"))
            .await;
        assert_eq!(seen, [state]);
    }
}

#[tokio::test]
async fn what_is_not_finished_stays_with_what_it_has_been_through_and_waits_for_the_later_of_its_times() {
    let scratch = Scratch::new().await;
    let progress = Progress {
        failures: 2,
        unknowns: 1,
        failing_since: Some(now()),
        accepted_at: None,
        looks: 0,
    };
    for (not_before, waits_until) in [
        ("NULL", "2026-11-24T10:00:30.000Z"),
        ("'2026-11-24T10:00:20.000Z'", "2026-11-24T10:00:30.000Z"),
        ("'2026-11-24T10:00:40.000Z'", "2026-11-24T10:00:40.000Z"),
    ] {
        scratch.execute("DELETE FROM queue; DELETE FROM status").await;
        scratch.request(&["a"]).await;
        let request = scratch.claim_one(Call::Create).await;
        scratch
            .execute(&format!("UPDATE queue SET not_before = {not_before}"))
            .await;
        let retry = again(Open::Retrying, Call::Create, Some(later(30)), progress);
        scratch.settle(settlement(&request, retry, &[Call::Create])).await;
        assert_eq!(
            scratch.rows(QUEUE).await,
            [format!(
                "a|create|0|{waits_until}|2026-11-24T10:00:30.000Z|2|1|2026-11-24T10:00:00.000Z|NULL|0"
            )]
        );
        assert_eq!(
            scratch.rows(STATUS).await,
            [format!(
                "a|retrying|1|1|-1|said -1|rid-1|wait|NULL|{waits_until}|NULL"
            )]
        );
    }
    // At once.
    scratch.execute("DELETE FROM queue; DELETE FROM status").await;
    scratch.request(&["a"]).await;
    let request = scratch.claim_one(Call::Create).await;
    let at_once = again(Open::Pending, Call::Create, None, Progress::default());
    scratch
        .settle(settlement(&request, at_once, &[Call::Create]))
        .await;
    assert_eq!(
        scratch
            .rows("SELECT due_at, next_attempt_at FROM queue JOIN status")
            .await,
        ["NULL|2026-11-24T10:00:00.000Z"]
    );
}

#[tokio::test]
async fn creates_are_counted_as_they_were_made() {
    use Call::{Create, Describe};
    for (claimed_for, made, attempts) in [
        (Create, &[][..], 0),
        (Create, &[Create], 1),
        (Create, &[Create, Create, Create], 3),
        (Describe, &[Describe, Describe], 0),
    ] {
        let scratch = Scratch::new().await;
        scratch.request(&["a", "b"]).await;
        scratch
            .execute(&format!(
                "UPDATE queue SET call = '{}' WHERE env = 'a'; UPDATE queue SET priority = 1 WHERE env = 'a'",
                claimed_for.as_str()
            ))
            .await;
        let request = scratch.claim(claimed_for, 1).await.remove(0);
        let retry = again(Open::Retrying, claimed_for, None, Progress::default());
        scratch.settle(settlement(&request, retry, made)).await;
        assert_eq!(
            scratch.rows("SELECT attempts FROM status ORDER BY env").await,
            [attempts.to_string(), "0".to_owned()],
            "{made:?}"
        );
        let history = scratch.rows("SELECT call FROM attempt ORDER BY id").await;
        assert_eq!(history.len(), made.len());
    }
}

#[tokio::test]
async fn an_answer_that_says_nothing_of_why_leaves_the_one_that_does_and_so_does_no_answer() {
    let scratch = Scratch::new().await;
    scratch.request(&["a"]).await;
    let request = scratch.claim_one(Call::Create).await;
    let retry = again(Open::Retrying, Call::Create, None, Progress::default());
    scratch
        .settle(settlement(&request, retry.clone(), &[Call::Create]))
        .await;
    let keeping = Outcome {
        keep_answer: true,
        ..retry.clone()
    };
    for (outcome, calls) in [(keeping, &[Call::Create][..]), (retry, &[])] {
        let request = scratch.claim_one(Call::Create).await;
        let mut quiet = settlement(&request, outcome, calls);
        quiet.rid = Some("another".into());
        quiet
            .attempts
            .iter_mut()
            .for_each(|attempt| attempt.errcode = Some(0));
        scratch.settle(quiet).await;
        assert_eq!(
            scratch.rows("SELECT errcode, errmsg, rid FROM status").await,
            ["-1|said -1|rid-1"]
        );
    }
}

#[tokio::test]
async fn a_settlement_by_another_claim_changes_nothing_but_is_in_the_history() {
    let scratch = Scratch::new().await;
    scratch.request(&["a"]).await;
    let request = scratch.claim_one(Call::Create).await;
    let before = (scratch.rows(QUEUE).await, scratch.rows(STATUS).await);
    for next in [
        outcome(Next::Finish(Final::Failed)),
        again(Open::Retrying, Call::Create, None, Progress::default()),
    ] {
        let mut late = settlement(&request, next, &[Call::Create]);
        late.claim += 1;
        scratch.settle(late).await;
    }
    assert_eq!((scratch.rows(QUEUE).await, scratch.rows(STATUS).await), before);
    assert_eq!(scratch.rows("SELECT count(*) FROM attempt").await, ["2"]);
}

#[tokio::test]
async fn of_a_request_that_was_cancelled_meanwhile_the_end_stands_and_what_was_accepted_comes_back() {
    let accepted = Progress {
        accepted_at: Some(now()),
        looks: 2,
        ..Progress::default()
    };
    for (next, state, queued) in [
        (outcome(Next::Finish(Final::Failed)), "failed", vec![]),
        (
            again(Open::Retrying, Call::Create, Some(later(9)), Progress::default()),
            "cancelled",
            vec![],
        ),
        (
            again(Open::Opening, Call::Describe, Some(later(9)), accepted),
            "opening",
            vec![
                "a|describe|0|2026-11-24T10:00:09.000Z|2026-11-24T10:00:09.000Z|0|0|NULL|2026-11-24T10:00:00.000Z|2"
                    .to_owned(),
            ],
        ),
    ] {
        let scratch = Scratch::new().await;
        scratch.request(&["a"]).await;
        let request = scratch.claim_one(Call::Create).await;
        scratch.execute("DELETE FROM queue").await;
        scratch.settle(settlement(&request, next, &[Call::Create])).await;
        assert_eq!(scratch.rows("SELECT state FROM status").await, [state]);
        assert_eq!(scratch.rows(QUEUE).await, queued);
        let same = scratch
            .rows("SELECT 1 FROM queue WHERE id <> (SELECT request FROM status)")
            .await;
        assert!(same.is_empty(), "it has its own id again");
    }
}

#[tokio::test]
async fn who_was_requested_again_while_the_old_call_was_on_its_way_waits_no_longer_than_for_its_end() {
    let scratch = Scratch::new().await;
    scratch.request(&["a"]).await;
    let request = scratch.claim_one(Call::Create).await;
    scratch.execute("DELETE FROM queue").await;
    scratch.request(&["a"]).await;
    let waits = "SELECT due_at, retry_at FROM queue";
    assert_eq!(
        scratch.rows(waits).await,
        ["2026-11-24T10:05:00.000Z|2026-11-24T10:05:00.000Z"]
    );
    let retry = again(Open::Retrying, Call::Create, Some(later(9)), Progress::default());
    scratch.settle(settlement(&request, retry, &[Call::Create])).await;
    assert_eq!(scratch.rows(waits).await, ["NULL|NULL"]);
    assert_eq!(scratch.rows("SELECT state FROM status").await, ["pending"]);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_fails_alone() {
    let scratch = Scratch::new().await;
    scratch.request(&["a", "b"]).await;
    scratch
        .execute(
            "PRAGMA ignore_check_constraints = 1; DROP TRIGGER queue_fixed;
             UPDATE queue SET env = 'no env' WHERE env = 'a';
             UPDATE status SET env = 'no env' WHERE env = 'a'",
        )
        .await;
    assert_eq!(envs(&scratch.claim(Call::Create, 9).await), ["b"]);
    let failed = scratch
        .rows("SELECT env, state, errmsg LIKE '%1 to 128%', remedy IS NOT NULL, finished_at FROM status WHERE env <> 'b'")
        .await;
    assert_eq!(failed, ["no env|failed|1|1|2026-11-24T10:00:00.000Z"]);
    assert_eq!(scratch.rows("SELECT env FROM queue").await, ["b"]);
}

#[tokio::test]
async fn at_a_start_every_claim_is_let_go_and_says_what_it_said() {
    let scratch = Scratch::new().await;
    scratch.request(&["a", "b", "c"]).await;
    assert_eq!(scratch.claim(Call::Create, 2).await.len(), 2);
    scratch
        .execute("UPDATE queue SET not_before = '2026-11-25T00:00:00.000Z' WHERE env = 'b'")
        .await;
    assert_eq!(scratch.store.release().await.unwrap(), 2);
    assert_eq!(
        scratch.rows("SELECT env, call, claim, due_at FROM queue").await,
        [
            "a|describe|NULL|NULL",
            "b|describe|NULL|2026-11-25T00:00:00.000Z",
            "c|create|NULL|NULL"
        ]
    );
    assert_eq!(scratch.store.release().await.unwrap(), 0);
}

#[tokio::test]
async fn after_the_clock_was_set_back_nothing_waits_beyond_the_longest_wait_but_for_its_own_not_before() {
    let scratch = Scratch::new().await;
    scratch.request(&["a", "b", "c"]).await;
    scratch
        .execute(
            "UPDATE queue SET retry_at = '2026-11-25T10:00:00.000Z', due_at = '2026-11-25T10:00:00.000Z',
                              failing_since = '2026-11-25T09:00:00.000Z' WHERE env IN ('a', 'b');
             UPDATE queue SET not_before = '2026-11-24T20:00:00.000Z' WHERE env = 'b';
             UPDATE queue SET retry_at = '2026-11-24T10:05:00.000Z', due_at = '2026-11-24T10:05:00.000Z' WHERE env = 'c'",
        )
        .await;
    assert_eq!(scratch.store.hasten(now(), later(600)).await.unwrap(), 2);
    assert_eq!(
        scratch
            .rows(
                "SELECT queue.env, due_at, retry_at, failing_since, next_attempt_at FROM queue JOIN status USING (env)
                  ORDER BY env"
            )
            .await,
        [
            "a|2026-11-24T10:10:00.000Z|2026-11-24T10:10:00.000Z|2026-11-24T10:00:00.000Z|2026-11-24T10:10:00.000Z",
            "b|2026-11-24T20:00:00.000Z|2026-11-24T10:10:00.000Z|2026-11-24T10:00:00.000Z|2026-11-24T20:00:00.000Z",
            "c|2026-11-24T10:05:00.000Z|2026-11-24T10:05:00.000Z|NULL|2026-11-24T09:00:00.000Z",
        ]
    );
}

#[tokio::test]
async fn work_is_counted_as_far_as_asked_and_the_next_due_is_the_earliest_of_all() {
    let scratch = Scratch::new().await;
    let none = Work {
        ready: 0,
        next_due: None,
    };
    assert_eq!(scratch.store.work(Call::Create, 9).await.unwrap(), none);
    scratch.request(&["a", "b", "c"]).await;
    let ready = |ready, next_due| Work { ready, next_due };
    assert_eq!(scratch.store.work(Call::Create, 9).await.unwrap(), ready(3, None));
    assert_eq!(scratch.store.work(Call::Create, 2).await.unwrap(), ready(2, None));
    assert_eq!(scratch.claim(Call::Create, 1).await.len(), 1);
    let lease = Some(after(now(), LEASE));
    assert_eq!(
        scratch.store.work(Call::Create, 9).await.unwrap(),
        ready(2, lease)
    );
    scratch
        .execute("UPDATE queue SET not_before = '2026-11-24T10:00:05.000Z' WHERE env = 'b'")
        .await;
    assert_eq!(
        scratch.store.work(Call::Create, 9).await.unwrap(),
        ready(1, Some(later(5)))
    );
    assert_eq!(
        scratch.store.work(Call::Describe, 9).await.unwrap(),
        ready(0, Some(later(5)))
    );
}
