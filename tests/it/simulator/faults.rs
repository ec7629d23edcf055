//! What goes wrong when a test says so, and how often.

use std::time::Duration;

use serde_json::Value;
use staticstored::clock::Clock;
use staticstored::simulator::{Endpoint, Fault, ListField, Options};

use super::{EXCHANGE, World};

#[tokio::test]
async fn a_fault_hits_its_endpoint_and_env_so_often_and_no_more() {
    let world = World::with_token(Options::default()).await;
    world.simulator.set_store("a", "offline");
    world.simulator.fault(
        Fault::on(Endpoint::Create)
            .env("a")
            .times(2)
            .errcode(-1, "system error"),
    );
    assert_eq!(world.create("b").await, 0);
    assert_eq!(world.describe("a").await["errcode"], 0);
    let answers = [
        world.create("a").await,
        world.create("a").await,
        world.create("a").await,
    ];
    assert_eq!(answers, [-1, -1, 0]);
    assert_eq!(world.simulator.effective_creates("a"), 1);
    assert_eq!(world.simulator.calls_for(Endpoint::Create, "a"), 3);
}

#[tokio::test]
async fn faults_come_one_after_the_other_and_can_be_cleared() {
    let world = World::with_token(Options::default()).await;
    world.simulator.fault(Fault::anywhere().errcode(3, "for any env"));
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).env("a").once().errcode(1, "first"));
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).env("a").once().errcode(2, "second"));
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(world.create("a").await);
    }
    world.simulator.clear_faults();
    answers.push(world.create("a").await);
    assert_eq!(answers, [1, 2, 3, 3, 0]);
}

#[tokio::test]
async fn a_seed_repeats_what_chance_decided_in_whatever_order_the_envs_come() {
    let mut runs = Vec::new();
    for (seed, backwards) in [(1, false), (1, true), (2, false)] {
        let world = World::with_token(Options {
            seed,
            ..Options::default()
        })
        .await;
        world.simulator.fault(
            Fault::on(Endpoint::Create)
                .probability(0.5)
                .errcode(-1, "system error"),
        );
        let mut envs: Vec<String> = (0..40).map(|number| format!("env-{number}")).collect();
        if backwards {
            envs.reverse();
        }
        let mut run = Vec::new();
        for env in envs {
            run.push((world.create(&env).await, env));
        }
        run.sort_unstable();
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    let hits = runs[0].iter().filter(|(errcode, _)| *errcode == -1).count();
    assert!((10..=30).contains(&hits), "{hits} of 40");
}

#[tokio::test]
async fn an_answer_may_be_an_http_status_a_redirect_or_no_json() {
    let world = World::with_token(Options::default()).await;
    for status in [500, 502, 429] {
        world
            .simulator
            .fault(Fault::on(Endpoint::Exchange).once().http(status));
        let answer = world.post(EXCHANGE, "{}").await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["content-type"], "text/html");
    }
    world.simulator.fault(
        Fault::on(Endpoint::Exchange)
            .once()
            .redirect("http://127.0.0.1:9/there"),
    );
    let answer = world.post(EXCHANGE, "{}").await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["location"]),
        (302, &"http://127.0.0.1:9/there".parse().unwrap())
    );
    world
        .simulator
        .fault(Fault::on(Endpoint::Exchange).once().no_json());
    assert!(serde_json::from_str::<Value>(&world.text(EXCHANGE, "{}").await.unwrap()).is_err());
    assert!(
        world
            .simulator
            .ledger()
            .iter()
            .all(|entry| entry.errcode.is_none() && entry.answered)
    );
}

#[tokio::test]
async fn an_answer_may_be_larger_than_64_kib_or_endless() {
    const LIMIT: usize = 64 * 1024;
    let world = World::with_token(Options::default()).await;
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).once().oversize());
    let large = world.try_create("a").await.unwrap();
    assert!(large.len() > LIMIT && serde_json::from_str::<Value>(&large).is_ok());
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).once().endless());
    let mut answer = world
        .post(&world.with(super::CREATE), super::about("a"))
        .await
        .unwrap();
    let mut read = 0;
    while read <= 16 * LIMIT {
        read += answer.chunk().await.unwrap().expect("it does not end").len();
    }
    assert_eq!(world.simulator.effective_creates("a"), 0);
}

#[tokio::test]
async fn an_answer_may_come_late_or_byte_by_byte_and_be_right() {
    let pause = Duration::from_millis(1);
    let world = World::with_token(Options::default()).await;
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).once().slow(pause));
    assert_eq!(
        world.try_create("a").await.unwrap(),
        r#"{"errcode":0,"errmsg":"ok"}"#
    );
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).once().delay(pause));
    assert_eq!(world.create("b").await, 0);
    assert_eq!(
        world.simulator.effective_creates("a") + world.simulator.effective_creates("b"),
        2
    );
}

#[tokio::test]
async fn describe_may_be_null_throughout_or_about_another_env() {
    let world = World::with_token(Options {
        list_field: ListField::Upper,
        ..Options::default()
    })
    .await;
    world.simulator.set_store("a", "online");
    world
        .simulator
        .fault(Fault::on(Endpoint::Describe).once().null_fields());
    let answer = world.describe("a").await;
    assert_eq!(answer["errcode"], 0);
    let fields = answer["Data"][0].as_object().unwrap();
    assert!(fields.len() == 5 && fields.values().all(Value::is_null));
    world
        .simulator
        .fault(Fault::on(Endpoint::Describe).once().wrong_env());
    let answer = world.describe("a").await;
    assert_ne!(answer["Data"][0]["env"], "a");
    assert_eq!(answer["Data"][0]["status"], "online");
}

#[tokio::test]
async fn a_busy_platform_answers_minus_one_to_everybody() {
    let clock = Clock::manual(chrono::DateTime::UNIX_EPOCH);
    let world = World::with_token(Options {
        clock: clock.clone(),
        ..Options::default()
    })
    .await;
    world.simulator.set_busy(true);
    assert_eq!(world.create("a").await, -1);
    assert_eq!(world.exchange().await["errcode"], -1);
    world.simulator.set_busy(false);
    assert_eq!(world.create("a").await, 0);
    world.simulator.fault(
        Fault::on(Endpoint::Create)
            .env("b")
            .once()
            .busy(Duration::from_secs(2)),
    );
    assert_eq!([world.create("b").await, world.create("c").await], [-1, -1]);
    clock.advance(Duration::from_secs(2));
    assert_eq!([world.create("b").await, world.create("c").await], [0, 0]);
}

#[tokio::test]
async fn a_token_may_be_lost_just_before_a_call() {
    let world = World::with_token(Options::default()).await;
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).env("a").once().token_lost());
    assert_eq!(world.create("a").await, 40001);
    assert_eq!(world.create("a").await, 0);
    assert_eq!(world.simulator.effective_creates("a"), 1);
}
