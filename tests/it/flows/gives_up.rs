//! When patience is over: failed, with a remedy.

use std::time::Duration;

use staticstored::simulator::{Endpoint, Fault, Opening};

use super::SECOND;
use crate::world::World;

#[tokio::test]
async fn what_does_not_pass_in_time_fails_with_its_last_answer_and_a_remedy() {
    let mut world = World::by_hand().await;
    world.set("retry.give_up_after", "30s");
    world.set("retry.initial_backoff", "1s");
    world.set("retry.max_backoff", "4s");
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).errcode(-501_003, "quota"));
    world.insert("stuck").await;
    world.start();
    world.fly(SECOND, "SELECT state FROM status", &["failed"]).await;
    let columns = "attempts > 2, errcode, rid IS NOT NULL, remedy LIKE '%retry.give_up_after%', next_attempt_at, \
                   finished_at IS NOT NULL";
    assert_eq!(world.status(columns, "stuck").await, "1|-501003|1|1|NULL|1");
    // By the daemon's own time: the platform's may be a step behind, where the clock moves during a call.
    let patience = "SELECT round(86400 * (julianday(finished_at) - julianday((SELECT min(at) FROM attempt)))) >= 30 FROM status";
    assert_eq!(world.row(patience).await, "1");
    let calls = world.simulator.calls(Endpoint::Create);
    assert_eq!(world.status("attempts", "stuck").await, calls.to_string());
    assert_eq!(
        world.history("stuck").await.last().map(String::as_str),
        Some("create:failed")
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_website_that_does_not_come_online_in_time_fails_with_a_remedy_and_is_found_when_requested_again() {
    let mut world = World::by_hand().await;
    world.set("confirm.give_up_after", "30s");
    world.set("confirm.initial_interval", "2s");
    world.set("confirm.max_interval", "8s");
    world
        .simulator
        .set_opening("slow", Opening::online_after(Duration::from_secs(3600)));
    world.insert("slow").await;
    world.start();
    world.fly(SECOND, "SELECT state FROM status", &["failed"]).await;
    let columns = "attempts, errcode, remedy LIKE '%did not come online in time%', next_attempt_at";
    assert_eq!(world.status(columns, "slow").await, "1|0|1|NULL");
    let history = world.history("slow").await;
    assert_eq!(
        (history[1].as_str(), history.last().map(String::as_str)),
        ("describe:not_yet", Some("describe:failed"))
    );
    world.clock.advance(Duration::from_secs(3600));
    world.insert("slow").await;
    world.fly(SECOND, "SELECT state FROM status", &["online"]).await;
    assert_eq!(world.status("attempts, remedy", "slow").await, "0|NULL");
    assert_eq!(world.simulator.calls(Endpoint::Create), 1);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn without_confirmation_a_create_whose_answer_was_lost_is_still_looked_at() {
    let mut world = World::new().await;
    world.set("confirm.enabled", "false");
    let lost = |env: &str| Fault::on(Endpoint::Create).env(env).once().cut();
    world.simulator.fault(lost("lost").after_effect());
    world.simulator.fault(lost("never-came"));
    for env in ["lost", "never-came"] {
        world
            .simulator
            .set_opening(env, Opening::online_after(Duration::from_secs(3600)));
        world.insert(env).await;
    }
    world.start();
    for env in ["lost", "never-came"] {
        world.wait_for_state(env, "accepted").await;
        assert_eq!(world.simulator.effective_creates(env), 1);
    }
    assert_eq!(
        world.status("attempts, remedy, next_attempt_at", "lost").await,
        "1|NULL|NULL"
    );
    assert_eq!(world.row("SELECT count(*) FROM queue").await, "0");
    world.stop().await.unwrap();
}

/// "failed" must not be said of an open website: a create that may have taken effect is looked at, however late it is.
#[tokio::test]
async fn a_create_that_broke_when_time_was_over_is_looked_at_once_more() {
    let mut world = World::by_hand().await;
    world.set("retry.initial_backoff", "10m");
    world.set("retry.max_backoff", "10m");
    world.set("retry.give_up_after", "1h");
    let create = || Fault::on(Endpoint::Create).env("late");
    world.simulator.fault(create().once().errcode(45011, "slow down"));
    world.simulator.fault(create().once().cut().after_effect().held());
    world.insert("late").await;
    world.start();
    world.wait_for_state("late", "retrying").await;
    world
        .fly(SECOND, "SELECT claim IS NOT NULL FROM queue", &["1"])
        .await;
    world.see(|simulator| simulator.held() == 1).await;
    world.clock.advance(std::time::Duration::from_secs(2 * 3600));
    world.simulator.release();
    world.fly(SECOND, "SELECT state FROM status", &["online"]).await;
    assert_eq!(world.simulator.calls(Endpoint::Create), 2);
    world.stop().await.unwrap();
}

/// A create whose effect nobody knows is looked at before it is made again: the look must know the deadline, too.
#[tokio::test]
async fn creates_that_are_answered_by_minus_one_for_ever_are_given_up_and_hold_up_nobody() {
    let mut world = World::by_hand().await;
    world.set("retry.give_up_after", "1m");
    world.set("retry.initial_backoff", "1s");
    world.set("retry.max_backoff", "4s");
    let never: Vec<String> = (0..5).map(|n| format!("never{n}")).collect();
    for (env, fault) in never.iter().zip([
        Fault::on(Endpoint::Create).errcode(-1, "system error"),
        Fault::on(Endpoint::Create).http(502),
        Fault::on(Endpoint::Create).cut(),
        Fault::on(Endpoint::Create).no_json(),
        Fault::on(Endpoint::Create).errcode(-501_002, "no answer in time"),
    ]) {
        world.simulator.fault(fault.env(env));
    }
    world.insert_all(&never).await;
    world.insert("good").await;
    world.start();
    let ended = "SELECT state, count(*) FROM status GROUP BY state";
    world.fly(SECOND, ended, &["failed|5", "online|1"]).await;
    for env in &never {
        let columns = "attempts >= 3, remedy LIKE '%retry.give_up_after%', next_attempt_at";
        assert_eq!(world.status(columns, env).await, "1|1|NULL");
        // Each create is at least as far from the one before as the look that lies between them.
        let history = world.history(env).await;
        let looks = history
            .iter()
            .filter(|call| call.starts_with("describe:"))
            .count();
        assert!(looks * 2 >= history.len() - 1, "{env}: {history:?}");
    }
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_pause_longer_than_patience_costs_a_request_nothing() {
    let mut world = World::by_hand().await;
    world.set("retry.give_up_after", "1h");
    world.set("retry.initial_backoff", "10s");
    world.set("retry.max_backoff", "10s");
    let quota = |times| {
        Fault::on(Endpoint::Create)
            .errcode(-501_003, "quota")
            .times(times)
    };
    world.simulator.fault(quota(4));
    world.insert("patient").await;
    world.start();
    world.fly(SECOND, "SELECT failures FROM queue", &["3"]).await;
    world.execute("UPDATE service SET paused = 1").await;
    world.wait_for_service("paused").await;
    world.clock.advance(Duration::from_secs(7 * 24 * 3600));
    // The ticket and the token are older than that, too.
    world.execute("UPDATE service SET paused = 0").await;
    world.simulator.new_ticket();
    world.give_ticket().await;
    world.fly(SECOND, "SELECT state FROM status", &["online"]).await;
    assert_eq!(world.status("attempts", "patient").await, "5");
    world.stop().await.unwrap();
}
