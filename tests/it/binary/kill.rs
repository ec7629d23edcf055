//! kill -9: once, in the middle; and hundreds of times, at any moment.

use std::collections::HashSet;
use std::time::Duration;

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

/// How often, and how long after its start the daemon is killed at the latest: before it is ready, or in mid-drain.
const KILLS: u32 = 200;
const LATEST: Duration = Duration::from_millis(120);
const SEED: u64 = 20_261_124;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_kills_at_any_moment_lose_nothing_and_open_nothing_twice() {
    const ENVS: usize = 4000;
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut station = Station::with(|options| options.detailed_ledger = false).await;
    // So slowly that the last kill finds something to do.
    station.world.set("api.max_in_flight", "4");
    station.insert_many(ENVS).await;
    for number in 0..KILLS {
        station.start();
        tokio::time::sleep(LATEST.mul_f64(random.f64())).await;
        // Somebody goes on asking meanwhile, also for what is finished.
        station
            .world
            .insert(&format!("env-{}", random.usize(1..=ENVS)))
            .await;
        station.kill();
        if number % 50 == 0 {
            station.world.simulator.revoke_token();
        }
    }
    let owed = station.world.row("SELECT count(*) FROM queue").await;
    station.started().await;
    while station.world.row("SELECT count(*) FROM queue").await != "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    station.stop().await;
    let states = station
        .world
        .rows("SELECT state, count(*) FROM status GROUP BY state")
        .await;
    assert_eq!(
        states,
        [format!("online|{ENVS}")],
        "of {owed} owed after the last kill"
    );
    let simulator = &station.world.simulator;
    assert_eq!(simulator.needless_creates(), 0);
    let twice = (1..=ENVS).filter(|number| simulator.effective_creates(&format!("env-{number}")) != 1);
    assert_eq!(twice.collect::<Vec<_>>(), Vec::<usize>::new());
    assert_eq!(station.world.row("PRAGMA integrity_check").await, "ok");
    assert_ne!(owed, "0", "the kills came too late to meet anything");
}
