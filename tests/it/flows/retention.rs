//! What is kept is kept, what is pruned is pruned.

use std::time::Duration;

use staticstored::housekeeping::{Retention, keep};
use staticstored::pulse::Pulse;
use staticstored::store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::world::World;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Keeps house once, at the time of the test's clock.
async fn keep_house(world: &World, attempts: Option<Duration>, status: Option<Duration>) {
    let tasks = TaskTracker::new();
    let store = Store::open(&world.database(), &Pulse::default(), &tasks)
        .await
        .unwrap();
    let retention = Retention {
        attempts,
        status,
        schedule: "0 0 0 * * *".into(),
    };
    keep(&store, &retention, world.clock.now(), &CancellationToken::new())
        .await
        .unwrap();
}

/// 1200 old and as many young of everything, which is more than one piece; and a request that is still owed.
async fn fill(world: &World) {
    let numbers = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1200)";
    for (age, days) in [("old", 40), ("young", 20)] {
        let at = format!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-{days} days')");
        world
            .execute(&format!(
                "INSERT INTO attempt (env, at, call, latency_ms, outcome) {numbers}
                 SELECT '{age}-' || i, {at}, 'create', 1, 'accepted' FROM n;
                 INSERT INTO status (env, state, requested_at, updated_at, finished_at, request) {numbers}
                 SELECT '{age}-' || i, 'failed', {at}, {at}, {at}, i FROM n;
                 INSERT INTO queue (env, requested_at) VALUES ('owed-{age}', {at});
                 INSERT INTO ticket (component_verify_ticket) VALUES ('ticket-{age}')"
            ))
            .await;
    }
}

async fn counts(world: &World) -> String {
    world
        .row(
            "SELECT (SELECT count(*) FROM attempt WHERE env LIKE 'old%'), (SELECT count(*) FROM attempt), \
                    (SELECT count(*) FROM status WHERE env LIKE 'old%'), (SELECT count(*) FROM status), \
                    (SELECT count(*) FROM queue), (SELECT group_concat(component_verify_ticket) FROM ticket)",
        )
        .await
}

#[tokio::test]
async fn what_is_older_than_its_retention_is_pruned_and_nothing_else() {
    let world = World::new().await;
    fill(&world).await;
    keep_house(&world, Some(30 * DAY), Some(30 * DAY)).await;
    assert_eq!(counts(&world).await, "0|1200|0|1202|2|ticket-young");
    // Again: there is nothing more to do.
    keep_house(&world, Some(30 * DAY), Some(30 * DAY)).await;
    assert_eq!(counts(&world).await, "0|1200|0|1202|2|ticket-young");
}

#[tokio::test]
async fn what_is_to_be_kept_for_ever_is_kept() {
    let world = World::new().await;
    fill(&world).await;
    keep_house(&world, None, None).await;
    assert_eq!(counts(&world).await, "1200|2400|1200|2402|2|ticket-young");
}

#[tokio::test]
async fn a_website_whose_status_was_pruned_is_requested_like_a_new_one() {
    let mut world = World::new().await;
    world.start();
    world.insert("old").await;
    world.wait_for_state("old", "online").await;
    world.stop().await.unwrap();
    world
        .execute("UPDATE status SET finished_at = '2020-01-01T00:00:00.000Z'")
        .await;
    keep_house(&world, None, Some(DAY)).await;
    assert_eq!(world.row("SELECT count(*) FROM status").await, "0");
    world.simulator.remove_store("old");
    world.start();
    world.insert("old").await;
    world.wait_for_state("old", "online").await;
    world.stop().await.unwrap();
}
