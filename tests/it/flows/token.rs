//! One live token: renewed ahead, replaced once, kept across a restart.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use staticstored::clock;
use staticstored::simulator::{Endpoint, Fault};

use super::{SECOND, UNFINISHED};
use crate::world::World;

#[tokio::test]
async fn a_call_that_comes_back_late_with_the_old_token_is_sent_again_and_fetches_none() {
    let mut world = World::with(|options| options.token_overlap = Duration::ZERO).await;
    world.simulator.fault(
        Fault::on(Endpoint::Create)
            .env("late")
            .once()
            .errcode(40001, "not latest")
            .held(),
    );
    world.start();
    world.insert("late").await;
    world.see(|simulator| simulator.held() == 1).await;
    world.simulator.revoke_token();
    world.insert("prompt").await;
    world.wait_for_state("prompt", "online").await;
    assert_eq!(world.simulator.exchanges(), 2);
    world.simulator.release();
    world.wait_for_state("late", "online").await;
    assert_eq!(
        world.simulator.exchanges(),
        2,
        "the current token was good all the while"
    );
    assert_eq!(
        world.history("late").await[..2],
        ["create:token", "create:accepted"]
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn the_token_is_renewed_ahead_of_its_end_and_calls_in_flight_go_on_with_the_old_one() {
    let mut world = World::by_hand().await;
    world.start();
    world.insert("first").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    let old = world.row("SELECT token_expires_at FROM service").await;
    world.simulator.fault(Fault::on(Endpoint::Create).once().held());
    world.insert("in-flight").await;
    world.see(|simulator| simulator.held() == 1).await;
    let newer = format!("SELECT token_expires_at > '{old}' FROM service");
    world.fly(10 * SECOND, &newer, &["1"]).await;
    let renewed = world.row("SELECT token_refreshed_at FROM service").await;
    assert!(renewed < old, "renewed at {renewed}, the old one ends at {old}");
    world.simulator.release();
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    assert_eq!(world.simulator.exchanges(), 2);
    assert_eq!(world.status("state, attempts", "in-flight").await, "online|1");
    assert_eq!(
        world
            .row("SELECT count(*) FROM attempt WHERE outcome = 'token'")
            .await,
        "0"
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_renewal_that_fails_does_not_give_up_the_token_that_is_still_good() {
    let mut world = World::by_hand().await;
    world.start();
    world.insert("first").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    world
        .simulator
        .fault(Fault::on(Endpoint::Exchange).errcode(61004, "access clientip is not registered"));
    world
        .fly(
            10 * SECOND,
            "SELECT errcode, state FROM service",
            &["61004|running"],
        )
        .await;
    world.insert("second").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    assert_eq!(world.status("state, attempts", "second").await, "online|1");
    world.simulator.clear_faults();
    world
        .fly(
            10 * SECOND,
            "SELECT errcode, state, reason FROM service",
            &["NULL|running|NULL"],
        )
        .await;
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_token_in_the_cache_that_has_expired_is_not_used() {
    let mut world = World::by_hand().await;
    world.start();
    world.insert("first").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    world.stop().await.unwrap();
    world.clock.advance(Duration::from_secs(2 * 60 * 60));
    world.start();
    world.insert("second").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    assert_eq!(world.simulator.exchanges(), 2);
    assert_eq!(world.status("state, attempts", "second").await, "online|1");
    world.stop().await.unwrap();
}

#[tokio::test]
async fn a_cache_of_another_platform_or_in_pieces_is_ignored_and_the_file_is_the_owners_alone() {
    let mut world = World::new().await;
    let cache = world.directory.path().join("token.json");
    let spoils: [fn(String) -> String; 3] = [
        |text| text.replace("wx0000000000000001", "wx0000000000000002"),
        |text| text.replace("http://127.0.0.1", "http://127.0.0.2"),
        |text| text[..text.len() / 2].to_owned(),
    ];
    for (run, spoil) in spoils.into_iter().enumerate() {
        world.start();
        let env = format!("env-{run}");
        world.insert(&env).await;
        world.wait_for_state(&env, "online").await;
        world.stop().await.unwrap();
        assert_eq!(world.simulator.exchanges(), run as u64 + 1);
        let mode = std::fs::metadata(&cache).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = std::fs::read_to_string(&cache).unwrap();
        assert!(text.contains(&world.simulator.current_token().unwrap()));
        let spoiled = spoil(text.clone());
        assert_ne!(spoiled, text);
        std::fs::write(&cache, spoiled).unwrap();
    }
    assert_eq!(
        world
            .row("SELECT count(*) FROM attempt WHERE outcome = 'token'")
            .await,
        "0"
    );
}

#[tokio::test]
async fn another_program_that_fetches_tokens_is_answered_ever_more_slowly_and_named() {
    let mut world = World::by_hand().await;
    world
        .simulator
        .change(|options| options.token_overlap = Duration::ZERO);
    world.start();
    world.insert("first").await;
    world.fly(SECOND, UNFINISHED, &["0"]).await;
    for round in 0..4 {
        world.simulator.revoke_token();
        world.insert(&format!("round-{round}")).await;
        if round > 0 {
            world.wait_for_service("blocked").await;
            let service = format!(
                "errcode, reason LIKE '%rejected by environment round-{round} %, as {round} before it%', \
                 remedy LIKE 'Another program probably fetches tokens%'"
            );
            assert_eq!(
                world.row(&format!("SELECT {service} FROM service")).await,
                "40001|1|1"
            );
        }
        world.fly(SECOND, UNFINISHED, &["0"]).await;
    }
    let ledger = world.simulator.ledger();
    let at: Vec<_> = ledger
        .iter()
        .filter(|entry| entry.endpoint == Endpoint::Exchange)
        .map(|entry| entry.at)
        .collect();
    let waits: Vec<i64> = at
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).num_seconds())
        .collect();
    assert_eq!(waits.len(), 4, "one exchange for each revocation");
    for (wait, least) in waits.iter().zip([0, 5, 10, 20]) {
        assert!(*wait >= least, "{waits:?}");
    }
    assert_eq!(
        world
            .row("SELECT count(*) FROM status WHERE state = 'failed'")
            .await,
        "0"
    );
    world.stop().await.unwrap();
}

#[tokio::test]
async fn an_environment_that_refuses_every_token_waits_alone_and_fails_and_the_others_keep_the_token() {
    let mut world = World::by_hand().await;
    world.set("retry.give_up_after", "20m");
    let fault = Fault::on(Endpoint::Create).env("bad");
    world.simulator.fault(fault.errcode(40001, "invalid credential"));
    world.start();
    world.insert("bad").await;
    let failed = "SELECT state FROM status WHERE env = 'bad'";
    let mut good = 0;
    while world.row(failed).await != "failed" {
        // Somebody passes each minute.
        world.insert(&format!("good-{good}")).await;
        let inserted_at = world.clock.now();
        world
            .fly(
                SECOND / 10,
                &format!("SELECT state FROM status WHERE env = 'good-{good}'"),
                &["online"],
            )
            .await;
        let created = world.simulator.ledger();
        let created = created
            .iter()
            .find(|call| call.env.as_deref() == Some(&*format!("good-{good}")));
        let waited = (created.unwrap().at - inserted_at).num_seconds();
        assert!(waited < 5, "good-{good} waited {waited} s");
        let next = clock::text(clock::after(inserted_at, Duration::from_secs(60)));
        world
            .fly(
                SECOND / 2,
                &format!("SELECT max(heartbeat_at) > '{next}' FROM service"),
                &["1"],
            )
            .await;
        good += 1;
        assert!(good < 120, "it never ends");
    }
    assert_eq!(
        world
            .status(
                "errcode, attempts >= 3, remedy LIKE 'Weixin refuses every token for this environment%'",
                "bad"
            )
            .await,
        "40001|1|1"
    );
    let exchanges = world.simulator.exchanges();
    // A few before anybody had passed beside it; then none.
    assert!(exchanges <= 6, "{exchanges} tokens for one environment");
    assert_eq!(
        world.row("SELECT state, reason FROM service").await,
        "running|NULL"
    );
    world.stop().await.unwrap();
}
