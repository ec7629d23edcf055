//! Groups: what is committed together, what is tried again, and what one order that can't be written does to others.

use std::time::Duration;

use super::*;
use crate::clock::{Timestamp, after, parse};
use crate::credential::Ticket;
use crate::outcome::{Final, Next, Outcome, Word};
use crate::request::{Call, Request};
use crate::store::Store;
use crate::store::scratch::{LEASE, Scratch, now};

fn pushed(ticket: &str, created_at: Timestamp) -> Change {
    Change::ReceiveTicket(Box::new(PushedTicket {
        ticket: Ticket::parse(ticket).unwrap(),
        created_at,
        received_at: now(),
    }))
}

/// A change of which it can be seen that it was made.
fn seen() -> Change {
    Change::PushAsked(now())
}

/// An order for a change, and the answer to it.
fn order(change: Change) -> (Order, oneshot::Receiver<Result<u64, StoreError>>) {
    let (done, answer) = oneshot::channel();
    (Order::Change(change, done), answer)
}

fn claim_order(most: usize) -> (Order, oneshot::Receiver<Result<Claimed, StoreError>>) {
    let (done, answer) = oneshot::channel();
    let claim = ClaimOrder {
        call: Call::Create,
        most,
        make_ready: false,
        now: now(),
        lease_until: after(now(), LEASE),
        claim: 7,
    };
    (Order::Claim(claim, done), answer)
}

fn finished(request: &Request) -> (Order, oneshot::Receiver<Result<(), StoreError>>) {
    let (done, answer) = oneshot::channel();
    let settlement = Settlement {
        id: request.id,
        claim: request.claim,
        env: request.env.clone(),
        outcome: Outcome {
            word: Word::Failed,
            next: Next::Finish(Final::Failed),
            remedy: None,
            site: None,
            keep_answer: false,
        },
        attempts: Vec::new(),
        rid: None,
        claimed_for: Call::Create,
        now: now(),
    };
    (Order::Settle(Box::new(settlement), done), answer)
}

async fn pen(scratch: &Scratch) -> Pen {
    Pen {
        connection: scratch.connection().await,
        place: Place::of(scratch.store.path()).unwrap(),
        held: Held::default(),
        locked: Duration::ZERO,
    }
}

async fn write(pen: &mut Pen, orders: Vec<Order>) {
    pen.write(orders, &Pulse::default().beat("writer")).await;
}

async fn is_seen(scratch: &Scratch) -> bool {
    let rows = scratch.rows("SELECT push_asked_at IS NOT NULL FROM service");
    rows.await == ["1"]
}

#[tokio::test]
async fn a_group_is_written_together_and_each_is_told_what_came_of_its_own() {
    let scratch = Scratch::new().await;
    scratch
        .execute("INSERT INTO queue (env) VALUES ('a'), ('b')")
        .await;
    let first = scratch.claim(Call::Create, 1).await;
    let mut pen = pen(&scratch).await;
    let (settle, settled) = finished(&first[0]);
    let (claim, claimed) = claim_order(9);
    let (change, changed) = order(seen());
    write(&mut pen, vec![claim, change, settle]).await;
    settled.await.unwrap().unwrap();
    assert_eq!(changed.await.unwrap().unwrap(), 1);
    let claimed = claimed.await.unwrap().unwrap();
    assert_eq!(claimed.requests.len(), 1);
    assert_eq!(claimed.requests[0].env.as_str(), "b");
    assert_eq!(pen.held.envs(), r#"["b"]"#);
    assert!(pen.locked > Duration::ZERO);
    assert_eq!(
        scratch.rows("SELECT state FROM status ORDER BY env").await,
        ["failed", "opening"]
    );
}

#[tokio::test]
async fn one_order_that_cannot_be_written_is_refused_alone_whatever_its_kind() {
    let scratch = Scratch::new().await;
    scratch
        .execute("INSERT INTO queue (env) VALUES ('a'), ('b')")
        .await;
    let requests = scratch.claim(Call::Create, 2).await;
    let refusals = [
        "CREATE TRIGGER refuse BEFORE UPDATE ON status WHEN NEW.env = 'a' BEGIN SELECT RAISE(ABORT, 'no'); END",
        "CREATE TRIGGER refuse BEFORE INSERT ON ticket BEGIN SELECT RAISE(ABORT, 'no'); END",
        "CREATE TRIGGER refuse BEFORE UPDATE OF claim ON queue WHEN NEW.claim = 7 BEGIN SELECT RAISE(ABORT, 'no'); END",
    ];
    let mut pen = pen(&scratch).await;
    for (refused, refusal) in refusals.iter().enumerate() {
        scratch
            .execute(&format!("{refusal}; UPDATE service SET push_asked_at = NULL"))
            .await;
        scratch.execute("INSERT INTO queue (env) VALUES ('c')").await;
        for env in ["a", "b"] {
            pen.held.take(env, requests[0].claim, LEASE);
        }
        let (settle, settled) = finished(requests.iter().find(|it| it.env.as_str() == "a").unwrap());
        let (ticket, received) = order(pushed("t", now()));
        let (claim, claimed) = claim_order(9);
        let (change, changed) = order(seen());
        let orders = match refused {
            0 => vec![settle, change],
            1 => vec![ticket, change],
            _ => vec![claim, change],
        };
        write(&mut pen, orders).await;
        changed.await.unwrap().unwrap();
        assert!(is_seen(&scratch).await);
        let error = match refused {
            0 => settled.await.unwrap().unwrap_err(),
            1 => received.await.unwrap().unwrap_err(),
            _ => claimed.await.unwrap().map(|_| ()).unwrap_err(),
        };
        assert!(error.to_string().contains("no"), "{error}");
        // What could not be settled is not held for ever; what could not be claimed is not held at all.
        let held = if refused == 0 { r#"["b"]"# } else { r#"["a","b"]"# };
        let mut envs: Vec<String> = serde_json::from_str(&pen.held.envs()).unwrap();
        envs.sort();
        assert_eq!(serde_json::to_string(&envs).unwrap(), held);
        scratch
            .execute("DROP TRIGGER refuse; DELETE FROM queue WHERE env = 'c'")
            .await;
    }
}

#[tokio::test]
async fn a_refused_one_is_told_so_alone_too_and_the_next_is_written() {
    let scratch = Scratch::new().await;
    scratch
        .execute("CREATE TRIGGER refuse BEFORE INSERT ON ticket BEGIN SELECT RAISE(ABORT, 'no'); END")
        .await;
    let mut pen = pen(&scratch).await;
    let (ticket, received) = order(pushed("t", now()));
    write(&mut pen, vec![ticket]).await;
    received.await.unwrap().unwrap_err();
    let (change, changed) = order(seen());
    write(&mut pen, vec![change]).await;
    assert_eq!(changed.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn of_tickets_in_one_group_only_the_newest_is_written_and_one_that_is_not_dated_by_itself() {
    let scratch = Scratch::new().await;
    let mut pen = pen(&scratch).await;
    let minute = Duration::from_secs(60);
    let (older, old) = order(pushed("older", now()));
    let (newer, new) = order(pushed("newer", after(now(), minute)));
    let (same, again) = order(pushed("newer", after(now(), minute)));
    let [(early, too_early), (late, too_late)] = ["2014-10-13T09:30:05.000Z", "9999-12-31T23:59:59.000Z"]
        .map(|at| order(pushed("absurd", parse(at).unwrap())));
    write(&mut pen, vec![late, older, newer, same, early]).await;
    let mut rows = Vec::new();
    for answer in [too_late, old, new, again, too_early] {
        rows.push(answer.await.unwrap().unwrap());
    }
    // Better than none, while there is none.
    assert_eq!(rows, [1, 0, 2, 0, 0]);
    assert_eq!(
        scratch.rows("SELECT component_verify_ticket FROM ticket").await,
        ["absurd", "newer"]
    );
}

#[tokio::test]
async fn in_a_file_that_was_replaced_nothing_is_committed_and_nothing_claimed() {
    let scratch = Scratch::new().await;
    scratch.execute("INSERT INTO queue (env) VALUES ('a')").await;
    let mut pen = pen(&scratch).await;
    let away = scratch.store.path().with_file_name("away.db");
    std::fs::rename(scratch.store.path(), &away).unwrap();
    let (claim, claimed) = claim_order(9);
    write(&mut pen, vec![claim]).await;
    assert!(matches!(claimed.await.unwrap(), Err(StoreError::Replaced { .. })));
    assert_eq!(pen.held.envs(), "[]");
    std::fs::rename(&away, scratch.store.path()).unwrap();
    assert_eq!(scratch.rows("SELECT claim IS NULL FROM queue").await, ["1"]);
}

#[tokio::test]
async fn orders_whose_giver_has_gone_are_written_all_the_same() {
    let scratch = Scratch::new().await;
    let mut pen = pen(&scratch).await;
    let (change, answer) = order(seen());
    drop(answer);
    write(&mut pen, vec![change]).await;
    assert!(is_seen(&scratch).await);
}

#[tokio::test]
async fn a_group_is_gathered_up_to_its_size_and_not_beyond() {
    let (orders, mut inbox) = mpsc::channel(WAITING);
    let fill = |count: usize| {
        for _ in 0..count {
            orders.try_send(order(seen()).0).unwrap();
        }
    };
    fill(LARGEST_GROUP + 10);
    let mut group = vec![order(seen()).0];
    gather(&mut inbox, &mut group, Duration::ZERO).await;
    assert_eq!(group.len(), 1, "nothing to wait for, nothing to gather");
    gather(&mut inbox, &mut group, Duration::from_millis(1)).await;
    assert_eq!(group.len(), LARGEST_GROUP);
    assert_eq!(inbox.len(), 11);
}

#[tokio::test]
async fn while_another_program_holds_the_lock_an_order_waits_and_is_written_after_it() {
    let scratch = Scratch::new().await;
    let mut other = scratch.connection().await;
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let mut pen = pen(&scratch).await;
    // Not to be waited for within one try.
    sqlx::raw_sql("PRAGMA busy_timeout = 0")
        .execute(&mut pen.connection)
        .await
        .unwrap();
    let (change, changed) = order(seen());
    let beat = Pulse::default();
    let turns = beat.beat("writer");
    let before = beat.turns("writer").unwrap();
    let ((), ()) = tokio::join!(pen.write(vec![change], &turns), async {
        while beat.turns("writer").unwrap() < before + 3 {
            tokio::task::yield_now().await;
        }
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    });
    assert_eq!(changed.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn the_writer_ends_when_the_last_of_its_givers_is_gone_and_what_they_gave_is_written() {
    let scratch = Scratch::new().await;
    let tasks = TaskTracker::new();
    let store = Store::open(scratch.store.path(), &Pulse::default(), &tasks)
        .await
        .unwrap();
    let another = store.clone();
    drop(store);
    another.set_push_asked(now()).await.unwrap();
    drop(another);
    tasks.close();
    tokio::time::timeout(Duration::from_secs(60), tasks.wait())
        .await
        .unwrap();
    assert!(is_seen(&scratch).await);
}
