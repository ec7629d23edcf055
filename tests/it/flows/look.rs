//! Look before you create.

use std::time::Duration;

use staticstored::simulator::{Endpoint, Fault};

use crate::world::World;

/// A daemon, and an environment whose website it has opened.
async fn opened(env: &str) -> World {
    let mut world = World::new().await;
    world.start();
    world.insert(env).await;
    world.wait_for_state(env, "online").await;
    world
}

async fn history_since(world: &World, env: &str, done: usize) -> Vec<String> {
    world.history(env).await.split_off(done)
}

#[tokio::test]
async fn a_website_that_is_open_is_found_and_not_created_when_it_is_requested_again() {
    let mut world = opened("again").await;
    let done = world.history("again").await.len();
    world.insert("again").await;
    world
        .wait_for(
            "SELECT state, attempts FROM status WHERE domain IS NOT NULL",
            &["online|0"],
        )
        .await;
    assert_eq!(history_since(&world, "again", done).await, ["describe:online"]);
    assert_eq!(world.simulator.calls(Endpoint::Create), 1);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_website_that_is_gone_or_offline_is_created_again() {
    let mut world = opened("gone").await;
    world.insert("off").await;
    world.wait_for_state("off", "online").await;
    world.simulator.remove_store("gone");
    world.simulator.set_store("off", "offline");
    for env in ["gone", "off"] {
        let done = world.history(env).await.len();
        world.insert(env).await;
        world.wait_for_state(env, "online").await;
        let history = history_since(&world, env, done).await;
        assert_eq!(history[..2], ["describe:absent", "create:accepted"], "{env}");
        assert_eq!(world.status("attempts, remedy", env).await, "1|NULL");
        assert_eq!(world.simulator.effective_creates(env), 2);
    }
    assert_eq!(world.simulator.needless_creates(), 0);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_website_that_is_being_destroyed_is_waited_for_and_then_created_once() {
    let mut world = opened("going").await;
    world.simulator.set_store("going", "destroying");
    let done = world.history("going").await.len();
    world.insert("going").await;
    world.wait_for_state("going", "retrying").await;
    assert_eq!(
        world
            .status("attempts, remedy, errmsg LIKE '%destroying%'", "going")
            .await,
        "0|NULL|1"
    );
    world.simulator.destroy_store("going", Duration::from_millis(50));
    world.wait_for_state("going", "online").await;
    let history = history_since(&world, "going", done).await;
    assert_eq!(history[0], "describe:not_yet");
    assert_eq!(
        history
            .iter()
            .filter(|call| call.starts_with("create"))
            .collect::<Vec<_>>(),
        ["create:accepted"]
    );
    assert_eq!(
        (
            world.simulator.effective_creates("going"),
            world.simulator.needless_creates()
        ),
        (2, 0)
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_website_on_its_way_counts_as_accepted() {
    for status in ["init", "process"] {
        let mut world = opened("on-its-way").await;
        world.simulator.set_store("on-its-way", status);
        world.insert("on-its-way").await;
        world.wait_for_state("on-its-way", "opening").await;
        world
            .wait_for(
                "SELECT count(*) > 0 FROM attempt WHERE outcome = 'accepted' AND call = 'describe'",
                &["1"],
            )
            .await;
        world.simulator.set_store("on-its-way", "online");
        world.wait_for_state("on-its-way", "online").await;
        assert_eq!(world.simulator.calls(Endpoint::Create), 1, "{status}");
        world.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_website_that_failed_to_open_or_to_close_fails_with_a_remedy_and_says_which() {
    let mut world = opened("broken").await;
    for status in ["create_fail", "destroy_fail"] {
        world.simulator.set_store("broken", status);
        world.insert("broken").await;
        let wanted = format!("failed|0|0|ok; status: {status}|1");
        world
            .wait_for(
                "SELECT state, attempts, errcode, errmsg, remedy LIKE '%console%' FROM status",
                &[&wanted],
            )
            .await;
    }
    assert_eq!(world.simulator.calls(Endpoint::Create), 1);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_website_that_fails_while_it_opens_fails_the_request() {
    let mut world = World::new().await;
    world.simulator.set_opening(
        "fails",
        staticstored::simulator::Opening::fails_after(Duration::from_millis(30)),
    );
    world.insert("fails").await;
    world.start();
    world.wait_for_state("fails", "failed").await;
    assert_eq!(
        world
            .status(
                "attempts, errmsg LIKE '%create_fail%', remedy IS NOT NULL",
                "fails"
            )
            .await,
        "1|1|1"
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_status_that_nobody_knows_is_kept_as_it_came_and_asked_again() {
    let mut world = opened("strange").await;
    for status in [Some("frozen"), None] {
        world.simulator.set_store("strange", status);
        world.insert("strange").await;
        let message = format!("ok; status: {}", status.unwrap_or("null"));
        let wanted = format!("retrying|0|{message}|NULL");
        let seen = "SELECT state, attempts, errmsg, remedy FROM status WHERE state <> 'opening'";
        world.wait_for(seen, &[&wanted]).await;
        world.simulator.set_store("strange", "online");
        world.wait_for_state("strange", "online").await;
    }
    assert_eq!(world.simulator.calls(Endpoint::Create), 1);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_daemon_killed_after_its_create_took_effect_finds_the_website() {
    let mut world = World::new().await;
    world.simulator.fault(Fault::on(Endpoint::Create).held());
    world.insert("killed").await;
    world.start_to_crash();
    world.see(|simulator| simulator.held() == 1).await;
    world.crash().await;
    world.simulator.clear_faults();
    assert_eq!(
        world
            .row("SELECT call, claim IS NOT NULL, state, attempts FROM queue JOIN status USING (env)")
            .await,
        "describe|1|opening|1"
    );
    world.start();
    world.wait_for_state("killed", "online").await;
    assert!(world.history("killed").await[0].starts_with("describe:"));
    assert_eq!(world.simulator.calls(Endpoint::Create), 1);
    assert_eq!(world.status("attempts", "killed").await, "1");
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_daemon_killed_before_its_create_took_effect_looks_and_creates() {
    let mut world = World::new().await;
    world.simulator.fault(Fault::on(Endpoint::Create).cut().held());
    world.insert("killed").await;
    world.start_to_crash();
    world.see(|simulator| simulator.held() == 1).await;
    world.crash().await;
    world.simulator.clear_faults();
    world.start();
    world.wait_for_state("killed", "online").await;
    let history = world.history("killed").await;
    assert_eq!(history[..2], ["describe:absent", "create:accepted"]);
    assert_eq!(world.simulator.effective_creates("killed"), 1);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_row_postponed_while_a_daemon_died_on_it_stays_postponed() {
    let mut world = World::by_hand().await;
    world.simulator.fault(Fault::on(Endpoint::Create).held());
    world.insert("later").await;
    world.start_to_crash();
    world.see(|simulator| simulator.held() == 1).await;
    world
        .execute("UPDATE queue SET not_before = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 hour')")
        .await;
    world.crash().await;
    world.simulator.clear_faults();
    world.start();
    // Both are ready to be looked at from here on, were it not for not_before.
    world.insert("other").await;
    world
        .fly(
            super::SECOND,
            "SELECT state FROM status WHERE env = 'other'",
            &["online"],
        )
        .await;
    assert_eq!(world.simulator.calls_for(Endpoint::Describe, "later"), 0);
    let step = Duration::from_secs(60);
    world
        .fly(step, "SELECT state FROM status WHERE env = 'later'", &["online"])
        .await;
    assert_eq!(world.simulator.effective_creates("later"), 1);
    world.stop().await.unwrap();
}

/// A machine that was suspended wakes up with its calls still on their way: a look would come before them.
#[tokio::test]
async fn a_jump_of_the_clock_ends_no_claim_whose_call_is_on_its_way() {
    let mut world = World::by_hand().await;
    world.set("api.request_timeout", "30s");
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).env("slow").once().held());
    world.insert("slow").await;
    world.start();
    world.see(|simulator| simulator.held() == 1).await;
    world.clock.advance(Duration::from_secs(3600));
    let leases = "SELECT due_at < (SELECT heartbeat_at FROM service) FROM queue WHERE env = 'slow'";
    world.fly(Duration::from_secs(1), leases, &["1"]).await;
    world.insert("other").await;
    let other = "SELECT state FROM status WHERE env = 'other'";
    world.fly(Duration::from_secs(1), other, &["online"]).await;
    assert_eq!(world.simulator.calls_for(Endpoint::Describe, "slow"), 0);
    world.simulator.release();
    let slow = "SELECT state FROM status WHERE env = 'slow'";
    world.fly(Duration::from_secs(1), slow, &["online"]).await;
    assert_eq!(world.simulator.calls_for(Endpoint::Create, "slow"), 1);
    world.stop().await.unwrap();
}
