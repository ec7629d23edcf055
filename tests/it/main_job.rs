//! From an INSERT to an open website, and everything that an answer can lead to.

use std::time::Duration;

use staticstored::simulator::{Endpoint, Fault};

use crate::world::World;

#[tokio::test]
async fn an_insert_opens_the_website() {
    let mut world = World::new().await;
    world.start();
    world.insert("test-env1").await;
    world.wait_for_state("test-env1", "online").await;
    let status = world
        .status(
            "attempts, errcode, domain IS NOT NULL, next_attempt_at, finished_at IS NOT NULL, remedy",
            "test-env1",
        )
        .await;
    assert_eq!(status, "1|0|1|NULL|1|NULL");
    assert_eq!(world.row("SELECT count(*) FROM queue").await, "0");
    assert_eq!(world.simulator.effective_creates("test-env1"), 1);
    let history = world.history("test-env1").await;
    assert_eq!(history.first().map(String::as_str), Some("create:accepted"));
    assert_eq!(history.last().map(String::as_str), Some("describe:online"));
    world.stop().await.unwrap();
    assert_eq!(world.row("SELECT state FROM service").await, "stopped");
}

#[tokio::test]
async fn rows_inserted_before_the_start_are_served_and_without_confirmation_they_end_as_accepted() {
    let mut world = World::new().await;
    world.set("confirm.enabled", "false");
    world.insert("early").await;
    world.start();
    world.wait_for_state("early", "accepted").await;
    assert_eq!(world.history("early").await, ["create:accepted"]);
    assert_eq!(world.simulator.calls(Endpoint::Describe), 0);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn what_passes_is_tried_again_until_it_has_passed() {
    let mut world = World::new().await;
    for (env, errcode) in [("busy", -1), ("minute", 45011), ("quota", -501_003)] {
        world.simulator.fault(
            Fault::on(Endpoint::Create)
                .env(env)
                .times(2)
                .errcode(errcode, "later"),
        );
        world.insert(env).await;
    }
    world.start();
    for env in ["busy", "minute", "quota"] {
        world.wait_for_state(env, "online").await;
        assert_eq!(world.status("attempts, errcode", env).await, "3|0");
        assert_eq!(world.simulator.effective_creates(env), 1);
    }
    // -1 does not say whether the call took effect; a quota does.
    assert_eq!(
        world.history("busy").await[..3],
        ["create:retry", "describe:absent", "create:retry"]
    );
    assert_eq!(
        world.history("quota").await[..3],
        ["create:retry", "create:retry", "create:accepted"]
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_looked_at_and_never_made_again() {
    let mut world = World::new().await;
    world.simulator.fault(
        Fault::on(Endpoint::Create)
            .env("lost")
            .once()
            .cut()
            .after_effect(),
    );
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).env("never-came").once().cut());
    world.insert("lost").await;
    world.insert("never-came").await;
    world.start();
    world.wait_for_state("lost", "online").await;
    world.wait_for_state("never-came", "online").await;
    assert_eq!(world.simulator.calls_for(Endpoint::Create, "lost"), 1);
    assert_eq!(world.simulator.calls_for(Endpoint::Create, "never-came"), 2);
    assert_eq!(world.simulator.needless_creates(), 0);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_fault_of_one_environment_fails_it_with_a_remedy_and_no_other() {
    let mut world = World::new().await;
    world.simulator.fault(
        Fault::on(Endpoint::Create)
            .env("closed")
            .errcode(85088, "no qbase privilege"),
    );
    world.insert("closed").await;
    world.insert("other").await;
    world.start();
    world.wait_for_state("closed", "failed").await;
    world.wait_for_state("other", "online").await;
    let status = world
        .status(
            "attempts, errcode, rid IS NOT NULL, remedy LIKE '%cloud development%', finished_at IS NOT NULL",
            "closed",
        )
        .await;
    assert_eq!(status, "1|85088|1|1|1");
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_fault_of_the_whole_line_fails_no_row_and_goes_on_by_itself() {
    let mut world = World::new().await;
    let fault =
        Fault::on(Endpoint::Create).errcode(61004, "access clientip is not registered requestIP: 1.2.3.4");
    world.simulator.fault(fault);
    for env in ["a", "b", "c"] {
        world.insert(env).await;
    }
    world.start();
    world.wait_for_service("blocked").await;
    let service = world
        .row("SELECT errcode, reason LIKE '%requestIP: 1.2.3.4%', remedy LIKE '%IP address%' FROM service")
        .await;
    assert_eq!(service, "61004|1|1");
    assert_eq!(
        world
            .row("SELECT count(*) FROM status WHERE finished_at IS NOT NULL")
            .await,
        "0"
    );
    world.simulator.clear_faults();
    for env in ["a", "b", "c"] {
        world
            .execute("UPDATE queue SET due_at = NULL WHERE claim IS NULL")
            .await;
        world.wait_for_state(env, "online").await;
    }
    world.wait_for_service("running").await;
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_dead_token_is_replaced_once_for_all_calls_and_they_go_on_with_it_at_once() {
    let mut world = World::with(|options| options.token_overlap = Duration::ZERO).await;
    world.start();
    world.insert("first").await;
    world.wait_for_state("first", "online").await;
    assert_eq!(world.simulator.exchanges(), 1);
    world.simulator.revoke_token();
    world.execute("INSERT INTO queue (env) WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 40) SELECT 'env-' || i FROM n").await;
    world
        .wait_for("SELECT count(*) FROM status WHERE state = 'online'", &["41"])
        .await;
    assert_eq!(
        world.simulator.exchanges(),
        2,
        "one exchange, however many calls failed"
    );
    assert_eq!(world.row("SELECT max(attempts) <= 2, count(*) > 0 FROM status JOIN attempt USING (env) WHERE outcome = 'token'").await, "1|1");
    world.stop().await.unwrap();
}

#[tokio::test]
async fn an_unknown_code_is_looked_at_then_tried_a_few_times_then_failed_with_it_as_it_came() {
    let mut world = World::new().await;
    world.simulator.fault(
        Fault::on(Endpoint::Create)
            .env("strange")
            .errcode(-501_001, "Environment not found"),
    );
    world.simulator.fault(
        Fault::on(Endpoint::Create)
            .env("open-after-all")
            .once()
            .errcode(89249, "task running")
            .after_effect(),
    );
    world.insert("strange").await;
    world.insert("open-after-all").await;
    world.start();
    world.wait_for_state("strange", "failed").await;
    world.wait_for_state("open-after-all", "online").await;
    assert_eq!(
        world
            .status(
                "attempts, errcode, errmsg LIKE 'Environment not found%', rid IS NOT NULL",
                "strange"
            )
            .await,
        "3|-501001|1|1"
    );
    assert_eq!(world.simulator.calls_for(Endpoint::Create, "open-after-all"), 1);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_restart_with_a_live_token_fetches_none() {
    let mut world = World::new().await;
    for env in ["before", "after"] {
        world.start();
        world.insert(env).await;
        world.wait_for_state(env, "online").await;
        world.stop().await.unwrap();
    }
    assert_eq!(world.simulator.exchanges(), 1);
}
