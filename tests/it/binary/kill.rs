//! kill -9, once, in the middle.

use std::collections::HashSet;

use staticstored::simulator::{Endpoint, Entry};

use super::Station;
use crate::world::within;

#[tokio::test]
async fn after_a_kill_in_mid_drain_what_was_interrupted_is_looked_at_first_and_nothing_is_lost() {
    const ENVS: usize = 500;
    let mut station = Station::new().await;
    station.insert_many(ENVS).await;
    station.start();
    within(station.world.simulator.wait_for_calls(Endpoint::Create, 200)).await;
    station.kill();
    let held = station
        .world
        .rows("SELECT env FROM queue WHERE claim IS NOT NULL")
        .await;
    let before = station.world.simulator.ledger();

    station.started().await;
    let online = "SELECT count(*) FROM status WHERE state = 'online'";
    station.world.wait_for(online, &[&ENVS.to_string()]).await;
    assert_eq!(station.world.row("SELECT count(*) FROM queue").await, "0");
    assert_eq!(station.world.simulator.needless_creates(), 0);
    assert_eq!(
        station.world.simulator.exchanges(),
        1,
        "the token outlives the process"
    );

    let created = |entry: &&Entry| entry.endpoint == Endpoint::Create && entry.took_effect;
    let ledger = station.world.simulator.ledger();
    let after = &ledger[before.len()..];
    let env = |entry: &Entry| entry.env.clone().unwrap();
    let opened: HashSet<String> = before.iter().filter(created).map(env).collect();
    let again: Vec<String> = after
        .iter()
        .filter(created)
        .map(env)
        .filter(|env| opened.contains(env))
        .collect();
    assert_eq!(
        again,
        Vec::<String>::new(),
        "created although the first create took effect"
    );
    for env in held {
        let first = after
            .iter()
            .find(|entry| entry.env.as_deref() == Some(&env))
            .unwrap();
        assert_eq!(first.endpoint, Endpoint::Describe, "{env}");
    }
    assert_eq!(station.world.row("PRAGMA integrity_check").await, "ok");
    station.stop().await;
}
