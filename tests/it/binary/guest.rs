//! Two daemons at one Weixin: one owns the token, the other is its guest over the socket.

use std::time::Duration;

use staticstored::simulator::Endpoint;

use super::{Station, ended};

/// An owner that shares, at a Weixin that honours no token but the newest; and its guest.
async fn pair() -> (Station, Station) {
    let mut owner = Station::with(|options| options.token_overlap = Duration::ZERO).await;
    let socket = owner.share();
    let guest = owner.guest_at(&socket).await;
    (owner, guest)
}

async fn online(station: &Station, env: &str) {
    station.world.insert(env).await;
    station.world.wait_for_state(env, "online").await;
}

#[tokio::test]
async fn the_guest_opens_websites_and_each_token_is_fetched_once_by_the_owner_alone() {
    let (mut owner, mut guest) = pair().await;
    let simulator = owner.world.simulator.clone();
    owner.started().await;
    owner.has_token().await;
    guest.started().await;
    online(&guest, "by-the-guest").await;
    online(&owner, "by-the-owner").await;
    assert_eq!(simulator.exchanges(), 1);

    // The guest is the first to find out, then the owner has the new one already; and the other way round.
    for (exchanges, first, second) in [(2, &guest, &owner), (3, &owner, &guest)] {
        simulator.revoke_token();
        online(first, &format!("first-{exchanges}")).await;
        online(second, &format!("second-{exchanges}")).await;
        assert_eq!(simulator.exchanges(), exchanges);
    }
    assert!(guest.world.database().with_file_name("queue.db").exists());
    assert!(!guest.path("token.json").exists() && !guest.path("appsecret").exists());
    guest.stop().await;
    owner.stop().await;
    assert_eq!(simulator.calls(Endpoint::Exchange), 3);
    assert_eq!(simulator.calls(Endpoint::StartPushTicket), 0);
}

#[tokio::test]
async fn the_guest_goes_on_while_its_owner_is_away_and_waits_where_it_cannot() {
    let (mut owner, mut guest) = pair().await;
    let simulator = owner.world.simulator.clone();
    owner.started().await;
    owner.has_token().await;
    guest.started().await;
    online(&guest, "before").await;
    owner.stop().await;
    online(&guest, "while-the-token-lives").await;

    simulator.revoke_token();
    guest.world.insert("waits").await;
    guest
        .world
        .wait_for(
            "SELECT state, reason LIKE 'the owner of the token cannot be reached: %' FROM service",
            &["blocked|1"],
        )
        .await;
    // Its cached token is dead, which nobody has told it yet.
    owner.started().await;
    guest.world.wait_for_state("waits", "online").await;
    guest
        .world
        .wait_for("SELECT state, reason FROM service", &["running|NULL"])
        .await;
    assert_eq!(simulator.exchanges(), 2);

    // Killed: its socket is left behind.
    owner.kill();
    simulator.revoke_token();
    guest.world.insert("waits-again").await;
    guest.world.wait_for_service("blocked").await;
    owner.started().await;
    guest.world.wait_for_state("waits-again", "online").await;
    assert_eq!(simulator.exchanges(), 3);
    guest.stop().await;
    owner.stop().await;
}

#[tokio::test]
async fn an_owner_without_a_token_says_why_and_the_guest_says_it_too() {
    let (mut owner, mut guest) = pair().await;
    owner.world.execute("DELETE FROM ticket").await;
    owner
        .world
        .simulator
        .change(|options| options.start_push_makes_ticket = false);
    owner.started().await;
    owner.world.wait_for_service("waiting_for_ticket").await;
    guest.started().await;
    guest.world.insert("waits").await;
    guest
        .world
        .wait_for(
            "SELECT state, reason, remedy LIKE '%staticstored ticket FILE%' FROM service",
            &["blocked|the owner of the token has none: no component_verify_ticket has arrived yet|1"],
        )
        .await;
    let untouched = guest.world.status("state, attempts, errcode", "waits").await;
    assert_eq!(untouched, "pending|0|NULL");
    owner.world.give_ticket().await;
    guest.world.wait_for_state("waits", "online").await;
    guest.stop().await;
    owner.stop().await;
    assert_eq!(owner.world.simulator.exchanges(), 1);
}

#[tokio::test]
async fn a_guest_shares_on_what_it_was_given() {
    let (mut owner, mut guest) = pair().await;
    let socket = guest.share();
    let mut third = guest.guest_at(&socket).await;
    for station in [&mut owner, &mut guest, &mut third] {
        station.started().await;
        station.has_token().await;
    }
    owner.world.simulator.revoke_token();
    online(&third, "third-hand").await;
    assert_eq!(owner.world.simulator.exchanges(), 2);
    for station in [&mut third, &mut guest, &mut owner] {
        station.stop().await;
    }
}

#[tokio::test]
async fn a_bearer_file_must_hold_a_credential_and_be_closed_to_others() {
    let (_owner, mut guest) = pair().await;
    let file = guest.write("bearer", "two words");
    guest.world.set("token.bearer_file", file.to_str().unwrap());
    for (mode, content, wanted) in [
        (0o600, "two words", "does not hold a credential"),
        (0o644, "credential", "is open to everybody"),
    ] {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let mut daemon = guest.command(&["run"]);
        let log = std::fs::File::create(guest.log_file()).unwrap();
        let status = ended(&mut daemon.stderr(log).spawn().unwrap()).await;
        assert_eq!(status.code(), Some(78), "{}", guest.log());
        assert!(
            guest.log().contains(wanted) && guest.log().contains("token.bearer_file")
                || guest.log().contains("chmod o="),
            "{}",
            guest.log()
        );
    }
}
