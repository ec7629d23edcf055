//! Other programs at the same database: many, slow, and holding its lock.

use std::time::Duration;

use sqlx::Connection;
use staticstored::simulator::{Endpoint, Fault};
use staticstored::store::Guard;

use super::UNFINISHED;
use crate::world::{World, within};

#[tokio::test]
async fn a_row_made_ready_by_an_update_from_elsewhere_is_noticed() {
    let mut world = World::by_hand().await;
    world.start();
    world
        .execute("INSERT INTO queue (env, not_before) VALUES ('postponed', '2999-01-01T00:00:00Z')")
        .await;
    world.wait_for_service("running").await;
    world.execute("UPDATE queue SET not_before = NULL").await;
    // The clock stands still: only the commit can have been noticed.
    world
        .wait_for("SELECT errcode, attempts FROM status", &["0|1"])
        .await;
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_hundred_inserts_by_four_programs_at_once_all_end_online() {
    let mut world = World::new().await;
    world.start();
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..4 {
        let mut connection = world.connection().await;
        clients.spawn(async move {
            for i in 0..25 {
                sqlx::query("INSERT INTO queue (env) VALUES (?1)")
                    .bind(format!("client{client}-{i}"))
                    .execute(&mut connection)
                    .await
                    .unwrap();
            }
            connection.close().await.unwrap();
        });
    }
    within(clients.join_all()).await;
    world
        .wait_for("SELECT count(*), sum(state = 'online') FROM status", &["100|100"])
        .await;
    assert_eq!(world.row("SELECT count(*) FROM queue").await, "0");
    assert_eq!(world.simulator.calls(Endpoint::Create), 100);
    assert_eq!(world.simulator.exchanges(), 1);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn while_another_program_holds_the_write_lock_nothing_is_lost_and_all_is_settled_after_it() {
    let mut world = World::new().await;
    world.simulator.fault(Fault::on(Endpoint::Create).times(5).held());
    world.start();
    let envs: Vec<String> = (0..5).map(|i| format!("env-{i}")).collect();
    world.insert_all(&envs).await;
    world.see(|simulator| simulator.held() == 5).await;
    let mut other = world.connection().await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    world.simulator.release();
    world.see(|simulator| simulator.in_flight() == 0).await;
    // The lock's length is what is tested: longer than the busy timeout, so that a write fails and is made again.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(
        world
            .row("SELECT count(*) FROM status WHERE state = 'opening'")
            .await,
        "5"
    );
    lock.commit().await.unwrap();
    world.wait_for(UNFINISHED, &["0"]).await;
    for env in &envs {
        assert_eq!(world.status("state, attempts, errcode", env).await, "online|1|0");
        assert_eq!(world.history(env).await[0], "create:accepted");
        assert_eq!(world.simulator.calls_for(Endpoint::Create, env), 1);
    }
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_database_that_another_daemon_holds_is_refused_and_left_alone() {
    let mut world = World::new().await;
    let _guard = Guard::take(&world.database(), "pid 812 on host1").unwrap();
    world.insert("waits").await;
    world.start();
    let error = world.ended().await.unwrap_err().to_string();
    assert!(error.contains("is held by pid 812 on host1"), "{error}");
    assert_eq!(world.status("state", "waits").await, "pending");
    assert!(world.simulator.ledger().is_empty());
}

/// Only somebody who turns the constraints off can make such a row; nobody else's request is to wait for it.
#[tokio::test]
async fn a_row_that_cannot_be_read_fails_alone_and_stops_nobody() {
    let mut world = World::new().await;
    world.insert("first").await;
    world.insert("second").await;
    world
        .execute(
            "DROP TRIGGER queue_fixed; PRAGMA ignore_check_constraints = ON; \
             UPDATE queue SET env = 'no environment', priority = 9 WHERE env = 'first'",
        )
        .await;
    world.start();
    world.wait_for_state("second", "online").await;
    let first = world
        .status(
            "state, errmsg LIKE '%1 to 128 characters%', remedy IS NOT NULL",
            "first",
        )
        .await;
    assert_eq!(first, "failed|1|1");
    assert_eq!(world.row("SELECT count(*) FROM queue").await, "0");
    world.stop().await.unwrap();
}

/// A row of `status` or `queue` that somebody edited is that row's trouble alone.
#[tokio::test]
async fn a_final_state_that_somebody_wrote_for_an_unfinished_request_stops_nobody() {
    let mut world = World::new().await;
    world.execute("UPDATE service SET paused = 1").await;
    world.start();
    world.wait_for_service("paused").await;
    world.insert("edited").await;
    world
        .execute(
            "UPDATE status SET state = 'failed', finished_at = updated_at, next_attempt_at = NULL;
             UPDATE service SET paused = 0",
        )
        .await;
    world.insert("bystander").await;
    for env in ["edited", "bystander"] {
        world.wait_for_state(env, "online").await;
    }
    world.stop().await.unwrap();
}

/// A feeder that replaces its row by DELETE and INSERT, again and again, while its create is on its way.
#[tokio::test]
async fn however_often_a_request_is_replaced_during_its_call_no_second_create_is_sent_meanwhile() {
    for times in 1..4 {
        let mut world = World::new().await;
        world.simulator.fault(Fault::on(Endpoint::Create).once().held());
        world.insert("x").await;
        world.start();
        world.see(|simulator| simulator.held() == 1).await;
        for _ in 0..times {
            world.execute("DELETE FROM queue WHERE env = 'x'").await;
            world
                .execute("INSERT INTO queue (env, priority) VALUES ('x', 5)")
                .await;
        }
        // Another request passes meanwhile: the daemon has seen all of it.
        world.insert("y").await;
        world.wait_for_state("y", "online").await;
        let about_x = world.simulator.ledger();
        let about_x = about_x.iter().filter(|entry| entry.env.as_deref() == Some("x"));
        assert!(
            about_x.count() <= 1,
            "{times} times: the first call is not answered yet"
        );
        world.simulator.release();
        world.wait_for_state("x", "online").await;
        assert_eq!(world.simulator.calls(Endpoint::Create), 2, "{times} times");
        world.stop().await.unwrap();
    }
}
