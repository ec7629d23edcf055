//! What `--help` promises is what the contract does.

use super::{Told, program};

fn help(command: &str) -> String {
    Told::from(program(&[command, "--help"]).output().unwrap()).done()
}

#[test]
fn the_help_of_each_command_names_what_can_be_typed() {
    for (command, parts) in [
        ("run", &["SIGTERM", "--config <FILE>"][..]),
        ("init", &["database"]),
        ("check", &["78"]),
        (
            "enqueue",
            &["[ENV]...", "--file <FILE>", "--priority <N>", "standard"],
        ),
        (
            "status",
            &[
                "[ENV]...",
                "--state <S>",
                "--json",
                "--watch",
                "pending",
                "cancelled",
            ],
        ),
        ("retry", &["[ENV]...", "--failed"]),
        ("pause", &["Stop new calls"]),
        ("resume", &["pause"]),
        ("ticket", &["<FILE>", "standard input"]),
        ("push", &["<URL>", "event of no consequence"]),
        ("explain", &["<ERRCODE>"]),
        (
            "simulate",
            &[
                "--listen <ADDR>",
                "--faults <RATE>",
                "--seed <N>",
                "--opening <DURATION>",
                "--token-lifetime",
                "--push <URL>",
                "--push-every <DURATION>",
                "--callback-token-file <FILE>",
                "--aes-key-file <FILE>",
            ],
        ),
        ("demo", &["--environments <N>", "[default: 200]", "--seed <N>"]),
        ("completions", &["bash", "zsh", "fish"]),
        ("man", &["<DIR>"]),
    ] {
        let told = help(command);
        for part in parts {
            assert!(told.contains(part), "{command}: {part}\n{told}");
        }
    }
}

#[test]
fn the_overview_names_every_command_the_default_configuration_and_the_exit_statuses() {
    let told = Told::from(program(&["--help"]).output().unwrap()).done();
    for part in [
        "run", "init", "check", "enqueue", "status", "retry", "pause", "resume", "ticket", "push", "explain",
    ] {
        assert!(told.contains(&format!("\n  {part} ")), "{part}\n{told}");
    }
    for part in [
        "simulate",
        "demo",
        "completions",
        "man",
        "/etc/staticstored/config.toml",
        "75",
        "78",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
}

#[test]
fn usage_errors_end_with_2() {
    for arguments in [
        &[][..],
        &["dance"],
        &["status", "--state", "happy"],
        &["status", "--watch", "--json"],
    ] {
        Told::from(program(arguments).output().unwrap()).refused(2);
    }
    let told = Told::from(program(&["--version"]).output().unwrap()).done();
    assert_eq!(told, format!("staticstored {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn bad_values_of_the_simulator_are_refused() {
    for arguments in [
        ["--faults", "2"],
        ["--faults", "-0.1"],
        ["--opening", "3"],
        ["--listen", "everywhere"],
        // Without --push they would be for nothing.
        ["--push-every", "5m"],
        ["--aes-key-file", "key"],
    ] {
        let mut command = vec!["simulate"];
        command.extend(arguments);
        Told::from(program(&command).output().unwrap()).refused(2);
    }
}

#[test]
fn pushes_of_the_simulator_go_to_this_machine_alone_with_a_key_that_is_one_and_not_without_a_pause() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    std::fs::write(&file, "too-short").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, says) in [
        (["--push", "https://example.com/"], "loopback"),
        (["--push-every", "10ms"], "--push-every is at least 1s"),
        (["--aes-key-file", file], "EncodingAESKey"),
        (["--callback-token-file", "/nowhere"], "/nowhere cannot be read"),
    ] {
        let mut command = vec!["simulate", "--listen", "127.0.0.1:0"];
        if arguments[0] != "--push" {
            command.extend(["--push", "http://127.0.0.1:9/"]);
        }
        command.extend(arguments);
        let told = Told::from(program(&command).output().unwrap()).refused(1);
        assert!(told.contains(says) && !told.contains("too-short"), "{told}");
    }
}
