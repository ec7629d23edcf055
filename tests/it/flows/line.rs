//! What all requests share: blocked by a fault of the whole line, shrunk in an outage.

use staticstored::simulator::{Endpoint, Entry, Fault, Simulator};

use super::{SECOND, UNFINISHED};
use crate::world::World;

const LINE: [i64; 9] = [41001, 43002, 44002, 47001, 45009, 48001, 50002, 61004, 61007];

/// Lets time run until `count` more calls about environments came, none beside another; returns them.
async fn probes(world: &World, count: usize) -> Vec<Entry> {
    world.see(|simulator| simulator.in_flight() == 0).await;
    world.simulator.clear_ledger();
    let enough = world.see(|simulator| simulator.ledger().len() >= count);
    tokio::select! {
        () = enough => {}
        () = world.fly(SECOND, "SELECT 1 WHERE 0", &["never"]) => {}
    }
    assert_eq!(world.simulator.max_in_flight(), 1, "one probe at a time");
    world.simulator.ledger()
}

/// The waits between calls, in seconds.
fn waits(calls: &[Entry]) -> Vec<f64> {
    calls
        .windows(2)
        .map(|pair| (pair[1].at - pair[0].at).as_seconds_f64())
        .collect()
}

/// Blocks the line with a fault, sees that it fails nobody, and that it goes on when the fault is over.
async fn blocks_and_passes(world: &mut World, name: &str, fault: Fault, errcode: &str) {
    world.simulator.fault(fault);
    let envs: Vec<String> = (0..3).map(|i| format!("{name}-{i}")).collect();
    world.insert_all(&envs).await;
    world.wait_for_service("blocked").await;
    assert_eq!(
        world
            .row("SELECT errcode, reason <> '', remedy <> '' FROM service")
            .await,
        format!("{errcode}|1|1")
    );
    let calls = probes(world, 4).await;
    for (nth, wait) in waits(&calls).into_iter().enumerate() {
        // Half of a bound that doubles from 5 seconds. (The first probe of all goes out at once.)
        assert!(wait >= 2.5 * 2_f64.powi(nth as i32), "{name}: {calls:?}");
    }
    assert_eq!(world.row(UNFINISHED).await, "3", "{name}");
    let met =
        "SELECT count(*) >= 4, count(DISTINCT env) > 1 FROM attempt WHERE outcome = 'line' AND env LIKE";
    assert_eq!(world.row(&format!("{met} '{name}-%'")).await, "1|1", "{name}");
    world.simulator.clear_faults();
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    for env in envs {
        assert_eq!(
            world.status("state, errcode, remedy", &env).await,
            "online|0|NULL"
        );
        assert_eq!(world.simulator.effective_creates(&env), 1);
    }
    world.wait_for_service("running").await;
    assert_eq!(
        world.row("SELECT errcode, reason, remedy FROM service").await,
        "NULL|NULL|NULL"
    );
}

#[tokio::test]
async fn each_fault_of_the_whole_line_fails_no_row_is_probed_and_passes_by_itself() {
    let mut world = World::by_hand().await;
    world.start();
    world.wait_for_service("running").await;
    for code in LINE {
        let fault = Fault::on(Endpoint::Create).errcode(code, "nobody can");
        blocks_and_passes(&mut world, &format!("line{code}"), fault, &code.to_string()).await;
    }
    world.stop().await.unwrap();
}

#[tokio::test]
async fn one_request_that_keeps_meeting_a_fault_of_the_line_does_not_hold_up_the_others() {
    let mut world = World::by_hand().await;
    let fault = Fault::on(Endpoint::Create).env("limited");
    world.simulator.fault(fault.errcode(50002, "user limited"));
    world
        .execute("INSERT INTO queue (env, priority) VALUES ('limited', 9)")
        .await;
    world.start();
    let met = "SELECT count(*) >= 5 FROM attempt WHERE outcome = 'line'";
    world.fly(SECOND, met, &["1"]).await;
    world.insert("fine").await;
    world
        .fly(SECOND, "SELECT state FROM status WHERE env = 'fine'", &["online"])
        .await;
    assert_eq!(
        world.status("finished_at, errcode", "limited").await,
        "NULL|50002"
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_redirect_is_a_fault_of_the_whole_line_and_never_followed() {
    let mut world = World::by_hand().await;
    let elsewhere = Simulator::start(Default::default()).await.unwrap();
    world.start();
    world.wait_for_service("running").await;
    let fault = Fault::on(Endpoint::Create).redirect(&elsewhere.url());
    blocks_and_passes(&mut world, "redirect", fault, "NULL").await;
    assert!(elsewhere.ledger().is_empty());
    assert_eq!(
        world
            .row("SELECT DISTINCT http_status, errcode FROM attempt WHERE outcome = 'line'")
            .await,
        "302|NULL"
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_fault_of_the_line_that_describe_meets_fails_no_row_either() {
    let mut world = World::by_hand().await;
    world
        .simulator
        .fault(Fault::on(Endpoint::Describe).errcode(48001, "api unauthorized"));
    world.insert("opening").await;
    world.start();
    world
        .fly(SECOND, "SELECT state, errcode FROM service", &["blocked|48001"])
        .await;
    assert_eq!(
        world.status("state, attempts, errcode", "opening").await,
        "opening|1|48001"
    );
    world.simulator.clear_faults();
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    assert_eq!(
        world.status("state, attempts, remedy", "opening").await,
        "online|1|NULL"
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn while_weixin_is_busy_calls_shrink_to_single_probes_ever_further_apart() {
    let mut world = World::by_hand().await;
    let envs: Vec<String> = (0..40).map(|i| format!("env-{i}")).collect();
    world.insert_all(&envs).await;
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).errcode(-1, "system error"));
    world
        .simulator
        .fault(Fault::on(Endpoint::Describe).errcode(-1, "system error"));
    world.start();
    let shrunk = "SELECT state, reason LIKE '%one call at a time%' FROM service";
    world.fly(SECOND, shrunk, &["running|1"]).await;
    let calls = probes(&world, 8).await;
    for (wait, bound) in waits(&calls).into_iter().zip([1., 2., 4., 8., 16., 30., 30.]) {
        assert!(wait >= bound / 2., "{calls:?}");
    }
    world.simulator.clear_faults();
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    assert_eq!(world.rows("SELECT DISTINCT state FROM status").await, ["online"]);
    for env in &envs {
        assert_eq!(world.simulator.effective_creates(env), 1);
    }
    world
        .wait_for("SELECT state, reason FROM service", &["running|NULL"])
        .await;
    world.stop().await.unwrap();
}

#[tokio::test]
async fn while_connections_are_refused_calls_shrink_too_and_all_goes_on_afterwards() {
    let mut world = World::by_hand().await;
    world.start();
    world.insert("before").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    world.simulator.refuse().await;
    let envs: Vec<String> = (0..20).map(|i| format!("env-{i}")).collect();
    world.insert_all(&envs).await;
    let shrunk = "SELECT state, reason LIKE '%one call at a time%' FROM service";
    world.fly(SECOND, shrunk, &["running|1"]).await;
    let calls = "SELECT count(*) FROM attempt";
    let before: u64 = world.row(calls).await.parse().unwrap();
    let start = world.clock.now();
    let more = format!("SELECT count(*) >= {before} + 6 FROM attempt");
    world.fly(SECOND, &more, &["1"]).await;
    // Half of 2, 4, 8, 16 and 30 seconds lie between six probes at least.
    assert!((world.clock.now() - start).num_seconds() >= 30);
    world.simulator.accept().await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    assert_eq!(world.rows("SELECT DISTINCT state FROM status").await, ["online"]);
    assert_eq!(world.simulator.needless_creates(), 0);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn environments_that_alone_meet_a_code_of_the_whole_line_fail_by_themselves_and_hold_up_nobody() {
    let mut world = World::by_hand().await;
    world.set("retry.give_up_after", "10m");
    world.set("retry.initial_backoff", "1s");
    world.set("retry.max_backoff", "30s");
    for (env, errcode) in [("bad0", 61007), ("bad1", 48001), ("bad2", 50002)] {
        let fault = Fault::on(Endpoint::Create).errcode(errcode, "not authorised");
        world.simulator.fault(fault.env(env));
        world.insert(env).await;
    }
    world.start();
    world.wait_for_service("blocked").await;
    // They come while the line is blocked, and by then the others have probed in turns.
    world.clock.advance(SECOND * 60);
    let good: Vec<String> = (0..20).map(|n| format!("good{n}")).collect();
    world.insert_all(&good).await;
    let open = "SELECT count(*) FROM status WHERE state = 'online'";
    world.fly(SECOND, open, &["20"]).await;
    // Others pass all the time: so the fault is theirs alone.
    let begun = world.simulator.ledger().len();
    let mut n = 0;
    while world.row("SELECT count(*) FROM queue").await != "0" {
        n += 1;
        assert!(
            n < 500,
            "they never end: {:?}",
            world.rows("SELECT * FROM queue").await
        );
        let env = format!("later{n}");
        world.insert(&env).await;
        let state = format!("SELECT state FROM status WHERE env = '{env}'");
        world.fly(SECOND, &state, &["online"]).await;
        world.clock.advance(SECOND * 5);
    }
    assert!(world.simulator.ledger().len() > begun);
    for (env, errcode) in [("bad0", "61007"), ("bad1", "48001"), ("bad2", "50002")] {
        let columns = "state, errcode, remedy IS NOT NULL";
        assert_eq!(world.status(columns, env).await, format!("failed|{errcode}|1"));
    }
    world.wait_for_service("running").await;
    world.stop().await.unwrap();
}
