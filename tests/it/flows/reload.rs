//! Other settings are taken on while the daemon runs: each holds from the next step on, and no call is touched.

use std::time::Duration;

use staticstored::clock;
use staticstored::credential::AesKey;
use staticstored::simulator::push::{CALLBACK_TOKEN, ENCODING_AES_KEY, Seal, Target};
use staticstored::simulator::{Endpoint, Fault, Options, Simulator};

use super::{SECOND, UNFINISHED};
use crate::world::{World, within};

const OTHER_KEY: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

fn envs(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("env-{n}")).collect()
}

#[tokio::test]
async fn more_calls_may_be_in_flight_at_once_and_fewer_as_they_come_back() {
    let mut world = World::new().await;
    world.set("api.max_in_flight", "2");
    world.set("api.request_timeout", "10m");
    world.set("confirm.enabled", "false");
    world.simulator.fault(Fault::on(Endpoint::Create).held());
    world.insert_all(&envs(12)).await;
    world.start();
    world.see(|simulator| simulator.held() == 2).await;
    world.set("api.max_in_flight", "5");
    assert_eq!(world.reload().await, ["api.max_in_flight"]);
    world.see(|simulator| simulator.held() == 5).await;
    world.set("api.max_in_flight", "1");
    world.reload().await;
    world.simulator.release();
    world
        .see(|simulator| simulator.held() == 1 && simulator.in_flight() == 1)
        .await;
    world.simulator.clear_faults();
    world.simulator.clear_ledger();
    world.simulator.release();
    world.wait_for(UNFINISHED, &["0"]).await;
    assert_eq!(world.simulator.max_in_flight(), 1);
    assert_eq!(world.simulator.needless_creates(), 0);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_lane_that_waits_for_its_rate_goes_on_at_once_by_a_higher_one() {
    let mut world = World::new().await;
    world.set("api.creates_per_second", "1");
    world.set("confirm.enabled", "false");
    world.start();
    world.insert("first").await;
    world.wait_for_state("first", "accepted").await;
    world.set("api.creates_per_second", "0");
    assert_eq!(world.reload().await, ["api.creates_per_second"]);
    // At one a second this takes longer than anybody waits.
    world.insert_all(&envs(200)).await;
    world.wait_for(UNFINISHED, &["0"]).await;
    world.stop().await.unwrap();
}

#[tokio::test]
async fn another_policy_decides_about_what_is_called_from_then_on() {
    let mut world = World::new().await;
    world.start();
    world.insert("before").await;
    world.wait_for_state("before", "online").await;
    world.set("confirm.enabled", "false");
    assert_eq!(world.reload().await, ["confirm.enabled"]);
    world.insert("after").await;
    world.wait_for_state("after", "accepted").await;
    world.set("retry.give_up_after", "1ms");
    world.reload().await;
    world.simulator.fault(
        Fault::on(Endpoint::Create)
            .env("busy")
            .errcode(45011, "api minute-quota reached"),
    );
    world.insert("busy").await;
    world.wait_for_state("busy", "failed").await;
    world.stop().await.unwrap();
}

#[tokio::test]
async fn another_timeout_holds_for_the_next_call_and_leaves_the_one_under_way_alone() {
    let mut world = World::new().await;
    world.set("api.request_timeout", "10m");
    world.simulator.fault(Fault::on(Endpoint::Create).held());
    world.start();
    world.insert("patient").await;
    world.see(|simulator| simulator.held() == 1).await;
    world.set("api.request_timeout", "100ms");
    world.set("api.connect_timeout", "100ms");
    assert_eq!(
        world.reload().await,
        ["api.connect_timeout", "api.request_timeout"]
    );
    world.insert("hasty").await;
    world
        .wait_for(
            "SELECT count(*) > 0 FROM attempt WHERE env = 'hasty' AND errmsg LIKE '%timed out%'",
            &["1"],
        )
        .await;
    assert_eq!(world.history("patient").await, Vec::<String>::new());
    world.simulator.clear_faults();
    world.simulator.release();
    world.wait_for(UNFINISHED, &["0"]).await;
    assert_eq!(world.history("patient").await[0], "create:accepted");
    assert_eq!(world.simulator.needless_creates(), 0);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn what_was_claimed_ahead_is_handed_back_and_called_by_the_new_rules() {
    let mut world = World::new().await;
    world.set("api.max_in_flight", "2");
    world.set("api.request_timeout", "10m");
    world.simulator.fault(Fault::on(Endpoint::Create).held());
    world.insert_all(&envs(30)).await;
    world.start();
    let ahead = "SELECT count(*) > 2 FROM queue WHERE claim IS NOT NULL";
    world.wait_for(ahead, &["1"]).await;
    world.see(|simulator| simulator.held() == 2).await;
    world.set("api.request_timeout", "100ms");
    world.set("api.connect_timeout", "100ms");
    world.reload().await;
    world.simulator.release();
    // Called by the rules that they were claimed by, the next would be held for ten minutes.
    let given_up = "SELECT count(*) >= 2 FROM attempt WHERE errmsg LIKE '%timed out%'";
    world.wait_for(given_up, &["1"]).await;
    world.simulator.clear_faults();
    world.simulator.release();
    world.wait_for(UNFINISHED, &["0"]).await;
    world.stop().await.unwrap();
}

#[tokio::test]
async fn another_base_url_has_another_token_and_is_called_from_then_on() {
    let mut world = World::new().await;
    world.start();
    world.insert("here").await;
    world.wait_for_state("here", "online").await;
    let calls = world.simulator.calls(Endpoint::Create);
    let there = Simulator::start(Options {
        clock: world.clock.clone(),
        ..Options::default()
    })
    .await
    .unwrap();
    let ticket = there.ticket();
    world
        .execute(&format!(
            "INSERT INTO ticket (component_verify_ticket) VALUES ('{ticket}')"
        ))
        .await;
    world.set("api.base_url", &there.url());
    assert_eq!(world.reload().await, ["api.base_url"]);
    world.insert("there").await;
    world.wait_for_state("there", "online").await;
    assert_eq!((there.effective_creates("there"), there.exchanges()), (1, 1));
    assert_eq!(world.simulator.calls(Endpoint::Create), calls);
    // The token of the other home was never sent here.
    assert!(
        world
            .history("there")
            .await
            .iter()
            .all(|call| !call.ends_with(":token"))
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_rotated_secret_ends_the_wait_that_the_old_one_caused() {
    let mut world = World::by_hand().await;
    world
        .simulator
        .change(|options| options.appsecret = "the-new-secret".to_owned());
    world.start();
    world.insert("a").await;
    world
        .wait_for("SELECT state, errcode FROM service", &["blocked|40125"])
        .await;
    world.appsecret = "the-new-secret".to_owned();
    assert_eq!(world.reload().await, Vec::<&str>::new());
    // The clock stands still: nothing but the reload can be what this comes of.
    world
        .wait_for(
            "SELECT state, token_expires_at IS NOT NULL FROM service",
            &["running|1"],
        )
        .await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    world.stop().await.unwrap();
}

#[tokio::test]
async fn forced_refreshes_are_spaced_out_also_over_a_reload() {
    let mut world = World::by_hand().await;
    world
        .simulator
        .change(|options| options.token_overlap = Duration::ZERO);
    world.start();
    for (env, exchanges) in [("a", 1), ("b", 2)] {
        world.insert(env).await;
        world.fly(SECOND, UNFINISHED, &["0"]).await;
        assert_eq!(world.simulator.exchanges(), exchanges);
        world.simulator.revoke_token();
    }
    world.insert("c").await;
    let rejected = "SELECT reason LIKE '%rejected by environment c %, as 1 before it%' FROM service";
    world.wait_for(rejected, &["1"]).await;
    let refused_at = world.clock.now();
    world.set("token.renew_before", "20m");
    assert_eq!(world.reload().await, ["token.renew_before"]);
    world.set("token.renew_before", "30m");
    assert_eq!(world.reload().await, ["token.renew_before"]);
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    assert_eq!(world.simulator.exchanges(), 3);
    // By a clock that stood still until then.
    let spaced = clock::text(clock::after(refused_at, 4 * SECOND));
    let fetched_at = world.row("SELECT token_refreshed_at FROM service").await;
    assert!(fetched_at > spaced, "{fetched_at}, not after {spaced}");
    world.stop().await.unwrap();
}

#[tokio::test]
async fn the_token_is_renewed_by_the_new_lead() {
    let mut world = World::by_hand().await;
    world.start();
    world.insert("a").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    let old = world.row("SELECT token_expires_at FROM service").await;
    // Half of its life is over.
    world.clock.advance(Duration::from_secs(3700));
    world.set("token.renew_before", "110m");
    world.reload().await;
    world
        .wait_for(&format!("SELECT token_expires_at > '{old}' FROM service"), &["1"])
        .await;
    assert_eq!(world.simulator.exchanges(), 2);
    world.stop().await.unwrap();
}

/// Lets Weixin push by another key from now on.
fn seal_by(world: &World, path: &str, port: u16, key: &str) {
    let seal = Seal::new(CALLBACK_TOKEN, key, &Options::default().appid).unwrap();
    let target = Target::new(&format!("http://127.0.0.1:{port}{path}"), seal).unwrap();
    world.simulator.change(|options| options.push_to = Some(target));
}

async fn pushed(world: &World) -> u16 {
    let push = world.simulator.push_event("authorized");
    within(push).await.unwrap().status
}

#[tokio::test]
async fn the_keys_and_the_path_of_the_push_are_changed_while_we_listen() {
    let mut world = World::new().await;
    let port = world.receives();
    world.start();
    world.wait_for_service("running").await;
    seal_by(&world, "/weixin/callback", port, ENCODING_AES_KEY);
    assert_eq!(pushed(&world).await, 200);
    seal_by(&world, "/weixin/callback", port, OTHER_KEY);
    assert_eq!(pushed(&world).await, 403);

    let secrets = world.callback.as_mut().unwrap();
    let old = std::mem::replace(&mut secrets.aes_key, AesKey::parse(OTHER_KEY).unwrap());
    secrets.previous_aes_key = Some(old);
    world.set("callback.path", "/elsewhere");
    assert_eq!(world.reload().await, ["callback.path"]);
    assert_eq!(pushed(&world).await, 404, "the path of before");
    for key in [OTHER_KEY, ENCODING_AES_KEY] {
        seal_by(&world, "/elsewhere", port, key);
        assert_eq!(pushed(&world).await, 200);
    }
    world.callback.as_mut().unwrap().previous_aes_key = None;
    assert_eq!(world.reload().await, Vec::<&str>::new());
    assert_eq!(pushed(&world).await, 403, "the key of before");
    world.stop().await.unwrap();
}

#[tokio::test]
async fn house_is_kept_by_the_new_schedule_and_the_new_retention() {
    let mut world = World::new().await;
    world.set("retention.schedule", "0 0 0 1 1 *");
    world.start();
    world.insert("a").await;
    world.wait_for_state("a", "online").await;
    world.set("retention.schedule", "* * * * * *");
    world.set("retention.attempts", "1ms");
    assert_eq!(world.reload().await, ["retention.attempts", "retention.schedule"]);
    world.wait_for("SELECT count(*) FROM attempt", &["0"]).await;
    world.stop().await.unwrap();
}
