//! What a running process takes on of a new configuration, for every key that there is.

use super::super::change::SHOWN;
use super::*;

/// What needs a restart.
const HELD: [&str; 7] = [
    "component.appid",
    "database.url",
    "token.source",
    "token.cache_file",
    "callback.listen",
    "share.socket",
    "share.mode",
];

fn parsed(text: &str) -> Config {
    Config::parse(text, &Environment::new()).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// The configuration in which a case sets its key, before and after.
fn before_and_after(case: &Case) -> (Config, Config) {
    let after = file(case.key, case.set.0);
    let before = match case.key {
        "component.appid" => LEAST.to_owned(),
        "token.url" => file(case.key, "\"unix:/other\""),
        "token.source" => file(case.key, "\"component\"").replace("url = \"unix:/o\"\n", ""),
        _ => after.rsplit_once('\n').unwrap().0.to_owned(),
    };
    (parsed(&before), parsed(&after))
}

fn keys(changes: &[Change]) -> Vec<&'static str> {
    changes.iter().map(|change| change.key).collect()
}

#[test]
fn every_key_is_shown_in_the_order_of_the_contract() {
    assert_eq!(SHOWN.map(|(key, _)| key), KEYS);
}

#[test]
fn every_key_that_changes_is_taken_on_or_needs_a_restart_and_is_named_once() {
    for case in cases() {
        let (before, after) = before_and_after(&case);
        let Changes { config, taken, held } = before.take_on(&after);
        // The cache file stands beside the database, the mode belongs to the socket.
        let expected = match case.key {
            "database.url" => vec!["database.url", "token.cache_file"],
            key => vec![key],
        };
        let (changed, unchanged) = if HELD.contains(&case.key) {
            (held, taken)
        } else {
            (taken, held)
        };
        assert_eq!(
            (keys(&changed), keys(&unchanged)),
            (expected, vec![]),
            "{}",
            case.key
        );
        let holds = if HELD.contains(&case.key) { &before } else { &after };
        assert_eq!(config, *holds, "{}", case.key);
        let told = changed[0].to_string();
        assert!(
            told.starts_with(&format!("{} from ", case.key)) && told.contains(" to "),
            "{told}"
        );
        assert_eq!(after.take_on(&after).taken, [], "{}", case.key);
    }
}

#[test]
fn what_needs_a_restart_stays_while_the_rest_is_taken_on() {
    let before = parsed("component.appid = \"wx1\"\n[callback]\nlisten = \"127.0.0.1:1\"");
    let after = parsed(
        "component.appid = \"wx2\"\napi.max_in_flight = 3\n[callback]\nlisten = \"127.0.0.1:2\"\npath = \"/p\"",
    );
    let changes = before.take_on(&after);
    assert_eq!(keys(&changes.taken), ["callback.path", "api.max_in_flight"]);
    assert_eq!(keys(&changes.held), ["component.appid", "callback.listen"]);
    assert_eq!(
        changes.held[1].to_string(),
        "callback.listen from 127.0.0.1:1 to 127.0.0.1:2"
    );
    assert_eq!(changes.config.component.appid, "wx1");
    assert_eq!(changes.config.api.max_in_flight, 3);
    // And again: what runs is what is compared.
    let again = changes.config.take_on(&after);
    assert_eq!((again.taken, again.held), (vec![], changes.held));
}

#[test]
fn a_receiver_that_is_turned_off_or_on_stays_as_it_is_with_all_its_settings() {
    let off = parsed(LEAST);
    let on = parsed("component.appid = \"wx1\"\n[callback]\nlisten = \"127.0.0.1:1\"\npath = \"/p\"");
    for (before, after) in [(&off, &on), (&on, &off)] {
        let changes = before.take_on(after);
        assert_eq!((&changes.config, keys(&changes.taken)), (before, vec![]));
        assert_eq!(keys(&changes.held), ["callback.listen"]);
    }
}

#[test]
fn our_own_socket_is_no_owner_to_be_taken_on() {
    let guest = |url: &str, socket: &str| {
        parsed(&format!(
            "component.appid = \"wx1\"\nshare.socket = \"{socket}\"\n[token]\nsource = \"url\"\nurl = \"unix:{url}\""
        ))
    };
    let before = guest("/owner", "/ours");
    let changes = before.take_on(&guest("/ours", "/another"));
    assert_eq!(
        (&changes.config, keys(&changes.held)),
        (&before, vec!["token.url", "share.socket"])
    );
}

#[test]
fn a_password_is_not_shown_though_its_change_is() {
    let proxy = |url: &str| parsed(&format!("component.appid = \"wx1\"\napi.proxy = \"{url}\""));
    let changes = proxy("http://u:canary@p:1").take_on(&proxy("http://u:bird@p:1"));
    assert_eq!(changes.taken[0].to_string(), "api.proxy (its user or password)");
    let changes = proxy("http://u:canary@p:1").take_on(&proxy("http://u:bird@p:2"));
    assert_eq!(
        changes.taken[0].to_string(),
        "api.proxy from http://p:1 to http://p:2"
    );
}

#[test]
fn the_documents_name_what_needs_a_restart() {
    let operations = include_str!("../../../docs/OPERATIONS.md");
    let (_, rest) = operations.split_once("needs a restart: ").unwrap();
    let listed: Vec<_> = rest
        .split_once(". ")
        .unwrap()
        .0
        .split('`')
        .skip(1)
        .step_by(2)
        .collect();
    assert_eq!(listed, HELD);
}

#[test]
fn what_is_no_level_is_refused_and_what_rust_log_takes_is_not() {
    for level in [
        "error",
        "WARN",
        "off",
        "staticstored::line=trace",
        "info,sqlx=debug",
        "warn,[request{env=x}]=debug",
    ] {
        parsed(&format!("component.appid = \"wx1\"\nlog.level = \"{level}\""));
    }
    for level in [
        "",
        "loud",
        "info,",
        "staticstored",
        "staticstored=loud",
        "info;debug",
    ] {
        let text = format!("component.appid = \"wx1\"\nlog.level = \"{level}\"");
        let told = complaint(&text, &Environment::new());
        assert!(told.starts_with("log.level = "), "{told}");
    }
}
