//! Thousands of requests, every passing fault, dead tokens, and one kill -9 after the other.

use std::time::Duration;

use staticstored::simulator::{Endpoint, Fault, Simulator};

use super::Station;
use crate::world::{PATIENCE, within};

/// How many environments, where `STATICSTORED_TEST_ENVS` does not say another number.
const ENVS: usize = 5_000;
const KILLS: usize = 10;
/// Calls in flight.
const IN_FLIGHT: u64 = 32;
/// The most rows that are claimed at once: those in flight, and sixteen times as many ahead of them.
const CLAIMED: u64 = IN_FLIGHT * (1 + 16);
const SEED: u64 = 20_261_123;

fn envs() -> usize {
    std::env::var_os("STATICSTORED_TEST_ENVS")
        .map_or(ENVS, |number| number.to_str().unwrap().parse().unwrap())
}

/// Each of them hits three calls in a hundred.
fn faults() -> Vec<Fault> {
    let kinds: [fn(Fault) -> Fault; 5] = [
        |fault| fault.errcode(-1, "system error"),
        |fault| fault.errcode(-1, "system error").after_effect(),
        Fault::cut,
        |fault| fault.cut().after_effect(),
        |fault| fault.http(502),
    ];
    let on = |endpoint| move |kind: &fn(Fault) -> Fault| kind(Fault::on(endpoint).probability(0.03));
    let create = kinds.iter().map(on(Endpoint::Create));
    let describe = kinds.iter().map(on(Endpoint::Describe));
    create.chain(describe).collect()
}

fn calls(simulator: &Simulator) -> u64 {
    simulator.calls(Endpoint::Create) + simulator.calls(Endpoint::Describe)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_faults_dead_tokens_and_kills_every_environment_is_opened_exactly_once() {
    let envs = envs();
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut station = Station::with(|options| {
        options.seed = SEED;
        options.token_overlap = Duration::ZERO;
        options.detailed_ledger = false;
    })
    .await;
    if envs > ENVS {
        // All that can be logged of a million would fill a disk.
        station.variables.push(("RUST_LOG", String::new()));
    }
    station.world.set("api.max_in_flight", &IN_FLIGHT.to_string());
    faults()
        .into_iter()
        .for_each(|fault| station.world.simulator.fault(fault));
    station.insert_many(envs).await;

    let simulator = station.world.simulator.clone();
    // Two calls for each environment at the very least: the last kill comes before the end.
    let stage = envs as u64 * 2 / (KILLS as u64 + 1);
    for kill in 0..KILLS as u64 {
        station.start();
        let at = kill * stage + random.u64(1..=stage);
        let reached = simulator.wait_until(|simulator| calls(simulator) >= at);
        tokio::time::timeout(PATIENCE * 4, reached)
            .await
            .expect("it goes on after each kill");
        if kill == 3 || kill == 7 {
            simulator.revoke_token();
            let exchanges = simulator.exchanges();
            within(simulator.wait_until(|simulator| simulator.exchanges() > exchanges)).await;
        }
        station.kill();
    }
    station.started().await;
    let all = unbounded_queue(&station);
    tokio::time::timeout(PATIENCE * 10, all)
        .await
        .expect("the queue becomes empty");
    station.stop().await;

    let states = station
        .world
        .rows("SELECT state, count(*) FROM status GROUP BY state")
        .await;
    assert_eq!(states, [format!("online|{envs}")]);
    assert_eq!(simulator.needless_creates(), 0);
    let wrong: Vec<String> = (1..=envs)
        .map(|number| format!("env-{number}"))
        .filter(|env| simulator.effective_creates(env) != 1)
        .collect();
    assert_eq!(wrong, Vec::<String>::new(), "not created exactly once");
    let attempts = station
        .world
        .row("SELECT min(attempts) >= 1, max(attempts) <= 20, sum(attempts) FROM status")
        .await;
    let (sane, counted) = attempts.rsplit_once('|').unwrap();
    assert_eq!(sane, "1|1");
    // A claim counts its create before it is made; the kills can add those that were claimed and never made.
    let made = simulator.calls(Endpoint::Create);
    let counted: u64 = counted.parse().unwrap();
    assert!(
        (made..=made + CLAIMED * KILLS as u64).contains(&counted),
        "{counted} counted, {made} made"
    );
    assert_eq!(station.world.row("PRAGMA integrity_check").await, "ok");
}

async fn unbounded_queue(station: &Station) {
    while station.world.row("SELECT count(*) FROM queue").await != "0" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
