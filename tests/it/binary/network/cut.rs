//! The cable is pulled in mid-drain, and plugged in again.

use std::time::Duration;

use staticstored::simulator::Endpoint;

use super::Far;
use crate::binary::until;
use crate::world::within;

/// Requested before the cable is pulled, and again once it is: there is always something that the cut stops.
const ENVS: usize = 100;
const ROUNDS: usize = 2;
/// Of each connection.
const CALLS: u32 = 20;
/// As long as two looks may take.
const LONG: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cut_network_swallowed_is_looked_at_first_and_nothing_is_lost_or_opened_twice() {
    let Some(mut far) = Far::new(CALLS).await else {
        return;
    };
    far.station.start();
    for round in 0..ROUNDS {
        let world = &far.station.world;
        let first = round * 2 * ENVS;
        far.station.insert_numbered(first + 1..=first + ENVS).await;
        let some = (first + ENVS / 2) as u64;
        within(world.simulator.wait_for_calls(Endpoint::Create, some)).await;
        far.cable.pull();
        far.station
            .insert_numbered(first + ENVS + 1..=first + 2 * ENVS)
            .await;
        world
            .wait_for(
                "SELECT state, reason LIKE '%out of reach%' FROM service",
                &["running|1"],
            )
            .await;
        far.cable.plug_in();
        world
            .wait_for("SELECT state, reason FROM service", &["running|NULL"])
            .await;
    }
    far.all_online(ROUNDS * 2 * ENVS).await;
    let swallowed = "SELECT count(*) > 0 FROM attempt WHERE call = 'create' AND errmsg LIKE 'no answer from Weixin: timed out%'";
    assert_eq!(far.station.world.row(swallowed).await, "1");
}

/// The kernel goes on sending what was given to it, also when the daemon has long given up the call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_was_given_up_is_not_delivered_after_the_look() {
    let Some(mut far) = Far::new(CALLS).await else {
        return;
    };
    far.station.world.set("api.request_timeout", "1s");
    far.station.world.set("api.connect_timeout", "500ms");
    far.station.start();
    let world = &far.station.world;
    world.insert("before").await;
    world.wait_for_state("before", "online").await;

    far.cable.pull();
    world.insert("swallowed").await;
    world.wait_for_state("swallowed", "retrying").await;
    // Either the kernel has nothing left, or it waits so long for its next try that a look comes first.
    until(|| far.cable.next_try().is_none_or(|wait| wait >= LONG)).await;
    far.cable.plug_in();
    far.all_online(2).await;
}
