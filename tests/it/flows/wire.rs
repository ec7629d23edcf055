//! Answers that never came, came broken, or came in another shape: what a wire does to create and describe.

use staticstored::simulator::{AbsentList, Endpoint, Fault, ListField, RegionField};

use super::{UNFINISHED, backoff_in_minutes};
use crate::world::World;

type Break = fn(Fault) -> Fault;

/// A way for an answer to be lost, its HTTP status, and what the record says of it.
const BREAKS: [(&str, Break, &str, &str); 8] = [
    ("cut", Fault::cut, "NULL", "no answer from Weixin:%"),
    (
        "cut-in-body",
        Fault::cut_in_body,
        "200",
        "no answer from Weixin:%",
    ),
    ("http-500", |fault| fault.http(500), "500", "HTTP status 500"),
    ("http-502", |fault| fault.http(502), "502", "HTTP status 502"),
    ("http-503", |fault| fault.http(503), "503", "HTTP status 503"),
    ("no-json", Fault::no_json, "200", "the answer could not be read:%"),
    (
        "oversize",
        Fault::oversize,
        "200",
        "the answer could not be read:%",
    ),
    ("endless", Fault::endless, "200", "the answer could not be read:%"),
];

async fn first_attempt(world: &World, env: &str, errmsg: &str) -> String {
    world
        .row(&format!(
            "SELECT call, outcome, errcode, http_status, errmsg LIKE '{errmsg}' FROM attempt \
              WHERE env = '{env}' AND outcome = 'retry' ORDER BY id LIMIT 1"
        ))
        .await
}

#[tokio::test]
async fn a_create_whose_answer_broke_after_it_took_effect_is_found_and_never_made_again() {
    let mut world = World::new().await;
    for (env, broken, ..) in BREAKS {
        let fault = broken(Fault::on(Endpoint::Create).env(env).once());
        world.simulator.fault(fault.after_effect());
        world.insert(env).await;
    }
    world.start();
    world.wait_for(UNFINISHED, &["0"]).await;
    for (env, _, http_status, errmsg) in BREAKS {
        assert_eq!(
            first_attempt(&world, env, errmsg).await,
            format!("create|retry|NULL|{http_status}|1"),
            "{env}"
        );
        assert_eq!(
            world
                .status("state, attempts, errcode, errmsg, remedy", env)
                .await,
            "online|1|0|ok|NULL",
            "{env}"
        );
        assert_eq!(world.simulator.calls_for(Endpoint::Create, env), 1, "{env}");
    }
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_create_that_broke_before_it_took_effect_is_looked_at_and_made_again() {
    let mut world = World::new().await;
    for (env, broken, ..) in BREAKS {
        let fault = broken(Fault::on(Endpoint::Create).env(env).once());
        world.simulator.fault(fault);
        world.insert(env).await;
    }
    world.start();
    world.wait_for(UNFINISHED, &["0"]).await;
    for (env, ..) in BREAKS {
        assert_eq!(world.status("state, attempts", env).await, "online|2", "{env}");
        assert_eq!(
            world.history(env).await[..3],
            ["create:retry", "describe:absent", "create:accepted"],
            "{env}"
        );
    }
    assert_eq!(world.simulator.needless_creates(), 0);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_describe_whose_answer_broke_is_asked_again() {
    let mut world = World::new().await;
    for (env, broken, ..) in BREAKS {
        world
            .simulator
            .fault(broken(Fault::on(Endpoint::Describe).env(env).once()));
        world.insert(env).await;
    }
    world.start();
    world.wait_for(UNFINISHED, &["0"]).await;
    for (env, _, http_status, errmsg) in BREAKS {
        assert_eq!(
            first_attempt(&world, env, errmsg).await,
            format!("describe|retry|NULL|{http_status}|1"),
            "{env}"
        );
        assert_eq!(world.status("state, attempts", env).await, "online|1", "{env}");
    }
    world.stop().await.unwrap();
}

#[tokio::test]
async fn while_an_answer_is_missing_errmsg_says_what_happened_and_errcode_is_null() {
    let mut world = World::by_hand().await;
    backoff_in_minutes(&mut world);
    world.simulator.fault(Fault::on(Endpoint::Create).http(502));
    world.insert("gateway").await;
    world.start();
    world.wait_for_state("gateway", "retrying").await;
    let columns = "attempts, errcode, errmsg, rid, remedy, next_attempt_at IS NOT NULL";
    assert_eq!(
        world.status(columns, "gateway").await,
        "1|NULL|HTTP status 502|NULL|NULL|1"
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn http_429_was_refused_and_is_tried_again_without_a_look() {
    let mut world = World::new().await;
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).once().http(429));
    world.insert("too-many").await;
    world.start();
    world.wait_for_state("too-many", "online").await;
    assert_eq!(
        world.history("too-many").await[..2],
        ["create:retry", "create:accepted"]
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn an_answer_slower_than_the_timeout_is_looked_for_and_never_asked_for_twice() {
    let mut world = World::new().await;
    world.set("api.request_timeout", "1s");
    let fault = Fault::on(Endpoint::Create).once();
    world
        .simulator
        .fault(fault.slow(std::time::Duration::from_millis(200)));
    world.insert("slow").await;
    world.start();
    world.wait_for_state("slow", "online").await;
    assert_eq!(
        first_attempt(&world, "slow", "no answer from Weixin: timed out%").await,
        "create|retry|NULL|200|1"
    );
    assert_eq!(world.simulator.calls_for(Endpoint::Create, "slow"), 1);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn refused_connections_keep_the_request_until_there_is_somebody_again() {
    let mut world = World::new().await;
    world.start();
    world.insert("before").await;
    world.wait_for_state("before", "online").await;
    world.simulator.refuse().await;
    world.insert("during").await;
    world
        .wait_for(
            "SELECT count(*) > 0 FROM attempt WHERE errmsg LIKE 'no connection to Weixin:%' AND http_status IS NULL",
            &["1"],
        )
        .await;
    assert_eq!(
        world.status("errcode, remedy, finished_at", "during").await,
        "NULL|NULL|NULL"
    );
    world.simulator.accept().await;
    world.wait_for_state("during", "online").await;
    assert_eq!(world.simulator.effective_creates("during"), 1);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn null_fields_and_answers_about_another_environment_are_no_success() {
    let mut world = World::new().await;
    let describe = |env: &str| Fault::on(Endpoint::Describe).env(env).times(3);
    world.simulator.fault(describe("nulls").null_fields());
    world.simulator.fault(describe("another").wrong_env());
    for env in ["nulls", "another"] {
        world.simulator.set_store(env, "online");
        world.insert(env).await;
    }
    // As after a first request: this one looks before it creates.
    world.execute("UPDATE queue SET call = 'describe'").await;
    world.start();
    world.wait_for(UNFINISHED, &["0"]).await;
    for env in ["nulls", "another"] {
        assert_eq!(
            world
                .status(
                    "state, attempts, domain LIKE env || '%', bucket IS NOT NULL, region",
                    env
                )
                .await,
            "online|0|1|1|ap-shanghai"
        );
        assert_eq!(world.simulator.calls_for(Endpoint::Describe, env), 4);
    }
    assert_eq!(
        world
            .row("SELECT count(*) FROM attempt WHERE env = 'another' AND errmsg LIKE '%about other environments'")
            .await,
        "3"
    );
    assert_eq!(world.simulator.calls(Endpoint::Create), 0);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn every_spelling_of_an_answer_is_read() {
    let mut world = World::new().await;
    world.start();
    for list in [ListField::Upper, ListField::Lower] {
        for region in [RegionField::Regoin, RegionField::Region] {
            world.simulator.change(|options| {
                options.list_field = list;
                options.region_field = region;
            });
            let env = format!("{list:?}-{region:?}");
            world.insert(&env).await;
            world.wait_for_state(&env, "online").await;
            assert_eq!(
                world
                    .status("domain IS NOT NULL, bucket IS NOT NULL, region", &env)
                    .await,
                "1|1|ap-shanghai"
            );
        }
    }
    for absent in [AbsentList::Null, AbsentList::Empty, AbsentList::Missing] {
        world.simulator.change(|options| options.absent_list = absent);
        let env = format!("{absent:?}");
        world
            .simulator
            .fault(Fault::on(Endpoint::Create).env(&env).once().cut());
        world.insert(&env).await;
        world.wait_for_state(&env, "online").await;
        assert_eq!(world.simulator.calls_for(Endpoint::Create, &env), 2);
        assert_eq!(world.history(&env).await[1], "describe:absent");
    }
    world.stop().await.unwrap();
}
