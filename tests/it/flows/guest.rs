//! A guest: the token comes from another program, by whatever that answers.

mod owner;

use std::time::Duration;

use owner::{Answer, Owner, new_token};
use staticstored::clock::{self, Timestamp};
use staticstored::credential::Bearer;
use staticstored::simulator::{Endpoint, Simulator};

use super::{SECOND, UNFINISHED};
use crate::world::{World, within};

const SERVICE: &str = "SELECT state, reason, remedy FROM service";
const UNTOUCHED: &str = "SELECT DISTINCT state, attempts, errcode FROM status";

/// A Weixin that honours a token until the next one is made, and a time that is moved by hand.
async fn strict() -> World {
    let world = World::by_hand().await;
    world
        .simulator
        .change(|options| options.token_overlap = Duration::ZERO);
    world
}

/// A guest without ticket, at an owner with a token of the platform that lives for two hours.
async fn guest(mut world: World) -> (World, Owner) {
    world.execute("DELETE FROM ticket").await;
    let owner = Owner::start(Answer::token(&new_token(&world.simulator).await, 7200)).await;
    world.set("token.source", "url");
    world.set("token.url", &owner.url);
    (world, owner)
}

/// Some seconds before a time of the database.
fn before(time: &str, seconds: i64) -> Timestamp {
    clock::parse(time).unwrap() - chrono::Duration::seconds(seconds)
}

/// Weixin was asked for nothing that only the owner of the token may ask.
fn never_asked(simulator: &Simulator, exchanges_by_the_owner: u64) {
    assert_eq!(simulator.calls(Endpoint::Exchange), exchanges_by_the_owner);
    assert_eq!(simulator.calls(Endpoint::StartPushTicket), 0);
}

#[tokio::test]
async fn it_opens_websites_with_the_owners_token_and_keeps_no_file_of_it() {
    let (mut world, owner) = guest(World::new().await).await;
    world.bearer = Some(Bearer::parse("a-credential").unwrap());
    world.set("api.proxy", "http://127.0.0.1:1");
    world.start();
    world
        .wait_for("SELECT token_expires_at IS NOT NULL FROM service", &["1"])
        .await;
    world.stop().await.unwrap();
    // The owner is asked without the proxy, which Weixin is not.
    let calls = owner.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].line, "GET /tokens/component");
    assert_eq!(calls[0].authorization.as_deref(), Some("Bearer a-credential"));

    let (mut world, owner) = guest(World::new().await).await;
    world.insert("one").await;
    world.insert("two").await;
    world.start();
    for env in ["one", "two"] {
        world.wait_for_state(env, "online").await;
    }
    assert_eq!(
        world.row("SELECT state, reason FROM service").await,
        "running|NULL"
    );
    world.stop().await.unwrap();
    assert!(!world.directory.path().join("token.json").exists());
    assert_eq!(owner.calls().len(), 1);
    assert_eq!(owner.calls()[0].authorization, None);
    never_asked(&world.simulator, 1);
}

#[tokio::test]
async fn an_owner_that_cannot_be_told_is_asked_again_until_it_gives_another_token() {
    let (mut world, owner) = guest(strict().await).await;
    world.start();
    world.insert("first").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    world.simulator.revoke_token();
    world.insert("second").await;
    world
        .fly(
            SECOND,
            "SELECT state, reason LIKE 'the owner of the token still gives the one that Weixin refuses', \
             remedy LIKE '%token.url%' FROM service",
            &["blocked|1|1"],
        )
        .await;
    let asked = || {
        owner
            .calls()
            .iter()
            .filter(|call| call.line.starts_with("POST"))
            .count()
    };
    let before = asked();
    let more = async {
        while asked() < before + 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        () = more => {}
        () = world.fly(SECOND, "SELECT 1 WHERE 0", &["never"]) => {}
    }
    owner.say(Answer::token(&new_token(&world.simulator).await, 7200));
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    assert_eq!(world.row(SERVICE).await, "running|NULL|NULL");
    // A probe now and then, with the token that there is.
    assert_eq!(world.status("state, attempts >= 2", "second").await, "online|1");
    assert_eq!(world.simulator.effective_creates("second"), 1);
    world.stop().await.unwrap();
    let calls = owner.calls();
    let first = calls
        .iter()
        .position(|call| call.line.starts_with("POST"))
        .unwrap();
    assert_eq!(calls[first].line, "POST /tokens/component/reject");
    assert_eq!(calls[first + 1].line, "GET /tokens/component", "404: a plain GET");
    never_asked(&world.simulator, 2);
}

#[tokio::test]
async fn the_owners_new_token_is_picked_up_before_the_old_one_ends_and_waiting_for_it_is_no_fault() {
    let (mut world, owner) = guest(World::by_hand().await).await;
    world.start();
    world.insert("first").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    let old_end = world.row("SELECT token_expires_at FROM service").await;
    // The same token, with as much life as is left: nothing new. Looked at ten minutes before, then each quarter of the rest.
    owner.say(Answer::token(&world.simulator.current_token().unwrap(), 600));
    let asked = owner.calls().len();
    world.clock.set(before(&old_end, 605));
    let thrice_more = async {
        while owner.calls().len() < asked + 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        () = within(thrice_more) => {}
        () = world.fly(SECOND / 2, "SELECT 1 WHERE 0", &["never"]) => {}
    }
    assert!(world.clock.now() >= before(&old_end, 340), "asked too early");
    assert_eq!(world.row(SERVICE).await, "running|NULL|NULL");
    assert_eq!(world.row("SELECT token_expires_at FROM service").await, old_end);
    owner.say(Answer::token(&new_token(&world.simulator).await, 7200));
    let newer = format!("SELECT token_expires_at > '{old_end}' FROM service");
    world.fly(SECOND / 2, &newer, &["1"]).await;
    let refreshed = world.row("SELECT token_refreshed_at FROM service").await;
    assert!(refreshed < old_end, "{refreshed} {old_end}");
    world.insert("second").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    assert_eq!(
        world
            .row("SELECT count(*) FROM attempt WHERE outcome = 'token'")
            .await,
        "0"
    );
    world.stop().await.unwrap();
}

struct Case {
    answer: Answer,
    state: &'static str,
    reason: &'static str,
    /// A part of the remedy; none where it passes by itself.
    remedy: Option<&'static str>,
}

fn case(answer: Answer, state: &'static str, reason: &'static str, remedy: Option<&'static str>) -> Case {
    Case {
        answer,
        state,
        reason,
        remedy,
    }
}

fn cases(elsewhere: &str) -> Vec<Case> {
    let redirect = Answer {
        location: Some(elsewhere.to_owned()),
        ..Answer::of(302, "")
    };
    let silent = Answer {
        silent: true,
        ..Answer::of(200, "")
    };
    let url = Some("token.url");
    let lacking = r#"{"reason":"no ticket has come","remedy":"look at the push"}"#;
    vec![
        case(
            Answer::of(401, ""),
            "blocked",
            "refuses us (HTTP 401)",
            Some("token.bearer_file"),
        ),
        case(
            Answer::of(403, ""),
            "blocked",
            "refuses us (HTTP 403)",
            Some("token.bearer_file"),
        ),
        case(
            Answer::of(404, ""),
            "blocked",
            "no token at token.url (HTTP 404)",
            url,
        ),
        case(redirect, "blocked", "redirect (HTTP 302)", url),
        case(
            Answer::of(200, "<html>canary</html>"),
            "blocked",
            "no such JSON",
            url,
        ),
        case(
            Answer::of(200, r#"{"errcode":-1}"#),
            "blocked",
            "no component_access_token",
            url,
        ),
        case(
            Answer::token("canary", 0),
            "blocked",
            "one that has expired",
            None,
        ),
        case(
            Answer::of(200, &"x".repeat(70_000)),
            "blocked",
            "over 65536 bytes",
            url,
        ),
        case(
            Answer::of(503, lacking),
            "blocked",
            "has none: no ticket has come",
            Some("look at the push"),
        ),
        case(
            Answer::of(503, r#"{"reason":"soon"}"#),
            "blocked",
            "has none: soon",
            None,
        ),
        case(Answer::of(503, "<html>"), "blocked", "has none (HTTP 503)", None),
        case(Answer::of(502, ""), "blocked", "HTTP 502", None),
        case(silent, "blocked", "does not answer in time", None),
    ]
}

#[tokio::test]
async fn each_answer_without_a_token_is_told_with_what_to_do_and_no_row_is_touched() {
    let elsewhere = Owner::start(Answer::of(200, "")).await;
    for case in cases(&elsewhere.url) {
        let (mut world, owner) = guest(World::by_hand().await).await;
        let good = Answer::token(&world.simulator.current_token().unwrap(), 7200);
        owner.say(case.answer);
        world.insert("waits").await;
        world.start();
        let reason = format!("SELECT state, reason LIKE '%{}%' FROM service", case.reason);
        world.wait_for(&reason, &[&format!("{}|1", case.state)]).await;
        let remedy = world.row("SELECT remedy FROM service").await;
        assert!(remedy.contains(case.remedy.unwrap_or("NULL")), "{remedy}");
        assert!(!world.row(SERVICE).await.contains("canary"));
        assert_eq!(world.rows(UNTOUCHED).await, ["pending|0|NULL"]);
        owner.say(good);
        world.fly(SECOND, UNFINISHED, &["0"]).await;
        assert_eq!(world.row(SERVICE).await, "running|NULL|NULL");
        world.stop().await.unwrap();
        never_asked(&world.simulator, 1);
    }
    assert_eq!(elsewhere.calls(), []);
}

#[tokio::test]
async fn an_owner_out_of_reach_blocks_until_it_is_there() {
    let mut world = World::by_hand().await;
    world.set("token.source", "url");
    let socket = world.directory.path().join("nobody.sock");
    world.set("token.url", &format!("unix:{}", socket.display()));
    world.insert("waits").await;
    world.start();
    world.wait_for_service("blocked").await;
    let service = "reason LIKE '%cannot be reached%No such file%', remedy LIKE '%token.url%', errcode";
    assert_eq!(
        world.row(&format!("SELECT {service} FROM service")).await,
        "1|1|NULL"
    );
    assert_eq!(world.rows(UNTOUCHED).await, ["pending|0|NULL"]);
    world.stop().await.unwrap();
    never_asked(&world.simulator, 0);
}

#[tokio::test]
async fn while_its_token_lives_a_guest_goes_on_whatever_its_owner_says() {
    let (mut world, owner) = guest(World::by_hand().await).await;
    world.start();
    world.insert("first").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    owner.say(Answer::of(401, ""));
    let end = world.row("SELECT token_expires_at FROM service").await;
    world.clock.set(before(&end, 500));
    world
        .wait_for(
            "SELECT state, reason LIKE '%refuses us%' FROM service",
            &["running|1"],
        )
        .await;
    world.insert("second").await;
    // In steps that leave the token alive on any machine.
    world.fly(SECOND / 100, UNFINISHED, &["0"]).await;
    assert_eq!(world.status("state, attempts", "second").await, "online|1");
    world.stop().await.unwrap();
}

#[tokio::test]
async fn an_owner_whose_tokens_die_young_one_after_another_is_asked_ever_more_slowly() {
    let (mut world, owner) = guest(strict().await).await;
    world.start();
    world.insert("first").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    for round in 0..3 {
        world.simulator.revoke_token();
        owner.say(Answer::token(&new_token(&world.simulator).await, 7200));
        world.insert(&format!("round-{round}")).await;
        if round > 0 {
            world.wait_for_service("blocked").await;
            let service =
                "reason LIKE '%the token was rejected by environment round-%', remedy LIKE '%token.url%'";
            assert_eq!(world.row(&format!("SELECT {service} FROM service")).await, "1|1");
        }
        world.fly(SECOND, UNFINISHED, &["0"]).await;
    }
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_new_credential_and_another_owner_are_taken_on_while_it_runs() {
    let (mut world, owner) = guest(World::by_hand().await).await;
    owner.say(Answer::of(401, ""));
    world.bearer = Some(Bearer::parse("old").unwrap());
    world.start();
    world.wait_for_service("blocked").await;
    owner.say(Answer::token(&new_token(&world.simulator).await, 7200));
    world.bearer = Some(Bearer::parse("new").unwrap());
    assert_eq!(world.reload().await, Vec::<&str>::new());
    // The clock stands still.
    world
        .wait_for(
            "SELECT state, token_expires_at IS NOT NULL FROM service",
            &["running|1"],
        )
        .await;
    let last = owner.calls().pop().unwrap();
    assert_eq!(last.authorization.as_deref(), Some("Bearer new"));

    let other = Owner::start(Answer::token(&new_token(&world.simulator).await, 3600)).await;
    world.set("token.url", &other.url);
    let asked = owner.calls().len();
    assert_eq!(world.reload().await, ["token.url"]);
    world.insert("a").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    assert_eq!((owner.calls().len(), other.calls().len()), (asked, 1));
    world.stop().await.unwrap();
}
