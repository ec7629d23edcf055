//! Answers that come a byte a second: each is right, and none comes to its end in time.

use std::time::Duration;

use staticstored::simulator::{Endpoint, Fault};

use super::Station;
use crate::world::within;

/// Requested before, and again once the answers drip: there is always a create that meets it.
const ENVS: usize = 50;
/// Between two bytes.
const PAUSE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_a_byte_a_second_are_no_answers_and_what_they_did_is_seen_later() {
    let mut station = Station::new().await;
    station.world.set("api.request_timeout", "500ms");
    station.world.set("api.connect_timeout", "500ms");
    station.insert_many(ENVS).await;
    let simulator = station.world.simulator.clone();
    let drip = |endpoint| simulator.fault(Fault::on(endpoint).slow(PAUSE));

    // Each token that drips out of an exchange is lost, and no row is touched.
    drip(Endpoint::Exchange);
    station.start();
    let service = "SELECT state FROM service WHERE reason LIKE 'no answer from Weixin: timed out%'";
    station.world.wait_for(service, &["blocked"]).await;
    within(simulator.wait_for_calls(Endpoint::Exchange, 2)).await;
    let rows = "SELECT DISTINCT state, attempts FROM status";
    assert_eq!(station.world.rows(rows).await, ["pending|0"]);
    assert_eq!(simulator.calls(Endpoint::Create), 0);
    simulator.clear_faults();

    within(simulator.wait_for_calls(Endpoint::Create, 30)).await;
    for endpoint in [Endpoint::Exchange, Endpoint::Create, Endpoint::Describe] {
        drip(endpoint);
    }
    station.insert_numbered(ENVS + 1..=2 * ENVS).await;
    let service =
        "SELECT state FROM service WHERE reason LIKE '%; the last one: no answer from Weixin: timed out%'";
    station.world.wait_for(service, &["running"]).await;
    // They took effect, and nobody knows: each is looked at, and none is created.
    let lost = "SELECT count(*) > 0 FROM attempt WHERE call = 'create' AND outcome = 'retry' AND http_status = 200 \
         AND errmsg LIKE 'no answer from Weixin: timed out%'";
    station.world.wait_for(lost, &["1"]).await;
    let described = simulator.calls(Endpoint::Describe);
    within(simulator.wait_for_calls(Endpoint::Describe, described + 1)).await;
    simulator.clear_faults();

    let states = "SELECT state, count(*) FROM status GROUP BY state";
    station
        .world
        .wait_for(states, &[&format!("online|{}", 2 * ENVS)])
        .await;
    station.stop().await;
    assert_eq!(station.world.row("SELECT count(*) FROM queue").await, "0");
    assert_eq!(simulator.calls(Endpoint::Create), 2 * ENVS as u64);
    assert_eq!(simulator.needless_creates(), 0);
    assert_eq!(station.world.row("PRAGMA integrity_check").await, "ok");
}
