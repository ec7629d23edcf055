//! From a ticket to a token, and what keeps us from it.

use staticstored::clock::{self, after};
use staticstored::simulator::{Endpoint, Fault, Simulator};

use super::{SECOND, UNFINISHED};
use crate::world::World;

const BLOCKING: [i64; 8] = [40001, 40013, 40125, 41004, 61011, 48001, 61004, 45009];
const UNTOUCHED: &str = "pending|0|NULL|NULL";
const TOUCHED: &str = "SELECT DISTINCT state, attempts, errcode, remedy FROM status";

async fn without_ticket() -> World {
    let world = World::by_hand().await;
    world.execute("DELETE FROM ticket").await;
    world
}

#[tokio::test]
async fn without_a_ticket_rows_wait_untouched_and_a_push_is_asked_for_once_also_across_a_restart() {
    let mut world = without_ticket().await;
    world.insert("waits").await;
    for _ in 0..3 {
        world.start();
        world.wait_for_service("waiting_for_ticket").await;
        let service =
            "reason LIKE '%ticket%', remedy LIKE '%staticstored ticket%', errcode, token_expires_at";
        assert_eq!(
            world.row(&format!("SELECT {service} FROM service")).await,
            "1|1|NULL|NULL"
        );
        world
            .see(|simulator| simulator.calls(Endpoint::StartPushTicket) > 0)
            .await;
        let beat = world.row("SELECT heartbeat_at FROM service").await;
        let later = format!("SELECT heartbeat_at > '{beat}' FROM service");
        world.fly(SECOND, &later, &["1"]).await;
        world.stop().await.unwrap();
    }
    assert_eq!(world.simulator.calls(Endpoint::StartPushTicket), 1);
    assert_eq!(world.simulator.calls(Endpoint::Exchange), 0);
    assert_eq!(world.rows(TOUCHED).await, [UNTOUCHED]);
    world.start();
    world.wait_for_service("waiting_for_ticket").await;
    world.give_ticket().await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    assert_eq!(
        world
            .row("SELECT state, reason, ticket_received_at IS NOT NULL FROM service")
            .await,
        "running|NULL|1"
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_push_is_asked_for_again_after_ten_minutes_and_not_before() {
    let mut world = without_ticket().await;
    world.start();
    world.wait_for_service("waiting_for_ticket").await;
    world
        .wait_for("SELECT push_asked_at IS NOT NULL FROM service", &["1"])
        .await;
    for asked in 1..4 {
        world
            .see(|simulator| simulator.calls(Endpoint::StartPushTicket) == asked)
            .await;
        let at = world.row("SELECT push_asked_at FROM service").await;
        let again = format!("SELECT push_asked_at > '{at}' FROM service");
        world.fly(10 * SECOND, &again, &["1"]).await;
        let [then, now] = [at, world.row("SELECT push_asked_at FROM service").await]
            .map(|text| staticstored::clock::parse(&text).unwrap());
        assert!(now - then >= chrono::Duration::minutes(10), "{then} {now}");
    }
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_push_is_asked_for_when_the_ticket_is_an_hour_old_though_the_token_lives() {
    let mut world = World::by_hand().await;
    world.start();
    world
        .wait_for("SELECT token_expires_at IS NOT NULL FROM service", &["1"])
        .await;
    let asked = |count: u64| move |simulator: &Simulator| simulator.calls(Endpoint::StartPushTicket) == count;
    let never = || world.fly(SECOND, "SELECT 1 WHERE 0", &["never"]);
    let start = world.clock.now();
    let minutes = |minutes: u32| after(start, 60 * minutes * SECOND);
    // The row was made before the clock was stopped: what it says is at most a moment older than our start.
    world.clock.set(minutes(59));
    world
        .wait_for("SELECT heartbeat_at > started_at FROM service", &["1"])
        .await;
    assert_eq!(world.simulator.calls(Endpoint::StartPushTicket), 0);
    tokio::select! { () = world.see(asked(1)) => {} () = never() => {} }
    let first = world.clock.now();
    assert!(first <= minutes(61), "{first}");
    // Still old: again, but not within ten minutes.
    tokio::select! { () = world.see(asked(2)) => {} () = never() => {} }
    let second = world.clock.now();
    assert!(
        second - first >= chrono::Duration::seconds(590),
        "{first} {second}"
    );
    assert_eq!(world.simulator.exchanges(), 1, "the token lived all the while");
    // A new one moves the deadline. (SQLite's time is not ours.)
    let (received, ticket) = (clock::text(world.clock.now()), world.simulator.ticket());
    world
        .execute(&format!(
            "INSERT INTO ticket (component_verify_ticket, received_at) VALUES ('{ticket}', '{received}')"
        ))
        .await;
    let inserted = clock::parse(&received).unwrap();
    tokio::select! {
        () = world.see(asked(3)) => {}
        () = world.fly(10 * SECOND, "SELECT 1 WHERE 0", &["never"]) => {}
    }
    let third = world.clock.now();
    assert!(
        third - inserted >= chrono::Duration::hours(1),
        "{inserted} {third}"
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_ticket_that_has_expired_or_is_wrong_is_waited_out_and_a_newer_one_gets_things_going_at_once() {
    for (code, spoil) in [(61005, true), (61006, false)] {
        let mut world = World::by_hand().await;
        if spoil {
            world.simulator.expire_tickets();
        } else {
            world
                .execute("INSERT INTO ticket (component_verify_ticket) VALUES ('ticket@@@nobody-made-this')")
                .await;
        }
        world.insert("waits").await;
        world.start();
        world.wait_for_service("waiting_for_ticket").await;
        assert_eq!(
            world.row("SELECT errcode, remedy IS NOT NULL FROM service").await,
            format!("{code}|1")
        );
        assert_eq!(world.rows(TOUCHED).await, [UNTOUCHED]);
        world
            .see(|simulator| simulator.calls(Endpoint::StartPushTicket) == 1)
            .await;
        world.simulator.new_ticket();
        world.give_ticket().await;
        // The clock stands still: nothing but the ticket can have done it.
        world
            .wait_for(
                "SELECT count(*) FROM status WHERE state = 'opening' AND errcode = 0",
                &["1"],
            )
            .await;
        world.fly(SECOND, UNFINISHED, &["0"]).await;
        assert_eq!(world.simulator.exchanges(), 1);
        world.stop().await.unwrap();
    }
}

#[tokio::test]
async fn each_code_that_blocks_the_exchange_is_shown_and_passes_by_itself_when_it_is_cured() {
    for code in BLOCKING {
        let mut world = World::by_hand().await;
        world
            .simulator
            .fault(Fault::on(Endpoint::Exchange).errcode(code, "not like this"));
        world.insert("waits").await;
        world.start();
        world.wait_for_service("blocked").await;
        let service = "errcode, reason LIKE '%not like this rid: %', remedy IS NOT NULL, token_expires_at";
        assert_eq!(
            world.row(&format!("SELECT {service} FROM service")).await,
            format!("{code}|1|1|NULL")
        );
        world.simulator.wait_for_calls(Endpoint::Exchange, 1).await;
        let more = async { world.simulator.wait_for_calls(Endpoint::Exchange, 3).await };
        tokio::select! {
            () = more => {}
            () = world.fly(SECOND, "SELECT 1 WHERE 0", &["never"]) => {}
        }
        assert_eq!(world.rows(TOUCHED).await, [UNTOUCHED], "{code}");
        assert_eq!(world.simulator.calls(Endpoint::Create), 0);
        world.simulator.clear_faults();
        world.fly(SECOND, UNFINISHED, &["0"]).await;
        assert_eq!(
            world
                .row("SELECT state, errcode, reason, remedy FROM service")
                .await,
            "running|NULL|NULL|NULL"
        );
        world.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_commit_that_brings_no_newer_ticket_ends_no_wait() {
    for (code, state) in [(BLOCKING[0], "blocked"), (61006, "waiting_for_ticket")] {
        let mut world = World::by_hand().await;
        world
            .simulator
            .fault(Fault::on(Endpoint::Exchange).errcode(code, "not like this"));
        world.insert("waits").await;
        world.start();
        world.wait_for_service(state).await;
        // The clock stands still: what is exchanged now is exchanged because of a commit.
        for env in ["a", "b", "c", "d", "e"] {
            world.insert(env).await;
            world
                .wait_for("SELECT count(*) FROM status WHERE state <> 'pending'", &["0"])
                .await;
        }
        assert_eq!(world.simulator.calls(Endpoint::Exchange), 1, "{code}");
        world.simulator.clear_faults();
        world.fly(SECOND, UNFINISHED, &["0"]).await;
        world.stop().await.unwrap();
    }
}

#[tokio::test]
async fn an_exchange_that_meets_what_passes_is_tried_again() {
    let mut world = World::by_hand().await;
    let exchange = || Fault::on(Endpoint::Exchange).once();
    for fault in [
        exchange().errcode(-1, "system error"),
        exchange().cut(),
        exchange().http(502),
        exchange().no_json(),
        exchange().null_fields(),
        exchange().oversize(),
    ] {
        world.simulator.fault(fault);
    }
    world.insert("waits").await;
    world.start();
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    assert_eq!(world.simulator.calls(Endpoint::Exchange), 7);
    assert_eq!(world.simulator.calls(Endpoint::StartPushTicket), 0);
    assert_eq!(world.status("state, attempts", "waits").await, "online|1");
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_redirect_of_the_exchange_blocks_and_is_not_followed() {
    let mut world = World::by_hand().await;
    let elsewhere = Simulator::start(Default::default()).await.unwrap();
    world
        .simulator
        .fault(Fault::on(Endpoint::Exchange).redirect(&elsewhere.url()));
    world.start();
    world.wait_for_service("blocked").await;
    assert_eq!(
        world
            .row("SELECT errcode, reason LIKE '%redirect%', remedy LIKE '%api.base_url%' FROM service")
            .await,
        "NULL|1|1"
    );
    assert!(elsewhere.ledger().is_empty());
    world.stop().await.unwrap();
}
