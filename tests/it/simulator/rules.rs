//! What Weixin does when nothing goes wrong.

use std::time::Duration;

use chrono::DateTime;
use serde_json::{Value, json};
use staticstored::clock::Clock;
use staticstored::simulator::{AbsentList, Endpoint, Fault, ListField, Opening, Options, RegionField};

use super::{CREATE, DESCRIBE, EXCHANGE, START_PUSH_TICKET, World, about};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn manual() -> (Clock, Options) {
    let clock = Clock::manual(DateTime::UNIX_EPOCH);
    (
        clock.clone(),
        Options {
            clock,
            ..Options::default()
        },
    )
}

#[tokio::test]
async fn a_ticket_buys_a_token_and_the_token_opens_a_store() {
    let world = World::new(Options::default()).await;
    let answer = world.exchange().await;
    assert_eq!(answer["expires_in"], 7200);
    assert_eq!(answer["errcode"], Value::Null);
    assert_eq!(
        answer["component_access_token"].as_str(),
        world.simulator.current_token().as_deref()
    );
    assert_eq!(
        world.json(&world.with(CREATE), about("a")).await,
        json!({"errcode": 0, "errmsg": "ok"})
    );
    assert_eq!(world.simulator.effective_creates("a"), 1);
    assert_eq!(world.simulator.exchanges(), 1);
}

#[tokio::test]
async fn an_exchange_says_what_is_wrong_with_it() {
    let world = World::new(Options::default()).await;
    for (field, value, errcode) in [
        ("component_appid", json!("wx-other"), 40013),
        ("component_appsecret", json!("other"), 40125),
        ("component_appsecret", json!(null), 41004),
        ("component_verify_ticket", json!("ticket@@@other"), 61006),
        ("component_verify_ticket", json!(""), 61006),
        ("component_verify_ticket", json!(7), 47001),
    ] {
        let mut body = world.credentials();
        body[field] = value;
        assert_eq!(world.errcode(EXCHANGE, body.to_string()).await, errcode, "{body}");
    }
    assert_eq!(world.errcode(EXCHANGE, "{").await, 47001);
    assert_eq!(world.errcode(EXCHANGE, "").await, 44002);
    assert_eq!(world.simulator.exchanges(), 0);
    assert_eq!(world.simulator.current_token(), None);
}

#[tokio::test]
async fn a_ticket_lives_for_twelve_hours_and_start_push_ticket_makes_a_new_one() {
    let (clock, options) = manual();
    let world = World::new(options).await;
    clock.advance(12 * HOUR);
    assert_eq!(world.exchange().await["errcode"], 61005);
    let old = world.simulator.ticket();
    let Options { appid, appsecret, .. } = Options::default();
    let wrong_field = json!({"component_appid": appid, "component_appsecret": appsecret}).to_string();
    assert_eq!(world.errcode(START_PUSH_TICKET, wrong_field).await, 41004);
    let right_field = json!({"component_appid": appid, "component_secret": appsecret}).to_string();
    assert_eq!(world.errcode(START_PUSH_TICKET, right_field).await, 0);
    assert_ne!(world.simulator.ticket(), old);
    assert!(world.exchange().await["component_access_token"].is_string());
    world.simulator.expire_tickets();
    assert_eq!(world.exchange().await["errcode"], 61005);
    world.simulator.new_ticket();
    assert!(world.exchange().await["component_access_token"].is_string());
}

#[tokio::test]
async fn a_new_token_ends_the_old_one_after_the_overlap() {
    let (clock, options) = manual();
    let world = World::with_token(options).await;
    let with_old = world.with(CREATE);
    world.simulator.revoke_token();
    clock.advance(5 * MINUTE - SECOND);
    assert_eq!(world.errcode(&with_old, about("a")).await, 0);
    clock.advance(SECOND);
    assert_eq!(world.errcode(&with_old, about("b")).await, 40001);
    assert_eq!(world.create("b").await, 0);
    world
        .simulator
        .change(|options| options.token_overlap = Duration::ZERO);
    let with_old = world.with(CREATE);
    world.simulator.revoke_token();
    assert_eq!(world.errcode(&with_old, about("c")).await, 40001);
    assert_eq!(world.simulator.tokens().len(), 3);
}

#[tokio::test]
async fn a_call_with_a_bad_token_or_body_is_refused() {
    let (clock, options) = manual();
    let world = World::with_token(options).await;
    for path in [CREATE, DESCRIBE] {
        assert_eq!(world.errcode(path, about("a")).await, 41001);
        assert_eq!(
            world.errcode(&format!("{path}?access_token="), about("a")).await,
            41001
        );
        assert_eq!(
            world
                .errcode(&format!("{path}?access_token=made-up"), about("a"))
                .await,
            40014
        );
        assert_eq!(world.errcode(&world.with(path), "").await, 44002);
        assert_eq!(world.errcode(&world.with(path), "env=a").await, 47001);
        assert_eq!(world.errcode(&world.with(path), "{}").await, 40101);
        let url = world.simulator.url() + &world.with(path);
        assert!(
            world
                .client
                .get(url)
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap()
                .contains("43002")
        );
    }
    clock.advance(2 * HOUR);
    assert_eq!(world.create("a").await, 42001);
    assert_eq!(world.simulator.effective_creates("a"), 0);
}

#[tokio::test]
async fn an_error_carries_a_request_id_and_comes_as_plain_text() {
    let world = World::new(Options::default()).await;
    let answer = world.post(CREATE, about("a")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/plain");
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let (_, rid) = answer["errmsg"].as_str().unwrap().split_once(" rid: ").unwrap();
    let is_hex = |part: &str| part.len() == 8 && u32::from_str_radix(part, 16).is_ok();
    assert!(rid.split('-').count() == 3 && rid.split('-').all(is_hex), "{rid}");
}

#[tokio::test]
async fn an_unknown_path_is_a_page_of_html_whatever_the_faults() {
    let world = World::new(Options::default()).await;
    world
        .simulator
        .fault(Fault::anywhere().delay(Duration::from_millis(1)));
    let answer = world.post("/elsewhere", "{}").await.unwrap();
    assert_eq!(answer.status(), 404);
    assert!(answer.text().await.unwrap().starts_with("<html>"));
    assert_eq!(world.simulator.calls(Endpoint::Unknown), 1);
}

#[tokio::test]
async fn a_store_opens_step_by_step_and_shows_its_domain() {
    let (clock, options) = manual();
    let opening = Opening::online_after(30 * SECOND);
    let world = World::with_token(Options {
        opening,
        list_field: ListField::Upper,
        region_field: RegionField::Regoin,
        ..options
    })
    .await;
    world.create("a").await;
    for (wait, status) in [
        (0, "init"),
        (9, "init"),
        (1, "process"),
        (19, "process"),
        (1, "online"),
    ] {
        clock.advance(wait * SECOND);
        assert_eq!(world.describe("a").await["Data"][0]["status"], status);
    }
    let answer = world.describe("a").await;
    assert_eq!(
        answer["Data"][0],
        json!({
            "env": "a", "domain": "a-1250000000.tcloudbaseapp.com", "bucket": "0000-static-a-1250000000",
            "regoin": "ap-shanghai", "status": "online",
        })
    );
}

#[tokio::test]
async fn a_store_may_fail_to_open_be_destroyed_and_be_opened_again() {
    let (clock, options) = manual();
    let world = World::with_token(options).await;
    world.simulator.set_opening("a", Opening::fails_after(SECOND));
    world.create("a").await;
    clock.advance(SECOND);
    assert_eq!(world.simulator.store("a").as_deref(), Some("create_fail"));
    world.simulator.destroy_store("a", SECOND);
    assert_eq!(world.simulator.store("a").as_deref(), Some("destroying"));
    clock.advance(SECOND);
    assert_eq!(world.simulator.store("a").as_deref(), Some("offline"));
    world.create("a").await;
    clock.advance(MINUTE);
    assert_eq!(world.simulator.store("a").as_deref(), Some("online"));
    assert_eq!(world.simulator.effective_creates("a"), 2);
    assert_eq!(world.simulator.needless_creates(), 0);
    world.simulator.remove_store("a");
    assert_eq!(world.simulator.store("a"), None);
    world.simulator.set_store("a", None);
    assert_eq!(world.simulator.store("a").as_deref(), Some("null"));
}

#[tokio::test]
async fn a_create_for_a_store_that_is_there_is_always_counted() {
    let world = World::with_token(Options::default()).await;
    assert_eq!(world.create("a").await, 0);
    assert_eq!(world.create("a").await, 0);
    world
        .simulator
        .change(|options| options.create_again_errcode = -601009);
    assert_eq!(world.create("a").await, -601009);
    assert_eq!(world.simulator.effective_creates("a"), 3);
    assert_eq!(world.simulator.needless_creates(), 2);
    assert_eq!(world.simulator.effective_creates("b"), 0);
}

#[tokio::test]
async fn describe_is_spelled_in_every_way_the_documents_have() {
    let world = World::with_token(Options::default()).await;
    world.simulator.set_store("a", "online");
    let mut spellings = Vec::new();
    for _ in 0..4 {
        let answer = world.describe("a").await;
        let list = ["Data", "data"]
            .into_iter()
            .find(|list| answer[list].is_array())
            .unwrap();
        let region = ["regoin", "region"]
            .into_iter()
            .find(|name| answer[list][0][name] == "ap-shanghai")
            .unwrap();
        spellings.push((list, region));
    }
    spellings.sort_unstable();
    spellings.dedup();
    assert_eq!(spellings.len(), 4);
}

#[tokio::test]
async fn describe_says_in_three_ways_that_there_is_no_record() {
    let world = World::with_token(Options {
        list_field: ListField::Upper,
        ..Options::default()
    })
    .await;
    for (form, list) in [
        (AbsentList::Null, Some(json!(null))),
        (AbsentList::Empty, Some(json!([]))),
        (AbsentList::Missing, None),
    ] {
        world.simulator.change(|options| options.absent_list = form);
        assert_eq!(world.describe("a").await.get("Data").cloned(), list);
    }
}

#[tokio::test]
async fn limits_for_a_second_and_a_day_are_kept_and_pass() {
    let (clock, options) = manual();
    let limits = Options {
        creates_per_second: 1,
        creates_per_day: 2,
        describes_per_second: 1,
        exchanges_per_day: 2,
        ticket_lifetime: 24 * HOUR,
        token_lifetime: 24 * HOUR,
        ..options
    };
    let world = World::with_token(limits).await;
    assert_eq!([world.create("a").await, world.create("b").await], [0, 45011]);
    world.describe("a").await;
    assert_eq!(world.describe("a").await["errcode"], 45011);
    clock.advance(SECOND);
    assert_eq!(world.create("b").await, 0);
    clock.advance(SECOND);
    assert_eq!(world.create("c").await, 45009);
    for _ in 0..2 {
        assert!(world.exchange().await["component_access_token"].is_string());
    }
    assert_eq!(world.exchange().await["errcode"], 45009);
    clock.advance(16 * HOUR);
    assert!(world.exchange().await["component_access_token"].is_string());
    assert_eq!(world.create("c").await, 0);
}
