//! Starting, telling systemd, stopping by signals, freezing.

use super::{Station, next_with, until};
use crate::world::within;
use staticstored::simulator::{Endpoint, Fault};

#[tokio::test]
async fn systemd_is_told_when_it_is_ready_what_goes_on_and_when_it_stops() {
    let mut station = Station::new().await;
    let socket = station.listen();
    std::fs::remove_file(station.world.database()).unwrap();
    station.start();
    let (_, before) = next_with(&socket, "READY=1").await;
    assert_eq!(before, Vec::<String>::new());
    // READY comes after the migration: an INSERT works from then on.
    station.world.insert("a").await;
    let (status, _) = next_with(&socket, "STATUS=waiting_for_ticket: ").await;
    assert!(
        status.contains("; no token; no component_verify_ticket has arrived yet"),
        "{status}"
    );
    station.world.give_ticket().await;
    station.world.wait_for_state("a", "online").await;
    let (status, _) = next_with(&socket, "STATUS=").await;
    assert!(status.contains("; token until "), "{status}");
    station.signal("TERM");
    let (_, before) = next_with(&socket, "STOPPING=1").await;
    assert!(
        before.iter().all(|message| message.starts_with("STATUS=")),
        "{before:?}"
    );
    assert_eq!(station.ended().await.code(), Some(0));
    assert_eq!(station.world.row("SELECT state FROM service").await, "stopped");
    station.start();
    let (status, _) = next_with(&socket, "STATUS=online 1; token until ").await;
    assert!(
        status.trim_end().len() == "STATUS=online 1; token until 14:05".len(),
        "{status}"
    );
    station.stop().await;
}

#[tokio::test]
async fn a_stop_by_either_signal_settles_what_is_in_flight_and_exits_with_0() {
    for signal in ["TERM", "INT"] {
        let mut station = Station::new().await;
        let env = format!("held-{signal}");
        station
            .world
            .simulator
            .fault(Fault::on(Endpoint::Create).env(env.clone()).held());
        station.world.insert(&env).await;
        station.start();
        within(station.world.simulator.wait_for_held(1)).await;
        station.signal(signal);
        station
            .wait_for_log("stopping; what is in flight is finished first")
            .await;
        // What comes now is for the next run.
        station.world.insert("late").await;
        station.world.simulator.release();
        assert_eq!(station.ended().await.code(), Some(0));
        assert_eq!(station.world.history(&env).await, ["create:accepted"]);
        assert_eq!(station.world.status("state, attempts", &env).await, "opening|1");
        assert_eq!(station.world.status("state, attempts", "late").await, "pending|0");
        assert_eq!(
            station.world.row("SELECT state, reason FROM service").await,
            "stopped|NULL"
        );
        assert_eq!(
            station
                .world
                .row("SELECT count(*) FROM queue WHERE claim IS NOT NULL")
                .await,
            "0"
        );
        assert!(
            !station.path("queue.db-wal").exists(),
            "the last to leave empties and removes it"
        );
    }
}

#[tokio::test]
async fn a_call_that_is_never_answered_does_not_keep_the_daemon_from_stopping() {
    let mut station = Station::new().await;
    station.world.set("api.request_timeout", "1s");
    station
        .world
        .simulator
        .fault(Fault::on(Endpoint::Create).env("stuck").once().held());
    station.world.insert("stuck").await;
    station.start();
    within(station.world.simulator.wait_for_held(1)).await;
    station.stop().await;
    assert_eq!(
        station.world.status("state, attempts, errcode", "stuck").await,
        "retrying|1|NULL"
    );
    station.world.simulator.release();
    station.start();
    station.world.wait_for_state("stuck", "online").await;
    assert_eq!(station.world.simulator.calls_for(Endpoint::Create, "stuck"), 1);
    station.stop().await;
}

#[tokio::test]
async fn a_call_that_waits_for_a_new_token_does_not_keep_the_daemon_from_stopping() {
    let mut station = Station::with(|options| options.token_overlap = std::time::Duration::ZERO).await;
    station.start();
    station.world.insert("first").await;
    station.world.wait_for_state("first", "online").await;
    station
        .world
        .simulator
        .fault(Fault::on(Endpoint::Exchange).errcode(-1, "system error"));
    station.world.simulator.revoke_token();
    station.world.insert("waiting").await;
    within(station.world.simulator.wait_for_calls(Endpoint::Exchange, 2)).await;
    station.stop().await;
    assert_eq!(station.world.row("SELECT state FROM service").await, "stopped");
    assert_eq!(station.world.status("state", "waiting").await, "retrying");
    assert_eq!(
        station
            .world
            .row("SELECT count(*) FROM queue WHERE claim IS NOT NULL")
            .await,
        "0"
    );
    assert_eq!(station.world.simulator.effective_creates("waiting"), 0);
}

#[tokio::test]
async fn a_second_signal_ends_at_once_and_what_was_in_flight_is_looked_at_first() {
    let mut station = Station::new().await;
    station.world.set("api.request_timeout", "10m");
    station
        .world
        .simulator
        .fault(Fault::on(Endpoint::Create).env("held").once().held());
    station.world.insert("held").await;
    station.start();
    within(station.world.simulator.wait_for_held(1)).await;
    station.signal("TERM");
    station.wait_for_log("a second signal ends at once").await;
    station.signal("INT");
    assert_eq!(station.ended().await.code(), Some(1), "{}", station.log());
    assert!(station.log().contains("ended at once by a second signal"));
    station.world.simulator.release();
    station.start();
    station.world.wait_for_state("held", "online").await;
    assert_eq!(station.world.simulator.calls_for(Endpoint::Create, "held"), 1);
    station.stop().await;
}

#[tokio::test]
async fn a_daemon_that_was_frozen_for_longer_than_its_timeouts_goes_on_and_creates_nothing_twice() {
    let mut station = Station::new().await;
    station.world.set("api.request_timeout", "300ms");
    station.world.set("api.connect_timeout", "300ms");
    station.world.simulator.fault(
        Fault::on(Endpoint::Create)
            .probability(0.5)
            .delay(std::time::Duration::from_millis(100)),
    );
    station.insert_many(200).await;
    station.start();
    within(station.world.simulator.wait_for_calls(Endpoint::Create, 60)).await;
    station.signal("STOP");
    // The platform answers all that it was sent; nobody reads that.
    until(|| station.world.simulator.in_flight() == 0).await;
    let frozen = std::time::Duration::from_secs(1);
    // Not a wait for something: the disturbance itself, longer than the daemon waits for an answer.
    tokio::time::sleep(frozen).await;
    station.signal("CONT");
    station
        .world
        .wait_for("SELECT count(*) FROM status WHERE state = 'online'", &["200"])
        .await;
    assert_eq!(station.world.row("SELECT count(*) FROM queue").await, "0");
    assert_eq!(station.world.simulator.needless_creates(), 0);
    station.stop().await;
}
