//! The clock is set back, by a day: nothing waits until it has caught up.

use std::time::Duration;

use staticstored::clock::{Timestamp, after};
use staticstored::simulator::{Endpoint, Fault};

use crate::world::World;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn before(now: Timestamp, by: Duration) -> Timestamp {
    now - by
}

/// A world with a request that is to be tried again soon, one that is looked at until it is online, and one that is not to
/// be called before tomorrow.
async fn waiting() -> World {
    let mut world = World::by_hand().await;
    world.set("retry.initial_backoff", "30s");
    world.set("retry.max_backoff", "30s");
    world.set("confirm.initial_interval", "30s");
    world.set("confirm.max_interval", "30s");
    let fault = Fault::on(Endpoint::Create).errcode(-1, "system error");
    world.simulator.fault(fault.env("again").once());
    world.simulator.set_opening(
        "opens",
        staticstored::simulator::Opening::online_after(Duration::from_secs(1)),
    );
    let tomorrow = staticstored::clock::text(after(world.clock.now(), DAY));
    world
        .execute(&format!(
            "INSERT INTO queue (env, not_before) VALUES ('tomorrow', '{tomorrow}')"
        ))
        .await;
    world.insert_all(&["again".to_owned(), "opens".to_owned()]).await;
    world.start();
    world.wait_for_state("again", "retrying").await;
    world.wait_for_state("opens", "opening").await;
    let settled = "SELECT count(*) FROM queue WHERE claim IS NULL AND due_at IS NOT NULL";
    world.wait_for(settled, &["3"]).await;
    world
}

/// Both are through within an hour by the new time, and the third is where its feeder wanted it.
async fn goes_on(world: &mut World) {
    // Weixin's own clock is right all the while.
    world.simulator.set_store("opens", "online");
    let started_at = world.clock.now();
    let states = "SELECT env, state FROM status ORDER BY env";
    world
        .fly(
            Duration::from_secs(10),
            states,
            &["again|online", "opens|online", "tomorrow|pending"],
        )
        .await;
    assert!(world.clock.now() < after(started_at, Duration::from_secs(3600)));
    assert_eq!(
        world
            .row(
                "SELECT due_at = not_before, next_attempt_at = not_before FROM queue JOIN status USING (env)"
            )
            .await,
        "1|1"
    );
    assert_eq!(world.simulator.needless_creates(), 0);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_clock_that_is_set_back_lets_nothing_wait_for_its_old_time() {
    let mut world = waiting().await;
    world.clock.set(before(world.clock.now(), DAY));
    goes_on(&mut world).await;
}

#[tokio::test]
async fn nor_does_one_that_was_set_back_while_the_daemon_was_stopped() {
    let mut world = waiting().await;
    world.stop().await.unwrap();
    world.clock.set(before(world.clock.now(), DAY));
    world.start();
    goes_on(&mut world).await;
}

#[tokio::test]
async fn nor_what_everybody_waits_for_a_probe_of_the_line_and_a_token() {
    for endpoint in [Endpoint::Exchange, Endpoint::Create] {
        let mut world = World::by_hand().await;
        let code = if endpoint == Endpoint::Exchange {
            40125
        } else {
            61004
        };
        world
            .simulator
            .fault(Fault::on(endpoint).errcode(code, "refused"));
        world.insert("a").await;
        world.start();
        world.wait_for_service("blocked").await;
        let seen = world.clock.now();
        world.clock.set(before(seen, DAY));
        world.simulator.clear_faults();
        let alive = "SELECT heartbeat_at < (SELECT requested_at FROM status WHERE env = 'a') FROM service";
        world.wait_for(alive, &["1"]).await;
        world
            .fly(Duration::from_secs(10), "SELECT state FROM status", &["online"])
            .await;
        assert!(
            world.clock.now() < after(before(seen, DAY), Duration::from_secs(3600)),
            "{endpoint:?}"
        );
        world.stop().await.unwrap();
    }
}
