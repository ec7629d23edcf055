//! Cuts, refusals, what is in flight, and the ledger.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use staticstored::simulator::{Endpoint, Entry, Fault, Options, Simulator};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::task::TaskTracker;

use super::{CREATE, World, about};

#[tokio::test]
async fn a_cut_leaves_no_answer_before_and_after_the_effect() {
    let world = World::with_token(Options::default()).await;
    world.simulator.fault(Fault::on(Endpoint::Create).once().cut());
    assert!(world.try_create("a").await.is_err());
    assert_eq!(world.simulator.effective_creates("a"), 0);
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).once().cut().after_effect());
    assert!(world.try_create("a").await.is_err());
    assert_eq!(world.simulator.effective_creates("a"), 1);
    assert_eq!(world.simulator.calls(Endpoint::Create), 2);
}

#[tokio::test]
async fn a_body_may_break_off_after_the_head_has_arrived() {
    let world = World::with_token(Options::default()).await;
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).once().cut_in_body().after_effect());
    let mut answer = world.post(&world.with(CREATE), about("a")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(
        answer
            .chunk()
            .await
            .unwrap()
            .is_some_and(|part| part.starts_with(b"{\"err"))
    );
    assert!(answer.chunk().await.is_err());
    assert_eq!(world.simulator.effective_creates("a"), 1);
}

#[tokio::test]
async fn connections_are_refused_for_a_while_and_then_accepted_on_the_same_port() {
    let world = World::with_token(Options::default()).await;
    let address = world.simulator.address();
    assert_eq!(world.create("a").await, 0);
    for _ in 0..3 {
        world.simulator.refuse().await;
        // How a client calls it is the client's business; that it is a refusal, the next test asks the socket.
        assert!(world.try_create("b").await.is_err());
        world.simulator.accept().await;
        assert_eq!(world.create("c").await, 0);
    }
    assert_eq!(world.simulator.address(), address);
    assert_eq!(world.simulator.calls_for(Endpoint::Create, "b"), 0);
}

#[tokio::test]
async fn while_connections_are_refused_nobody_else_can_have_the_port() {
    let simulator = Simulator::start(Options::default()).await.unwrap();
    let address = simulator.address();
    for _ in 0..3 {
        simulator.refuse().await;
        assert_eq!(connect_error(address).await, Some(ErrorKind::ConnectionRefused));
        // The system deals out a port as free by the rule by which it refuses this.
        let bound = TcpSocket::new_v4().unwrap().bind(address);
        assert_eq!(bound.unwrap_err().kind(), ErrorKind::AddrInUse);
        simulator.accept().await;
        assert_eq!(connect_error(address).await, None);
    }
}

#[tokio::test]
async fn refusing_cuts_the_calls_that_are_under_way() {
    let world = Arc::new(World::with_token(Options::default()).await);
    world.simulator.fault(Fault::on(Endpoint::Create).held());
    let caller = Arc::clone(&world);
    let call = TaskTracker::new().spawn(async move { caller.try_create("a").await.is_err() });
    world.simulator.wait_for_held(1).await;
    world.simulator.refuse().await;
    assert!(call.await.unwrap());
    assert_eq!(world.simulator.in_flight(), 0);
    assert_eq!(world.simulator.effective_creates("a"), 1);
}

#[tokio::test]
async fn held_calls_are_counted_while_in_flight_and_go_on_when_released() {
    let world = Arc::new(World::with_token(Options::default()).await);
    world.simulator.fault(Fault::on(Endpoint::Create).held());
    let tasks = TaskTracker::new();
    let calls: Vec<_> = ["a", "b", "c"]
        .map(|env| (Arc::clone(&world), env))
        .map(|(world, env)| tasks.spawn(async move { world.create(env).await }))
        .into();
    world.simulator.wait_for_held(3).await;
    assert_eq!(
        (
            world.simulator.in_flight(),
            world.simulator.calls(Endpoint::Create)
        ),
        (3, 3)
    );
    world.simulator.clear_faults();
    world.simulator.release();
    for call in calls {
        assert_eq!(call.await.unwrap(), 0);
    }
    world
        .simulator
        .wait_until(|simulator| simulator.in_flight() == 0)
        .await;
    assert_eq!((world.simulator.held(), world.simulator.max_in_flight()), (0, 3));
}

#[tokio::test]
async fn a_waiter_wakes_when_the_calls_have_come() {
    let world = World::with_token(Options::default()).await;
    let simulator = world.simulator.clone();
    let waiter = TaskTracker::new().spawn(async move { simulator.wait_for_calls(Endpoint::Create, 2).await });
    world.create("a").await;
    world.create("b").await;
    waiter.await.unwrap();
}

#[tokio::test]
async fn the_ledger_tells_what_was_called_and_what_came_of_it() {
    let world = World::new(Options::default()).await;
    world.exchange().await;
    world.create("a").await;
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).once().cut().after_effect());
    world.try_create("b").await.unwrap_err();
    world.describe("a").await;
    world.errcode(CREATE, about("c")).await;
    let ledger = world.simulator.ledger();
    let row = |entry: &Entry| {
        (
            entry.sequence,
            entry.token,
            entry.errcode,
            entry.took_effect,
            entry.answered,
        )
    };
    assert_eq!(
        ledger.iter().map(row).collect::<Vec<_>>(),
        [
            (1, None, Some(0), true, true),
            (2, Some(1), Some(0), true, true),
            (3, Some(1), None, true, false),
            (4, Some(1), Some(0), false, true),
            (5, None, Some(41001), false, true),
        ]
    );
    let envs: Vec<_> = ledger.iter().map(|entry| entry.env.as_deref()).collect();
    assert_eq!(envs, [None, Some("a"), Some("b"), Some("a"), Some("c")]);
}

#[tokio::test]
async fn the_ledger_may_keep_counts_only_and_start_at_zero() {
    let world = World::with_token(Options {
        detailed_ledger: false,
        ..Options::default()
    })
    .await;
    world.create("a").await;
    assert!(world.simulator.ledger().is_empty());
    assert_eq!(world.simulator.calls(Endpoint::Create), 1);
    world.simulator.clear_ledger();
    assert_eq!(world.simulator.calls(Endpoint::Create), 0);
    assert_eq!(world.simulator.effective_creates("a"), 1);
}

#[tokio::test]
async fn it_stops_when_told_and_when_the_last_handle_is_gone() {
    let told = Simulator::start(on_own_address()).await.unwrap();
    let connection = TcpStream::connect(told.address()).await.unwrap();
    told.stop().await;
    assert!(is_cut(connection).await);
    assert_eq!(
        connect_error(told.address()).await,
        Some(ErrorKind::ConnectionRefused)
    );

    let World { simulator, client } = World::new(on_own_address()).await;
    let (address, last) = (simulator.address(), simulator.clone());
    drop(simulator);
    assert_eq!(client.get(last.url()).send().await.unwrap().status(), 404);
    let connection = TcpStream::connect(address).await.unwrap();
    drop(last);
    assert!(is_cut(connection).await);
    while connect_error(address).await.is_none() {
        tokio::task::yield_now().await;
    }
}

/// Options with a loopback address of this process alone. Everybody else here listens on 127.0.0.1, so nobody answers
/// on a port that was given up. A process id has 22 bits at most.
fn on_own_address() -> Options {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Options {
        listen: SocketAddr::from((Ipv4Addr::new(127, 128 | high, middle, low), 0)),
        ..Options::default()
    }
}

/// Waits for the end of a connection: closed, or reset when nobody had accepted it yet.
async fn is_cut(mut connection: TcpStream) -> bool {
    connection.read(&mut [0]).await.unwrap_or(0) == 0
}

async fn connect_error(address: SocketAddr) -> Option<ErrorKind> {
    TcpStream::connect(address).await.err().map(|error| error.kind())
}
