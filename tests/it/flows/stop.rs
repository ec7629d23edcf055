//! A stop comes to its end, whatever is in the way, and costs no request anything.

use std::time::Duration;

use sqlx::Connection;
use staticstored::simulator::{Endpoint, Fault};

use crate::world::World;

/// A stop that waits for what does not come takes longer.
const BOUND: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_stop_does_not_wait_for_a_token_that_does_not_come() {
    let mut world = World::by_hand().await;
    world.start();
    world
        .wait_for("SELECT token_expires_at IS NOT NULL FROM service", &["1"])
        .await;
    world
        .simulator
        .fault(Fault::on(Endpoint::Exchange).errcode(40125, "invalid appsecret"));
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).once().errcode(40001, "not latest"));
    world.insert("interrupted").await;
    world.wait_for_service("blocked").await;
    tokio::time::timeout(Duration::from_secs(10), world.stop())
        .await
        .expect("a stop that waits for no token")
        .unwrap();
    assert_eq!(world.history("interrupted").await, ["create:token"]);
    assert_eq!(
        world
            .row("SELECT call, claim, failures, state FROM queue JOIN status USING (env)")
            .await,
        "create|NULL|0|retrying"
    );
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever_for_another_programs_lock_and_nothing_is_created_twice() {
    let mut world = World::new().await;
    world.set("api.request_timeout", "1s");
    world.simulator.fault(Fault::on(Endpoint::Create).once().held());
    world.start_to_crash();
    world.insert("unsettled").await;
    world.see(|simulator| simulator.held() == 1).await;
    let mut other = world.connection().await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    world.simulator.release();
    world.see(|simulator| simulator.in_flight() == 0).await;
    tokio::time::timeout(BOUND, world.stop())
        .await
        .expect("a bounded stop")
        .unwrap();
    lock.commit().await.unwrap();
    world.start();
    world.wait_for_state("unsettled", "online").await;
    assert_eq!(world.simulator.calls(Endpoint::Create), 1);
    world.stop().await.unwrap();
}
