//! What the platform pushes, when, and what it makes of the answers.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use staticstored::clock::Clock;
use staticstored::simulator::Options;
use staticstored::simulator::push::{Answer, Event, Seal, Target};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{START_PUSH_TICKET, World};
use crate::world::within;

const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const MINUTE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_secs(600);

/// Somebody who is pushed to: what came in, and what it says to that. `None`: nothing, ever.
struct Receiver {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
    says: Arc<Mutex<Option<(u16, &'static str)>>>,
    _server: JoinSet<()>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/weixin/callback", listener.local_addr().unwrap());
        let (seen, says) = (
            Arc::<Mutex<Vec<String>>>::default(),
            Arc::new(Mutex::new(Some((200, "success")))),
        );
        let mut server = JoinSet::new();
        let (log, answer) = (Arc::clone(&seen), Arc::clone(&says));
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                let serve = service_fn(move |request| serve(request, Arc::clone(&log), Arc::clone(&answer)));
                connections.spawn(async move {
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), serve)
                        .await;
                });
            }
        });
        Self {
            url,
            seen,
            says,
            _server: server,
        }
    }

    fn say(&self, answer: Option<(u16, &'static str)>) {
        *self.says.lock().unwrap() = answer;
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    request: Request<Incoming>,
    log: Arc<Mutex<Vec<String>>>,
    answer: Arc<Mutex<Option<(u16, &'static str)>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let head = format!("{} {}", request.method(), request.uri());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    log.lock()
        .unwrap()
        .push(format!("{head} {}", String::from_utf8_lossy(&body)));
    let answer = *answer.lock().unwrap();
    let Some((status, text)) = answer else {
        return std::future::pending().await;
    };
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status.try_into().unwrap();
    Ok(response)
}

/// A platform whose time is moved by hand, and somebody whom it pushes to.
async fn pushing(change: impl FnOnce(&mut Options)) -> (World, Clock, Receiver) {
    let clock = Clock::manual(DateTime::from_timestamp(1_413_192_605, 0).unwrap());
    let receiver = Receiver::start().await;
    let mut options = Options {
        clock: clock.clone(),
        ..Options::default()
    };
    let seal = Seal::new("AAAAA", KEY, &options.appid).unwrap();
    options.push_to = Some(Target::new(&receiver.url, seal).unwrap());
    change(&mut options);
    (World::new(options).await, clock, receiver)
}

/// Waits until so many pushes have been made and the platform has drawn its conclusions.
async fn pushed(world: &World, count: usize, goes_on: bool) {
    let simulator = &world.simulator;
    within(simulator.wait_until(|simulator| simulator.pushes().len() >= count)).await;
    crate::world::within(async {
        while simulator.goes_on_pushing() != goes_on {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(simulator.pushes().len(), count);
}

async fn start_push(world: &World) {
    let Options { appid, appsecret, .. } = Options::default();
    let body = json!({"component_appid": appid, "component_secret": appsecret}).to_string();
    assert_eq!(world.errcode(START_PUSH_TICKET, body).await, 0);
}

#[tokio::test]
async fn a_new_ticket_is_pushed_every_ten_minutes_by_the_platforms_clock() {
    let (world, clock, receiver) = pushing(|_| {}).await;
    let mut tickets = vec![world.simulator.ticket()];
    for nth in 1..=4 {
        clock.advance(INTERVAL - MINUTE);
        tokio::task::yield_now().await;
        assert_eq!(world.simulator.pushes().len(), nth - 1);
        clock.advance(MINUTE);
        pushed(&world, nth, true).await;
        tickets.push(world.simulator.ticket());
    }
    assert!(
        world
            .simulator
            .pushes()
            .iter()
            .all(|push| push.is_success() && push.info_type == "component_verify_ticket")
    );
    tickets.sort_unstable();
    tickets.dedup();
    assert_eq!(tickets.len(), 5);
    // The platform takes what it pushed.
    assert!(world.exchange().await["component_access_token"].is_string());
    for seen in receiver.seen() {
        let start = "POST /weixin/callback?signature=";
        assert!(
            seen.starts_with(start) && seen.contains("&msg_signature="),
            "{seen}"
        );
        assert!(!seen.contains("ticket@@@"), "{seen}");
    }
}

#[tokio::test]
async fn the_push_stops_after_three_tries_without_success_until_somebody_asks_for_it() {
    for answer in [(403, "no"), (200, "SUCCESS"), (200, "<html>"), (302, "success")] {
        let (world, clock, receiver) = pushing(|_| {}).await;
        receiver.say(Some(answer));
        clock.advance(INTERVAL);
        pushed(&world, 3, false).await;
        // Three times the same: whoever gets it twice has to bear that.
        let seen = receiver.seen();
        assert!(seen.len() == 3 && seen[0] == seen[1] && seen[1] == seen[2]);
        assert_eq!(
            world.simulator.pushes()[2].answer,
            Ok(Answer {
                status: answer.0,
                body: answer.1.to_owned()
            })
        );
        clock.advance(100 * INTERVAL);
        receiver.say(Some((200, "success")));
        start_push(&world).await;
        assert_eq!(world.simulator.pushes().len(), 3);
        clock.advance(Options::default().push_delay);
        pushed(&world, 4, true).await;
        clock.advance(INTERVAL);
        pushed(&world, 5, true).await;
    }
}

#[tokio::test]
async fn a_push_that_is_not_to_stop_goes_on_after_an_interval() {
    let (world, clock, receiver) = pushing(|options| {
        options.push_stops = false;
        options.push_tries = 1;
    })
    .await;
    receiver.say(Some((500, "")));
    for nth in 1..=3 {
        clock.advance(INTERVAL);
        pushed(&world, nth, true).await;
    }
    world.simulator.change(|options| options.push_to = None);
    assert!(!world.simulator.goes_on_pushing());
}

#[tokio::test]
async fn a_push_is_asked_for_before_its_time_and_the_next_comes_an_interval_after_it() {
    let (world, clock, _receiver) = pushing(|options| options.push_delay = MINUTE).await;
    start_push(&world).await;
    clock.advance(MINUTE);
    pushed(&world, 1, true).await;
    clock.advance(INTERVAL - MINUTE);
    tokio::task::yield_now().await;
    assert_eq!(world.simulator.pushes().len(), 1);
    clock.advance(MINUTE);
    pushed(&world, 2, true).await;
}

#[tokio::test]
async fn who_does_not_answer_or_is_not_there_gets_no_success() {
    let (world, _clock, receiver) =
        pushing(|options| options.push_patience = Duration::from_millis(50)).await;
    receiver.say(None);
    let error = world.simulator.push_ticket().await.unwrap_err().to_string();
    assert_eq!(error, "no answer within 50ms");
    assert_eq!(world.simulator.pushes()[0].answer, Err(error));
    drop(receiver);
    let error = within(async {
        loop {
            let error = world.simulator.push_event("authorized").await.unwrap_err();
            if error.to_string().starts_with("no connection") {
                return error;
            }
        }
    });
    error.await;
    let nobody = World::new(Options::default()).await;
    assert_eq!(
        nobody
            .simulator
            .push_event("authorized")
            .await
            .unwrap_err()
            .to_string(),
        "there is nobody to push to"
    );
}

#[tokio::test]
async fn a_letter_can_be_sent_again_and_one_with_other_keys_be_made() {
    let (world, clock, receiver) = pushing(|_| {}).await;
    let seal = Seal::new("other", KEY, "wx-other").unwrap();
    let letter = seal.letter(
        &Event::ticket("ticket@@@older", clock.now() - MINUTE),
        clock.now(),
    );
    for _ in 0..2 {
        assert!(world.simulator.post(&letter).await.unwrap().is_success());
    }
    let seen = receiver.seen();
    assert_eq!(seen[0], seen[1]);
    assert!(
        seen[0].contains("<AppId><![CDATA[wx-other]]></AppId>"),
        "{}",
        seen[0]
    );
}
