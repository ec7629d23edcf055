//! Tickets that come by Weixin's push, and nobody who inserts one: the whole way, for a week, and when the pushes stop.

use std::time::Duration;

use staticstored::clock;
use staticstored::simulator::push::Event;
use staticstored::simulator::{Endpoint, Simulator};

use super::SECOND;
use crate::world::{World, within};

const MINUTE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_secs(600);

/// Nobody inserts a ticket, and Weixin pushes to where the daemon will listen.
async fn without_ticket(mut world: World) -> World {
    world.execute("DELETE FROM ticket").await;
    world.is_pushed_to();
    world
        .simulator
        .change(|options| options.push_delay = Duration::ZERO);
    world
}

/// Starts the daemon, and waits until it has a token that is new by the clock that stands still.
async fn started(world: &mut World) {
    world.start();
    token_is_new(world).await;
}

async fn token_is_new(world: &World) {
    let now = clock::text(world.clock.now());
    world
        .wait_for("SELECT token_refreshed_at FROM service", &[&now])
        .await;
}

/// Waits until so many pushes were welcome. (On a machine that is busy enough a try may come to nothing: Weixin's next
/// try is what makes up for it.)
async fn welcome(world: &World, count: usize) {
    let welcome = |simulator: &Simulator| {
        let pushes = simulator.pushes();
        pushes.iter().filter(|push| push.is_success()).count()
    };
    within(
        world
            .simulator
            .wait_until(|simulator| welcome(simulator) >= count),
    )
    .await;
    assert_eq!(welcome(&world.simulator), count);
    within(async {
        while !world.simulator.goes_on_pushing() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_daemon_without_a_ticket_asks_for_one_is_pushed_it_and_opens_websites() {
    let mut world = without_ticket(World::new().await).await;
    world.insert("shop").await;
    world.start();
    world.wait_for_state("shop", "online").await;
    assert_eq!(world.simulator.calls(Endpoint::StartPushTicket), 1);
    assert_eq!(world.simulator.exchanges(), 1);
    welcome(&world, 1).await;
    let stored = world.row("SELECT component_verify_ticket FROM ticket").await;
    assert_eq!(stored, world.simulator.ticket());
    world.stop().await.unwrap();
}

#[tokio::test]
async fn in_a_week_of_pushes_each_is_welcome_and_a_token_is_fetched_every_110_minutes_and_no_more() {
    let mut world = without_ticket(World::by_hand().await).await;
    started(&mut world).await;
    welcome(&world, 1).await;
    let (pushes, pushes_a_token) = (7 * 24 * 6, 11);
    for nth in 1..=pushes {
        world.clock.advance(INTERVAL);
        welcome(&world, nth + 1).await;
        if nth.is_multiple_of(pushes_a_token) {
            token_is_new(&world).await;
        }
        let fetched = 1 + (nth / pushes_a_token) as u64;
        assert_eq!(world.simulator.exchanges(), fetched, "after {nth} pushes");
    }
    assert_eq!(world.simulator.calls(Endpoint::StartPushTicket), 1);
    // The newest counts, and the daemon has it.
    let newest = "SELECT component_verify_ticket FROM ticket ORDER BY id DESC LIMIT 1";
    world.wait_for(newest, &[&world.simulator.ticket()]).await;
    world.insert("after-a-week").await;
    world
        .fly(
            SECOND,
            "SELECT state FROM status WHERE env = 'after-a-week'",
            &["online"],
        )
        .await;
    world.stop().await.unwrap();
}

#[tokio::test]
async fn pushes_that_found_no_daemon_have_stopped_and_a_daemon_that_comes_up_gets_them_going() {
    let mut world = without_ticket(World::by_hand().await).await;
    world.insert("waits").await;
    world.clock.advance(INTERVAL);
    within(world.simulator.wait_until(|simulator| simulator.pushed() >= 3)).await;
    assert!(world.simulator.pushes().iter().all(|push| !push.is_success()));
    world.clock.advance(10 * INTERVAL);
    assert!(!world.simulator.goes_on_pushing());
    assert_eq!(world.simulator.pushed(), 3);
    started(&mut world).await;
    welcome(&world, 1).await;
    assert_eq!(world.simulator.calls(Endpoint::StartPushTicket), 1);
    world.fly(SECOND, super::UNFINISHED, &["0"]).await;
    assert_eq!(world.status("state", "waits").await, "online");
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_daemon_that_was_down_for_longer_than_a_ticket_lives_recovers_by_itself() {
    let mut world = without_ticket(World::by_hand().await).await;
    started(&mut world).await;
    welcome(&world, 1).await;
    world.stop().await.unwrap();
    world.clock.advance(INTERVAL);
    within(world.simulator.wait_until(|simulator| simulator.pushed() >= 4)).await;
    world.clock.advance(13 * 6 * INTERVAL);
    assert!(!world.simulator.goes_on_pushing());
    world.insert("waits").await;
    started(&mut world).await;
    welcome(&world, 2).await;
    assert_eq!(world.simulator.calls(Endpoint::StartPushTicket), 2);
    assert_eq!(world.simulator.exchanges(), 2);
    world.fly(SECOND, super::UNFINISHED, &["0"]).await;
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_ticket_that_is_older_or_comes_twice_gets_its_success_and_replaces_nothing() {
    let mut world = without_ticket(World::by_hand().await).await;
    started(&mut world).await;
    let simulator = world.simulator.clone();
    let newest = simulator.ticket();
    let now = world.clock.now();
    let older = Event::ticket("ticket@@@older", now - MINUTE);
    let again = Event::ticket(&newest, now);
    for event in [&older, &again, &older] {
        assert!(simulator.push(event).await.unwrap().is_success());
    }
    for info_type in ["authorized", "unauthorized", "something_new"] {
        assert!(simulator.push_event(info_type).await.unwrap().is_success());
    }
    assert_eq!(
        world
            .rows("SELECT component_verify_ticket FROM ticket ORDER BY id")
            .await,
        [newest]
    );
    world.clock.advance(SECOND);
    assert!(simulator.push_ticket().await.unwrap().is_success());
    assert_eq!(
        world
            .row("SELECT component_verify_ticket FROM ticket ORDER BY id DESC LIMIT 1")
            .await,
        simulator.ticket()
    );
    world.stop().await.unwrap();
}
