//! Every errcode of CONTRACT 2, in answer to create and to describe.

use staticstored::simulator::{Endpoint, Fault};

use super::{SECOND, UNFINISHED, backoff_in_minutes, env_of};
use crate::world::World;

const PASSES: [i64; 9] = [
    -1, -1000, 45011, 9402202, -501_002, -501_003, -501_004, -601_001, -601_003,
];
const TOKEN: [i64; 4] = [40001, 40014, 42001, 42006];
const ENV: [i64; 9] = [
    40097, 40101, 85088, -501_005, -501_007, -501_009, -501_018, -501_020, -501_021,
];
const UNKNOWN: [i64; 5] = [89249, -501_001, 61005, 40013, 12345];

/// A request for each code, which the next `times` calls of an endpoint meet; nothing has been called yet.
async fn meet(world: &World, endpoint: Endpoint, codes: &[i64], times: u32) {
    for &code in codes {
        let fault = Fault::on(endpoint).env(env_of(code)).times(times);
        world.simulator.fault(fault.errcode(code, "this went wrong"));
        world.insert(&env_of(code)).await;
    }
}

async fn all_are(world: &World, columns: &str, codes: &[i64], wanted: impl Fn(i64) -> String) {
    for &code in codes {
        assert_eq!(
            world.status(columns, &env_of(code)).await,
            wanted(code),
            "{columns} of {code}"
        );
    }
}

#[tokio::test]
async fn a_create_that_met_what_passes_waits_with_the_code_and_no_remedy_and_is_made_again() {
    let mut world = World::by_hand().await;
    backoff_in_minutes(&mut world);
    meet(&world, Endpoint::Create, &PASSES, 1).await;
    world.start();
    world
        .wait_for("SELECT count(*) FROM status WHERE state = 'retrying'", &["9"])
        .await;
    let columns = "attempts, errcode, errmsg LIKE 'this went wrong rid: %', errmsg LIKE '%' || rid, remedy, \
                   next_attempt_at >= updated_at, finished_at, domain";
    all_are(&world, columns, &PASSES, |code| {
        format!("1|{code}|1|1|NULL|1|NULL|NULL")
    })
    .await;
    world.fly(60 * SECOND, UNFINISHED, &["0"]).await;
    let columns = "state, attempts, errcode, errmsg, rid, remedy, next_attempt_at";
    all_are(&world, columns, &PASSES, |_| {
        "online|2|0|ok|NULL|NULL|NULL".into()
    })
    .await;
    let first = "SELECT count(*) FROM attempt WHERE call = 'create' AND outcome = 'retry' AND http_status = 200 \
                 AND env = 'code' || errcode AND errmsg LIKE 'this went wrong rid: %'";
    assert_eq!(world.row(first).await, "9");
    for code in PASSES {
        assert_eq!(world.simulator.effective_creates(&env_of(code)), 1, "{code}");
    }
    assert_eq!(world.simulator.needless_creates(), 0);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_describe_that_met_what_passes_keeps_the_request_opening_and_creates_nothing() {
    let mut world = World::by_hand().await;
    meet(&world, Endpoint::Describe, &PASSES, 2).await;
    world.start();
    world
        .fly(
            SECOND,
            "SELECT count(DISTINCT env) FROM attempt WHERE outcome = 'retry'",
            &["9"],
        )
        .await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    all_are(&world, "state, attempts, errcode, remedy", &PASSES, |_| {
        "online|1|0|NULL".into()
    })
    .await;
    for code in PASSES {
        let history = world.history(&env_of(code)).await;
        assert_eq!(
            history[..3],
            ["create:accepted", "describe:retry", "describe:retry"],
            "{code}"
        );
    }
    assert_eq!(world.simulator.calls(Endpoint::Create), 9);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_create_refused_with_the_token_goes_on_with_one_new_token_for_all() {
    let mut world = World::new().await;
    meet(&world, Endpoint::Create, &TOKEN, 1).await;
    world.start();
    world.wait_for(UNFINISHED, &["0"]).await;
    all_are(&world, "state, attempts, errcode, remedy", &TOKEN, |_| {
        "online|2|0|NULL".into()
    })
    .await;
    for code in TOKEN {
        let history = world.history(&env_of(code)).await;
        assert_eq!(history[..2], ["create:token", "create:accepted"], "{code}");
    }
    assert_eq!(
        world
            .row("SELECT count(*) FROM attempt WHERE outcome = 'token' AND env = 'code' || errcode")
            .await,
        "4"
    );
    assert_eq!(world.simulator.exchanges(), 2);
    assert_eq!(world.simulator.needless_creates(), 0);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_describe_refused_with_the_token_goes_on_with_a_new_one() {
    for code in TOKEN {
        let mut world = World::new().await;
        meet(&world, Endpoint::Describe, &[code], 1).await;
        world.start();
        world.wait_for(UNFINISHED, &["0"]).await;
        assert_eq!(
            world.status("state, attempts, errcode", &env_of(code)).await,
            "online|1|0"
        );
        assert_eq!(world.history(&env_of(code)).await[1], "describe:token");
        assert_eq!(world.simulator.exchanges(), 2);
        world.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_fault_of_the_environment_fails_a_create_at_once_with_a_remedy() {
    let mut world = World::new().await;
    meet(&world, Endpoint::Create, &ENV, 1).await;
    world.start();
    world.wait_for(UNFINISHED, &["0"]).await;
    let columns = "state, attempts, errcode, errmsg LIKE '%' || rid, remedy LIKE '%staticstored retry%', \
                   next_attempt_at, finished_at = updated_at";
    all_are(&world, columns, &ENV, |code| {
        format!("failed|1|{code}|1|1|NULL|1")
    })
    .await;
    for code in ENV {
        assert_eq!(world.history(&env_of(code)).await, ["create:failed"], "{code}");
    }
    assert_eq!(world.simulator.calls(Endpoint::Describe), 0);
    assert_eq!(world.row("SELECT count(*) FROM queue").await, "0");
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_fault_of_the_environment_fails_a_describe_at_once_with_a_remedy() {
    let mut world = World::new().await;
    meet(&world, Endpoint::Describe, &ENV, 1).await;
    world.start();
    world.wait_for(UNFINISHED, &["0"]).await;
    let columns = "state, attempts, errcode, errmsg LIKE '%' || rid, remedy IS NOT NULL";
    all_are(&world, columns, &ENV, |code| format!("failed|1|{code}|1|1")).await;
    for code in ENV {
        assert_eq!(
            world.history(&env_of(code)).await,
            ["create:accepted", "describe:failed"],
            "{code}"
        );
    }
    world.stop().await.unwrap();
}

#[tokio::test]
async fn an_unknown_code_is_looked_at_each_time_and_fails_in_the_end_with_the_code_as_it_came() {
    let mut world = World::new().await;
    meet(&world, Endpoint::Create, &UNKNOWN, u32::MAX).await;
    world.start();
    world.wait_for(UNFINISHED, &["0"]).await;
    let columns = "state, attempts, errcode, errmsg LIKE 'this went wrong rid: ' || rid, \
                   remedy LIKE '%does not know%', finished_at IS NOT NULL";
    all_are(&world, columns, &UNKNOWN, |code| format!("failed|3|{code}|1|1|1")).await;
    for code in UNKNOWN {
        let history = world.history(&env_of(code)).await;
        let round = ["create:retry", "describe:absent"];
        assert_eq!(history[..4], [round, round].concat(), "{code}");
        assert_eq!(history[4..], ["create:retry", "describe:failed"], "{code}");
    }
    world.stop().await.unwrap();
}

#[tokio::test]
async fn an_unknown_code_whose_create_took_effect_counts_as_accepted() {
    let mut world = World::new().await;
    for code in UNKNOWN {
        let fault = Fault::on(Endpoint::Create).env(env_of(code)).once();
        world
            .simulator
            .fault(fault.errcode(code, "who knows").after_effect());
        world.insert(&env_of(code)).await;
    }
    world.start();
    world.wait_for(UNFINISHED, &["0"]).await;
    all_are(&world, "state, attempts, errcode, remedy", &UNKNOWN, |_| {
        "online|1|0|NULL".into()
    })
    .await;
    assert_eq!(world.simulator.needless_creates(), 0);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn an_unknown_code_that_describe_keeps_answering_fails_the_request_with_it() {
    let mut world = World::new().await;
    meet(&world, Endpoint::Describe, &UNKNOWN, u32::MAX).await;
    world.start();
    world.wait_for(UNFINISHED, &["0"]).await;
    let columns = "state, attempts, errcode, errmsg LIKE '%' || rid, remedy IS NOT NULL";
    all_are(&world, columns, &UNKNOWN, |code| format!("failed|1|{code}|1|1")).await;
    world.stop().await.unwrap();
}

#[tokio::test]
async fn the_rid_is_kept_also_of_a_message_that_is_too_long_to_be_kept() {
    let mut world = World::new().await;
    let fault = Fault::on(Endpoint::Create).errcode(85088, &"long ".repeat(200));
    world.simulator.fault(fault);
    world.insert("wordy").await;
    world.start();
    world.wait_for_state("wordy", "failed").await;
    assert_eq!(
        world.status("length(errmsg), length(rid)", "wordy").await,
        "500|26"
    );
    world.stop().await.unwrap();
}
