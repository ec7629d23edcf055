//! Who goes first, who waits, and how many at once.

use std::time::Duration;

use staticstored::simulator::{Endpoint, Entry, Fault};

use super::{SECOND, UNFINISHED};
use crate::world::World;

/// A daemon that makes one call at a time and looks at nothing afterwards.
async fn one_at_a_time() -> World {
    let mut world = World::new().await;
    world.set("api.max_in_flight", "1");
    world.set("confirm.enabled", "false");
    world
}

/// The environments in the order of their creates.
fn created(world: &World) -> Vec<String> {
    let ledger = world.simulator.ledger();
    ledger
        .into_iter()
        .filter(|entry| entry.endpoint == Endpoint::Create)
        .filter_map(|entry| entry.env)
        .collect()
}

#[tokio::test]
async fn higher_priority_goes_first_then_who_came_first() {
    let mut world = one_at_a_time().await;
    for (env, priority) in [("a", 0), ("b", 5), ("c", -1), ("d", 5), ("e", 0)] {
        world
            .execute(&format!(
                "INSERT INTO queue (env, priority) VALUES ('{env}', {priority})"
            ))
            .await;
    }
    // The same again: the higher priority wins.
    world
        .execute("INSERT INTO queue (env, priority) VALUES ('e', 9), ('b', 0)")
        .await;
    world.start();
    world.wait_for(UNFINISHED, &["0"]).await;
    assert_eq!(created(&world), ["e", "b", "d", "a", "c"]);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_priority_changed_while_a_request_waits_counts() {
    let mut world = one_at_a_time().await;
    world.execute("UPDATE service SET paused = 1").await;
    world.start();
    world.wait_for_service("paused").await;
    for env in ["a", "b", "c"] {
        world.insert(env).await;
    }
    world
        .execute("UPDATE queue SET priority = 1 WHERE env = 'c'")
        .await;
    world.execute("UPDATE service SET paused = 0").await;
    world.wait_for(UNFINISHED, &["0"]).await;
    assert_eq!(created(&world), ["c", "a", "b"]);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_is_tried_before_its_time_however_often_that_is_changed() {
    let mut world = World::by_hand().await;
    let hours = |hours: i64| {
        let at = world.clock.now() + chrono::Duration::hours(hours);
        staticstored::clock::text(at)
    };
    let (early, late) = (hours(1), hours(30));
    world.start();
    for env in ["kept", "earlier", "later", "freed"] {
        world
            .execute(&format!(
                "INSERT INTO queue (env, not_before) VALUES ('{env}', '{early}')"
            ))
            .await;
        assert_eq!(
            world.status("state, attempts, next_attempt_at", env).await,
            format!("pending|0|{early}")
        );
    }
    world
        .execute("UPDATE queue SET not_before = '2026-01-01T00:00:00Z' WHERE env = 'earlier'")
        .await;
    world
        .execute(&format!(
            "UPDATE queue SET not_before = '{late}' WHERE env = 'later'"
        ))
        .await;
    world
        .execute("UPDATE queue SET not_before = NULL WHERE env = 'freed'")
        .await;
    world
        .fly(
            SECOND,
            "SELECT env FROM status WHERE state = 'online' ORDER BY env",
            &["earlier", "freed"],
        )
        .await;
    assert_eq!(created(&world).len(), 2);
    let minute = Duration::from_secs(60);
    world
        .fly(
            minute,
            "SELECT env FROM status WHERE state = 'online' ORDER BY env",
            &["earlier", "freed", "kept"],
        )
        .await;
    assert_eq!(
        world.status("state, next_attempt_at", "later").await,
        format!("pending|{late}")
    );
    let kept = world
        .simulator
        .ledger()
        .into_iter()
        .find(|entry| entry.endpoint == Endpoint::Create && entry.env.as_deref() == Some("kept"));
    assert!(staticstored::clock::text(kept.unwrap().at) >= early);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_paused_daemon_calls_nothing_and_goes_on_when_it_is_resumed() {
    let mut world = World::by_hand().await;
    world.execute("UPDATE service SET paused = 1").await;
    world.start();
    world.wait_for_service("paused").await;
    for env in ["a", "b"] {
        world.insert(env).await;
    }
    // A heartbeat later the daemon has seen both.
    let beat = world.row("SELECT heartbeat_at FROM service").await;
    let later = format!("SELECT heartbeat_at > '{beat}', state, reason, remedy IS NOT NULL FROM service");
    world
        .fly(SECOND, &later, &["1|paused|service.paused is 1|1"])
        .await;
    assert_eq!(world.simulator.calls(Endpoint::Create), 0);
    assert_eq!(
        world.rows("SELECT DISTINCT state, attempts FROM status").await,
        ["pending|0"]
    );
    world.execute("UPDATE service SET paused = 0").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    world.wait_for_service("running").await;

    world.execute("UPDATE service SET paused = 1").await;
    world.wait_for_service("paused").await;
    let calls = world.simulator.ledger().len();
    world.insert("c").await;
    let beat = world.row("SELECT heartbeat_at FROM service").await;
    world
        .fly(
            SECOND,
            &format!("SELECT heartbeat_at > '{beat}' FROM service"),
            &["1"],
        )
        .await;
    assert_eq!(world.simulator.ledger().len(), calls);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn no_more_calls_are_in_flight_than_are_allowed_and_with_one_place_both_calls_get_their_turn() {
    for (allowed, number) in [("1", 1), ("3", 3)] {
        let mut world = World::new().await;
        world.set("api.max_in_flight", allowed);
        world
            .simulator
            .fault(Fault::on(Endpoint::Create).delay(Duration::from_millis(10)));
        let envs: Vec<String> = (0..30).map(|i| format!("env-{i}")).collect();
        world.insert_all(&envs).await;
        world.start();
        world.wait_for(UNFINISHED, &["0"]).await;
        assert_eq!(world.simulator.max_in_flight(), number);
        assert_eq!(world.simulator.needless_creates(), 0);
        world.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_limit_of_creates_in_a_second_keeps_within_the_platforms_own() {
    let mut world = World::with(|options| options.creates_per_second = 20).await;
    world.set("api.creates_per_second", "8");
    let envs: Vec<String> = (0..16).map(|i| format!("env-{i}")).collect();
    world.insert_all(&envs).await;
    world.start();
    world.wait_for(UNFINISHED, &["0"]).await;
    assert_eq!(
        world
            .rows("SELECT DISTINCT errcode, count(*) FROM attempt WHERE call = 'create'")
            .await,
        ["0|16"]
    );
    world.stop().await.unwrap();
}

/// The lease of a claim whose row may wait behind others is the longer one.
#[tokio::test]
async fn a_claim_holds_for_as_long_as_what_may_be_called_first_can_take() {
    let lease = "SELECT unixepoch(due_at) - unixepoch(updated_at) FROM queue JOIN status USING (env)";
    for (per_second, seconds) in [("0", (16 + 2) * 20 + 60), ("50", 2 * 20 + 60)] {
        let mut world = World::new().await;
        world.set("api.request_timeout", "20s");
        world.set("api.creates_per_second", per_second);
        world.simulator.fault(Fault::on(Endpoint::Create).once().held());
        world.insert("a").await;
        world.start();
        world.see(|simulator| simulator.held() == 1).await;
        assert_eq!(
            world.row(lease).await,
            seconds.to_string(),
            "{per_second} a second"
        );
        world.simulator.release();
        world.stop().await.unwrap();
    }
}

/// A daemon whose one place is taken by a call that is held, and that may have claimed others ahead of theirs.
async fn with_its_place_taken() -> World {
    let mut world = one_at_a_time().await;
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).env("held").once().held());
    world
        .execute("INSERT INTO queue (env, priority) VALUES ('held', 1), ('a', 0), ('b', 0)")
        .await;
    world.start();
    world.see(|simulator| simulator.held() == 1).await;
    world
}

const UNTOUCHED: &str = "SELECT env FROM status JOIN queue USING (env) \
     WHERE state = 'pending' AND attempts = 0 AND errcode IS NULL AND claim IS NULL AND call = 'create' ORDER BY env";

#[tokio::test]
async fn a_pause_leaves_those_untouched_whose_turn_had_not_come() {
    let mut world = with_its_place_taken().await;
    world.execute("UPDATE service SET paused = 1").await;
    world.wait_for_service("paused").await;
    world.wait_for(UNTOUCHED, &["a", "b"]).await;
    world.simulator.release();
    world.wait_for_state("held", "accepted").await;
    assert_eq!(world.rows(UNTOUCHED).await, ["a", "b"]);
    assert_eq!(created(&world), ["held"]);
    world.execute("UPDATE service SET paused = 0").await;
    world.wait_for(UNFINISHED, &["0"]).await;
    assert_eq!(
        world.rows("SELECT DISTINCT state, attempts FROM status").await,
        ["accepted|1"]
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight_and_leaves_the_others_untouched() {
    let mut world = with_its_place_taken().await;
    let released = {
        let simulator = world.simulator.clone();
        async move {
            simulator.wait_until(|simulator| simulator.held() == 1).await;
            simulator.release();
        }
    };
    let (stopped, ()) = tokio::join!(world.stop(), released);
    stopped.unwrap();
    assert_eq!(world.status("state, attempts", "held").await, "accepted|1");
    assert_eq!(world.rows(UNTOUCHED).await, ["a", "b"]);
    assert_eq!(world.row("SELECT state FROM service").await, "stopped");
    assert_eq!(created(&world), ["held"]);
}

/// Within one priority, the request that has been ready longest goes first, for both calls.
#[tokio::test]
async fn old_requests_that_are_tried_again_and_again_do_not_keep_a_new_one_waiting() {
    for endpoint in [Endpoint::Create, Endpoint::Describe] {
        let mut world = World::new().await;
        world.set("api.max_in_flight", "1");
        world.set("retry.initial_backoff", "1ms");
        world.set("retry.max_backoff", "1ms");
        let old: Vec<String> = (0..20).map(|n| format!("old{n}")).collect();
        for env in &old {
            let fault = Fault::on(endpoint).errcode(-501_003, "quota").env(env);
            world.simulator.fault(fault);
        }
        world.insert_all(&old).await;
        world.start();
        world.see(|simulator| simulator.calls(endpoint) > 100).await;
        let before = world.simulator.ledger().len();
        world.insert("new").await;
        world.wait_for_state("new", "online").await;
        let ledger = world.simulator.ledger();
        let new = |entry: &&Entry| entry.env.as_deref() == Some("new") && entry.endpoint == endpoint;
        let first = ledger.iter().position(|entry| new(&entry)).unwrap();
        // A round of the old ones, and those that went on until the INSERT was seen.
        assert!(
            first - before < 20 * 8,
            "{} calls of others came first",
            first - before
        );
        world.stop().await.unwrap();
    }
}
