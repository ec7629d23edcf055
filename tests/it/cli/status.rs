//! `staticstored status`

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::{Desk, Told};

const LAST: &str = "finished_at = updated_at, next_attempt_at = NULL";

/// One request in every state, with what Weixin might have said.
fn all_states() -> Desk {
    let desk = Desk::new();
    let envs = [
        "pending-1",
        "opening-1",
        "retrying-1",
        "online-1",
        "failed-1",
        "accepted-1",
        "cancelled-1",
    ];
    desk.run(&[&["enqueue"][..], &envs].concat()).done();
    desk.sql(&format!(
        "UPDATE status SET state = 'opening', attempts = 1 WHERE env = 'opening-1';
         UPDATE status SET state = 'retrying', errcode = -1, errmsg = 'system error' WHERE env = 'retrying-1';
         UPDATE status SET state = 'online', domain = 'one.tcloudbaseapp.com', {LAST} WHERE env = 'online-1';
         UPDATE status SET state = 'failed', errcode = 85088, errmsg = 'no \x1b[31mqbase' || char(10) || 'privilege',
                rid = 'rid-1', remedy = 'Open cloud development.', {LAST} WHERE env = 'failed-1';
         UPDATE status SET state = 'accepted', {LAST} WHERE env = 'accepted-1';
         DELETE FROM queue WHERE env IN ('online-1', 'failed-1', 'accepted-1', 'cancelled-1');
         INSERT INTO attempt (env, at, call, errcode, errmsg, http_status, latency_ms, outcome)
         VALUES ('failed-1', '2026-11-23T12:00:00.000Z', 'create', 85088, 'no qbase privilege', 200, 42, 'failed'),
                ('online-1', '2026-11-23T12:00:00.000Z', 'create', 0, 'ok', 200, 1, 'accepted')"
    ));
    desk
}

fn in_columns(desk: &Desk, arguments: &[&str], columns: &str) -> String {
    let mut command = desk.command(arguments);
    Told::from(command.env("COLUMNS", columns).output().unwrap()).done()
}

#[test]
fn what_needs_attention_comes_first_in_one_plain_line_each() {
    let told = all_states().run(&["status"]).done();
    let rows: Vec<_> = told
        .lines()
        .skip_while(|line| !line.starts_with("env "))
        .skip(1)
        .collect();
    let envs: Vec<_> = rows
        .iter()
        .map(|row| row.split_whitespace().next().unwrap())
        .collect();
    let expected = [
        "failed-1",
        "retrying-1",
        "opening-1",
        "pending-1",
        "online-1",
        "accepted-1",
        "cancelled-1",
    ];
    assert_eq!(envs, expected);
    assert!(
        rows[0].contains("85088") && rows[0].contains("Open cloud development."),
        "{told}"
    );
    assert!(rows[4].contains("one.tcloudbaseapp.com"), "{told}");
    assert!(
        told.contains("1 failed, 1 retrying, 1 opening, 1 pending, 1 online, 1 accepted, 1 cancelled"),
        "{told}"
    );
}

#[test]
fn a_pipe_gets_neither_colour_nor_box_characters() {
    let desk = all_states();
    for arguments in [&["status"][..], &["status", "failed-1"]] {
        let told = desk.run(arguments).done();
        assert!(told.is_ascii() && !told.contains('\x1b'), "{told}");
    }
}

#[test]
fn a_screen_of_40_columns_is_enough() {
    let desk = all_states();
    desk.run(&["enqueue", &"x".repeat(128)]).done();
    for arguments in [&["status"][..], &["status", "failed-1"]] {
        let told = in_columns(&desk, arguments, "40");
        assert!(told.lines().all(|line| line.chars().count() <= 40), "{told}");
        assert!(told.contains("failed-1") && told.contains("85088"), "{told}");
    }
    let told = in_columns(&desk, &["status"], "100");
    assert!(told.lines().all(|line| line.chars().count() <= 100), "{told}");
}

#[test]
fn the_table_is_cut_and_says_how_many_more_there_are() {
    let desk = Desk::new();
    let list: String = (0..30).map(|number| format!("env-{number}\n")).collect();
    desk.run_with_input(&["enqueue", "--file", "-"], list.as_bytes())
        .done();
    let rows = |told: &str| told.lines().filter(|line| line.starts_with("env-")).count();
    for (arguments, shown, more) in [
        (&["status"][..], 20, Some("... and 10 more")),
        (&["status", "--limit", "5"], 5, Some("... and 25 more")),
        (&["status", "--limit", "0"], 30, None),
        (&["status", "--state", "pending"], 20, Some("... and 10 more")),
        (&["status", "--state", "failed"], 0, None),
    ] {
        let told = desk.run(arguments).done();
        assert_eq!(rows(&told), shown, "{told}");
        assert_eq!(told.contains("... and "), more.is_some(), "{told}");
        assert!(more.is_none_or(|more| told.contains(more)), "{told}");
    }
}

#[test]
fn one_environment_is_shown_with_every_column_and_its_last_calls() {
    let told = all_states().run(&["status", "failed-1"]).done();
    for column in COLUMNS {
        assert!(told.contains(&format!("\n{column} ")), "{column}\n{told}");
    }
    assert!(told.contains("no  [31mqbase privilege"), "{told}");
    assert!(
        told.contains("create  failed  42 ms  http 200  errcode 85088  no qbase privilege"),
        "{told}"
    );
    assert!(!told.contains("1 ms"), "{told}");
}

#[test]
fn an_environment_that_nobody_requested_is_an_error() {
    let desk = all_states();
    let told = desk.run(&["status", "online-1", "never"]);
    assert!(told.out.contains("online-1"), "{told:?}");
    assert!(told.refused(1).contains("never requested: never"));
    desk.run(&["status", "--json", "never"]).refused(1);
}

const COLUMNS: [&str; 14] = [
    "env",
    "state",
    "attempts",
    "errcode",
    "errmsg",
    "rid",
    "remedy",
    "domain",
    "bucket",
    "region",
    "requested_at",
    "updated_at",
    "next_attempt_at",
    "finished_at",
];

#[test]
fn json_has_one_object_on_each_line_with_the_columns_of_the_contract() {
    let desk = all_states();
    let told = desk.run(&["status", "--json"]).done();
    let rows: Vec<serde_json::Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 7);
    let mut columns = COLUMNS.to_vec();
    columns.sort_unstable();
    for row in &rows {
        let mut names: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, columns);
    }
    assert_eq!(rows[0]["errcode"], 85088);
    assert_eq!(rows[0]["errmsg"], "no \u{1b}[31mqbase\nprivilege");
    assert!(rows[0]["domain"].is_null());
    assert_eq!(
        desk.run(&["status", "--json", "--state", "online"])
            .done()
            .lines()
            .count(),
        1
    );
    assert_eq!(
        desk.run(&["status", "--json", "--limit", "2"])
            .done()
            .lines()
            .count(),
        2
    );
    assert_eq!(
        desk.run(&["status", "--json", "online-1", "failed-1"])
            .done()
            .lines()
            .count(),
        2
    );
}

#[test]
fn a_daemon_that_does_not_run_is_said_loudly() {
    let desk = Desk::new();
    let headline = || desk.run(&["status"]).done().lines().next().unwrap().to_owned();
    assert!(headline().starts_with("NOT RUNNING"));
    desk.sql("UPDATE service SET state = 'running', heartbeat_at = '2020-01-01T00:00:00.000Z'");
    assert!(headline().starts_with("NOT RUNNING: no heartbeat for "));
    desk.sql("UPDATE service SET heartbeat_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), version = '1.2.3'");
    assert!(headline().starts_with("staticstored 1.2.3 is running, heartbeat "));
    desk.sql("UPDATE service SET state = 'blocked', reason = 'IP', remedy = 'list it', errcode = 61004");
    let told = desk.run(&["status"]).done();
    assert!(
        told.contains("is BLOCKED") && told.contains("reason: IP (errcode 61004)\nremedy: list it"),
        "{told}"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let desk = Desk::new();
    let list: String = (0..5000).map(|number| format!("env-{number}\n")).collect();
    desk.run_with_input(&["enqueue", "--file", "-"], list.as_bytes())
        .done();
    for arguments in [&["status", "--limit", "0"][..], &["status", "--json"]] {
        let mut child = desk
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(!line.is_empty());
        assert_eq!(Told::from(child.wait_with_output().unwrap()).refused(0), "");
    }
}

#[test]
fn watch_prints_a_line_whenever_something_changed_until_it_is_interrupted() {
    let desk = Desk::new();
    desk.run(&["enqueue", "a", "b"]).done();
    let mut child = desk
        .command(&["status", "--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "0 of 2 finished: 2 pending");
    desk.sql("DELETE FROM queue WHERE env = 'a'");
    assert_eq!(
        lines.next().unwrap().unwrap(),
        "1 of 2 finished: 1 pending, 1 cancelled"
    );
    let interrupted = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupted.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(lines.next().is_none());
}

#[test]
fn what_is_wrong_elsewhere_in_the_configuration_is_a_note() {
    let desk = Desk::new();
    desk.run(&["enqueue", "env-1"]).done();
    for (wrong, named) in [
        ("[api]\nmax_in_flight = 0", "api.max_in_flight = 0"),
        ("[api]\nbase_ur = 1", "api.base_ur"),
        ("[retri]\nx = 1", "retri"),
        ("[token]\nsource = \"url\"", "token.url is required"),
    ] {
        desk.configure(wrong);
        for arguments in [&["status"][..], &["status", "--json"], &["status", "env-1"]] {
            let told = desk.run(arguments);
            assert!(told.out.contains("env-1"), "{told:?}");
            let note = told.refused(0);
            assert!(note.contains("note: ") && note.contains(named), "{note}");
            assert!(
                note.contains("config.toml") && note.contains("queue.db"),
                "{note}"
            );
        }
        desk.run(&["enqueue", "env-2"]).refused(78);
    }
}

#[test]
fn a_database_that_the_configuration_does_not_name_clearly_is_an_error() {
    let desk = Desk::new();
    for wrong in ["ur = 1", "[api", "url = 1"] {
        desk.configure(wrong);
        desk.run(&["status"]).refused(78);
    }
    desk.write(
        "config.toml",
        "[component]\nappid = \"wx1\"\n[database]\nurl = \"queue.db\"",
    );
    assert!(desk.run(&["status"]).refused(78).contains("database.url"));
    desk.configure("");
    let told = desk
        .command(&["status"])
        .env("STATICSTORED_DATABASE_URL", "sqlite:q.db")
        .output()
        .unwrap();
    assert!(Told::from(told).refused(78).contains("STATICSTORED_DATABASE_URL"));
}
