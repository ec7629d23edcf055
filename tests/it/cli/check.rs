//! `staticstored check`

use std::os::unix::fs::PermissionsExt as _;

use super::{Desk, Told};

fn set_mode(desk: &Desk, name: &str, mode: u32) {
    std::fs::set_permissions(desk.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
}

/// All as it must be.
fn ready() -> Desk {
    let desk = Desk::new();
    desk.write("appsecret", "canary-secret\n");
    set_mode(&desk, "appsecret", 0o600);
    desk
}

fn check(desk: &Desk) -> Told {
    let mut command = desk.command(&["check"]);
    command
        .env("CREDENTIALS_DIRECTORY", desk.directory.path())
        .output()
        .unwrap()
        .into()
}

/// The line about the one thing that is wrong.
#[track_caller]
fn wrong(desk: &Desk) -> String {
    let told = check(desk);
    assert_eq!(told.status, 78, "{told:?}");
    assert!(
        !told.out.contains("canary") && !told.err.contains("canary"),
        "{told:?}"
    );
    let lines: Vec<_> = told
        .out
        .lines()
        .filter(|line| line.starts_with("WRONG"))
        .collect();
    assert_eq!(lines.len(), 1, "{told:?}");
    lines[0].to_owned()
}

#[test]
fn it_says_ok_of_each_thing_when_all_is_right() {
    let told = check(&ready()).done();
    assert!(told.lines().all(|line| line.starts_with("ok ")), "{told}");
    for thing in [
        "configuration",
        "appsecret",
        "token cache",
        "push receiver",
        "database",
        "SQLite",
        "ticket",
    ] {
        assert!(told.contains(&format!(" {thing}: ")), "{told}");
    }
    assert!(!told.contains("canary"));
}

#[test]
fn a_bad_configuration_is_the_only_line() {
    let desk = ready();
    desk.configure("[retry]\nmax_backoff = \"soon\"");
    let told = check(&desk);
    assert!(
        told.out.starts_with("WRONG  configuration: ") && told.out.contains("retry.max_backoff"),
        "{told:?}"
    );
    told.refused(78);
}

#[test]
fn the_secrets_file_must_be_there_readable_plausible_and_closed_to_others() {
    let desk = ready();
    set_mode(&desk, "appsecret", 0o644);
    assert!(wrong(&desk).contains("chmod o= "));
    set_mode(&desk, "appsecret", 0o600);
    desk.write("appsecret", "canary secret");
    assert!(wrong(&desk).contains("does not hold the secret"));
    std::fs::remove_file(desk.path("appsecret")).unwrap();
    assert!(wrong(&desk).contains("(component.appsecret_file) cannot be read"));
    let without = desk.run(&["check"]);
    assert!(
        without.out.contains("component.appsecret_file") && without.out.contains("LoadCredential"),
        "{without:?}"
    );
}

/// One whose daemon would receive pushes.
fn receiving(listen: &str) -> Desk {
    let desk = ready();
    desk.configure(&format!("[callback]\nlisten = \"{listen}\""));
    for (name, text) in [
        ("callback_token", "canaryToken"),
        ("encoding_aes_key", &"canaryK".repeat(6)),
    ] {
        desk.write(name, &format!("{text}A\n"));
        set_mode(&desk, name, 0o600);
    }
    desk
}

#[test]
fn the_push_receiver_is_off_or_a_line_for_each_thing() {
    assert!(check(&ready()).done().contains("ok     push receiver: off"));
    let desk = receiving("127.0.0.1:0");
    let told = check(&desk).done();
    for line in [
        "ok     push receiver: http://127.0.0.1:0/weixin/callback, free\n",
        "ok     callback token: ",
        "ok     EncodingAESKey: ",
        "ok     ticket: none yet; Weixin pushes one every ten minutes\n",
    ] {
        assert!(told.contains(line), "{told}");
    }
    assert!(!told.contains("previous") && !told.contains("canary"), "{told}");
}

#[test]
fn an_address_that_another_program_has_or_that_is_not_ours_is_wrong() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let silent = wrong(&receiving(&address.to_string()));
    assert!(
        silent.contains(&format!("another program listens on {address}")),
        "{silent}"
    );
    // Set aside for documents, so no machine has it.
    let strange = wrong(&receiving("192.0.2.1:8019"));
    assert!(
        strange.contains("callback.listen: 192.0.2.1:8019 cannot be listened on"),
        "{strange}"
    );
}

#[test]
fn the_receivers_secrets_must_be_there_well_formed_and_closed_to_others() {
    let desk = receiving("127.0.0.1:0");
    set_mode(&desk, "encoding_aes_key", 0o604);
    assert!(wrong(&desk).contains("chmod o= "));
    desk.write("encoding_aes_key", &"canary".repeat(7));
    set_mode(&desk, "encoding_aes_key", 0o600);
    assert!(wrong(&desk).contains("has 42 characters, must be 43"));
    desk.write("encoding_aes_key", &format!("{}!", "canary".repeat(7)));
    assert!(wrong(&desk).contains("none of A-Z a-z 0-9 + /"));
    let desk = receiving("127.0.0.1:0");
    desk.write("callback_token", "");
    assert!(wrong(&desk).contains("WRONG  callback token: "));
    std::fs::remove_file(desk.path("callback_token")).unwrap();
    assert!(wrong(&desk).contains("(callback.token_file) cannot be read"));
    let desk = receiving("127.0.0.1:0");
    desk.configure("[callback]\nlisten = \"127.0.0.1:0\"\nprevious_aes_key_file = \"/nowhere/key\"");
    let told = wrong(&desk);
    assert!(
        told.contains("previous EncodingAESKey: /nowhere/key (callback.previous_aes_key_file)"),
        "{told}"
    );
}

#[test]
fn the_database_must_be_there() {
    let desk = ready();
    std::fs::remove_file(desk.path("queue.db")).unwrap();
    assert!(wrong(&desk).contains("`staticstored init` creates it"));
    assert!(!desk.path("queue.db").exists());
}

#[test]
fn an_old_ticket_and_an_open_token_cache_are_wrong() {
    let desk = ready();
    desk.sql(
        "INSERT INTO ticket (component_verify_ticket, received_at) VALUES ('t', '2020-01-01T00:00:00.000Z')",
    );
    assert!(wrong(&desk).contains("Weixin honours one for 12 h"));
    desk.sql("DELETE FROM ticket; INSERT INTO ticket (component_verify_ticket) VALUES ('t')");
    assert!(check(&desk).done().contains("the newest is "));
    desk.write("token.json", "canary");
    set_mode(&desk, "token.json", 0o604);
    assert!(wrong(&desk).contains("chmod o= "));
    set_mode(&desk, "token.json", 0o600);
    check(&desk).done();
}
