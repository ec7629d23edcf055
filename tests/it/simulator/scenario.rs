//! Kinds of fault, by the end of an env's name.

use std::collections::HashSet;
use std::time::Duration;

use chrono::DateTime;
use staticstored::clock::Clock;
use staticstored::simulator::Options;
use staticstored::simulator::scenario::{Ending, KINDS, Share, demo, kind, kind_of};

use super::{CREATE, World, about};

#[test]
fn kinds_have_names_that_an_env_may_end_in() {
    let names: HashSet<_> = KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(names.len(), KINDS.len());
    let is_plain = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    assert!(
        names
            .iter()
            .all(|name| is_plain(name) && !name.contains("--") && name.len() < 64)
    );
    assert_eq!(kind_of("my--env--busy").unwrap().name, "busy");
    assert!(kind_of("my-env").is_none() && kind_of("my--env").is_none());
    assert!(kind("busy").is_some());
}

#[test]
fn a_demo_of_200_has_every_kind_that_is_meant_for_it() {
    let cases = demo(200);
    assert_eq!(
        cases.iter().map(|case| &case.env).collect::<HashSet<_>>().len(),
        200
    );
    for kind in KINDS {
        let count = cases.iter().filter(|case| case.kind.name == kind.name).count();
        match kind.share {
            Share::Even => assert!(count > 0, "{}", kind.name),
            Share::One => assert_eq!(count, 1, "{}", kind.name),
            Share::None => assert_eq!(count, 0, "{}", kind.name),
        }
    }
    assert!(
        cases
            .iter()
            .all(|case| kind_of(&case.env).is_some_and(|kind| kind.name == case.kind.name))
    );
}

#[tokio::test]
async fn an_env_gets_the_faults_that_its_name_ends_in() {
    let world = World::with_token(Options {
        faults_by_suffix: true,
        ..Options::default()
    })
    .await;
    assert_eq!(world.create("a--plain").await, 0);
    assert!(world.try_create("a--cut-after-effect").await.is_err());
    assert_eq!(world.simulator.effective_creates("a--cut-after-effect"), 1);
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(world.create("a--busy").await);
    }
    assert_eq!(answers, [-1, -1, -1, 0]);
    assert!(world.try_create("a--offline").await.is_ok());
    assert_eq!(world.simulator.needless_creates(), 0);
}

#[tokio::test]
async fn without_the_option_a_name_means_nothing_until_it_is_arranged() {
    let world = World::with_token(Options::default()).await;
    assert_eq!(world.create("a--not-opened").await, 0);
    world.simulator.arrange("b", kind("not-opened").unwrap());
    assert_eq!(world.create("b").await, 85088);
}

#[tokio::test]
async fn every_kind_ends_as_it_says_for_a_caller_that_looks_before_it_creates_again() {
    let clock = Clock::manual(DateTime::UNIX_EPOCH);
    let options = Options {
        faults_by_suffix: true,
        clock: clock.clone(),
        ..Options::default()
    };
    let world = World::with_token(options).await;
    for kind in KINDS.iter().filter(|kind| kind.share != Share::None) {
        let env = format!("x--{}", kind.name);
        for _ in 0..5 {
            if world
                .simulator
                .store(&env)
                .is_none_or(|status| status == "offline")
            {
                // Only the head is read, for one kind's body has no end; what came of it is looked up.
                let _ = world.post(&world.with(CREATE), about(&env)).await;
            }
            clock.advance(Duration::from_secs(8));
        }
        let is_online = world.simulator.store(&env).as_deref() == Some("online");
        assert_eq!(is_online, kind.ending == Ending::Online, "{env}");
    }
    // The one whose store was there before anybody looked.
    assert_eq!(world.simulator.needless_creates(), 1);
}
