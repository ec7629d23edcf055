//! DELETE cancels, or meets a call that is already on its way.

use staticstored::simulator::{Endpoint, Fault};

use super::{SECOND, UNFINISHED, backoff_in_minutes};
use crate::world::World;

/// A daemon whose create for `env` is held at the platform, by a fault that `change` makes worse.
async fn held(env: &str, change: impl Fn(Fault) -> Fault) -> World {
    let mut world = World::new().await;
    let fault = Fault::on(Endpoint::Create).env(env).once().held();
    world.simulator.fault(change(fault));
    world.insert(env).await;
    world.start();
    world.see(|simulator| simulator.held() == 1).await;
    world
}

#[tokio::test]
async fn a_request_that_is_not_tried_yet_is_cancelled_and_nothing_is_called() {
    let mut world = World::new().await;
    world.insert("never").await;
    world.execute("DELETE FROM queue").await;
    world.start();
    world.insert("other").await;
    world.wait_for_state("other", "online").await;
    let columns = "state, attempts, remedy, next_attempt_at, finished_at IS NOT NULL";
    assert_eq!(world.status(columns, "never").await, "cancelled|0|NULL|NULL|1");
    assert_eq!(world.simulator.calls_for(Endpoint::Create, "never"), 0);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_that_waits_to_be_tried_again_is_cancelled_and_not_called_again() {
    let mut world = World::by_hand().await;
    backoff_in_minutes(&mut world);
    world
        .simulator
        .fault(Fault::on(Endpoint::Create).env("failing").errcode(-1, "busy"));
    world.insert("failing").await;
    world.start();
    world.wait_for_state("failing", "retrying").await;
    world.execute("DELETE FROM queue").await;
    world.insert("other").await;
    world
        .fly(
            SECOND,
            "SELECT state FROM status WHERE env = 'other'",
            &["online"],
        )
        .await;
    assert_eq!(
        world
            .status(
                "state, attempts, errcode, remedy LIKE '%may open all the same%'",
                "failing"
            )
            .await,
        "cancelled|1|-1|1"
    );
    assert_eq!(world.simulator.calls_for(Endpoint::Create, "failing"), 1);
    assert_eq!(world.simulator.calls_for(Endpoint::Describe, "failing"), 0);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_accepted_is_cancelled_with_a_word_that_the_website_opens() {
    let mut world = World::by_hand().await;
    world.insert("opening").await;
    world.start();
    world
        .wait_for("SELECT accepted_at IS NOT NULL FROM queue", &["1"])
        .await;
    world.execute("DELETE FROM queue").await;
    assert_eq!(
        world
            .status("state, remedy LIKE '%already accepted%'", "opening")
            .await,
        "cancelled|1"
    );
    world.insert("other").await;
    world
        .fly(
            SECOND,
            "SELECT state FROM status WHERE env = 'other'",
            &["online"],
        )
        .await;
    assert_eq!(world.simulator.calls_for(Endpoint::Describe, "opening"), 0);
    world.insert("opening").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    assert_eq!(
        world.status("state, attempts, remedy", "opening").await,
        "online|0|NULL"
    );
    assert_eq!(world.simulator.calls_for(Endpoint::Create, "opening"), 1);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_deleted_while_weixin_accepts_it_gets_its_real_outcome() {
    let mut world = held("late", |fault| fault).await;
    world.execute("DELETE FROM queue").await;
    assert_eq!(world.status("state", "late").await, "cancelled");
    world.simulator.release();
    world.wait_for_state("late", "online").await;
    let columns = "attempts, remedy, domain IS NOT NULL, finished_at IS NOT NULL";
    assert_eq!(world.status(columns, "late").await, "1|NULL|1|1");
    world.wait_for("SELECT count(*) FROM queue", &["0"]).await;
    assert_eq!(world.simulator.calls(Endpoint::Create), 1);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_deleted_while_weixin_refuses_it_for_good_is_failed() {
    let mut world = held("late", |fault| fault.errcode(85088, "no qbase privilege")).await;
    world.execute("DELETE FROM queue").await;
    world.simulator.release();
    world.wait_for_state("late", "failed").await;
    assert_eq!(
        world
            .status("attempts, errcode, rid IS NOT NULL, remedy IS NOT NULL", "late")
            .await,
        "1|85088|1|1"
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_deleted_while_its_call_comes_to_nothing_stays_cancelled() {
    let mut world = held("late", |fault| fault.errcode(-501_003, "quota")).await;
    world.execute("DELETE FROM queue").await;
    world.simulator.release();
    world
        .wait_for("SELECT env || ':' || outcome FROM attempt", &["late:retry"])
        .await;
    assert_eq!(
        world.status("state, attempts, remedy IS NOT NULL", "late").await,
        "cancelled|1|1"
    );
    assert_eq!(world.row("SELECT count(*) FROM queue").await, "0");
    world.stop().await.unwrap();
}

/// A look before the first call has come to its end would not see what that does, and lead to a second create.
#[tokio::test]
async fn a_request_deleted_and_made_anew_in_flight_waits_for_that_call_and_ends_well_with_one_create() {
    let mut world = held("anew", |fault| fault).await;
    world.execute("DELETE FROM queue").await;
    world.insert("anew").await;
    world.insert("other").await;
    world.wait_for_state("other", "online").await;
    assert_eq!(world.simulator.calls_for(Endpoint::Describe, "anew"), 0);
    assert_eq!(
        world.status("state, next_attempt_at > updated_at", "anew").await,
        "pending|1"
    );
    world.simulator.release();
    // Long before the lease of the first call is over.
    world.wait_for_state("anew", "online").await;
    assert_eq!(world.simulator.calls_for(Endpoint::Create, "anew"), 1);
    assert_eq!(
        world.status("attempts, errcode, remedy", "anew").await,
        "0|0|NULL"
    );
    assert_eq!(world.row("SELECT count(*) FROM queue").await, "0");
    assert_eq!(world.simulator.effective_creates("anew"), 1);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_deleted_call_failed_with_does_not_touch_the_request_made_anew() {
    let mut world = held("anew", |fault| fault.errcode(85088, "no qbase privilege")).await;
    world.execute("DELETE FROM queue").await;
    world.insert("anew").await;
    world.simulator.release();
    world.wait_for_state("anew", "online").await;
    world
        .wait_for("SELECT count(*) FROM attempt WHERE outcome = 'failed'", &["1"])
        .await;
    assert_eq!(
        world.status("state, attempts, errcode, remedy", "anew").await,
        "online|1|0|NULL"
    );
    world.stop().await.unwrap();
}
