//! The documents are true: what they name exists, what they show runs, what they promise is what the code holds.
//!
//! They are read at night by people who type what they see; a command that is no longer there costs them an hour.

mod built;

use std::collections::BTreeSet;
use std::path::Path;

use clap::CommandFactory as _;
use sqlx::SqliteConnection;
use staticstored::callback::Refusal;
use staticstored::cli::{self, Cli};
use staticstored::config::{Config, LONGEST_RENEW_BEFORE, duration_text};
use staticstored::simulator::scenario;
use staticstored::store::{self, Access, desk};
use staticstored::weixin::errcode;
use staticstored::{owner, share};

pub const README: &str = include_str!("../../README.md");
pub const OPERATIONS: &str = include_str!("../../docs/OPERATIONS.md");
const ARCHITECTURE: &str = include_str!("../../docs/ARCHITECTURE.md");
const PERFORMANCE: &str = include_str!("../../docs/PERFORMANCE.md");
const CHANGELOG: &str = include_str!("../../CHANGELOG.md");
const EXAMPLE: &str = include_str!("../../deploy/staticstored.toml.example");

/// Words after which `staticstored` is a user, a group or a unit, not the program.
const NOT_THE_PROGRAM: [&str; 8] = ["-u", "-o", "-g", "-aG", "--now", "edit", "start", "restart"];

/// The blocks between fences of this language, without their indentation.
pub fn fenced(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim_start);
    while lines.by_ref().any(|line| line == format!("```{language}")) {
        let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push(block.join("\n"));
    }
    blocks
}

/// What stands under a heading.
pub fn under<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no heading {heading}"));
    rest.split("\n## ").next().unwrap_or(rest)
}

/// Everything between single backticks, outside of fences.
fn spans(text: &str) -> Vec<String> {
    let mut inside = false;
    let prose: Vec<&str> = text
        .lines()
        .filter(|line| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !inside && !fence
        })
        .collect();
    let prose = prose.join("\n");
    prose
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|span| span.replace('\n', " "))
        .collect()
}

/// Each command line that the documents show: the words after `staticstored`.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let shown = fenced(text, "sh")
        .into_iter()
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>());
    let mut lines = Vec::new();
    for line in shown.chain(spans(text)) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        for (at, word) in words.iter().enumerate() {
            let before = at.checked_sub(1).map_or("", |at| words[at].as_str());
            if word == "staticstored" && !NOT_THE_PROGRAM.contains(&before) && at + 1 < words.len() {
                let end = |word: &&String| !["|", "&&", "staticstored"].contains(&word.as_str());
                lines.push(words[at + 1..].iter().take_while(end).cloned().collect());
            }
        }
    }
    lines
}

fn long_options(command: &clap::Command) -> BTreeSet<String> {
    let longs = command.get_arguments().filter_map(|argument| argument.get_long());
    longs
        .map(|long| format!("--{long}"))
        .chain(["--help".to_owned(), "--config".to_owned()])
        .collect()
}

#[test]
fn every_command_and_option_that_is_shown_exists() {
    let program = Cli::command();
    let mut seen = 0;
    for words in [README, OPERATIONS, CHANGELOG]
        .into_iter()
        .flat_map(command_lines)
    {
        let skipped = usize::from(words[0] == "--config") * 2;
        let Some(name) = words.get(skipped).filter(|word| !word.starts_with('-')) else {
            continue;
        };
        let command = program
            .find_subcommand(name)
            .unwrap_or_else(|| panic!("no command {name}: {words:?}"));
        let known = long_options(command);
        for option in words[skipped..].iter().filter(|word| word.starts_with("--")) {
            assert!(known.contains(option), "staticstored {name} has no {option}");
        }
        seen += 1;
    }
    assert!(seen > 30, "only {seen} commands were found");
}

#[test]
fn every_option_that_is_named_alone_belongs_to_some_command() {
    let program = Cli::command();
    let known: BTreeSet<String> = program.get_subcommands().flat_map(long_options).collect();
    for span in [README, OPERATIONS]
        .into_iter()
        .flat_map(spans)
        .filter(|span| span.starts_with("--") && span.len() > 2)
    {
        let option = span.split_whitespace().next().unwrap();
        assert!(known.contains(option), "no command has {option}");
    }
}

/// A database with a row of each kind.
async fn database(directory: &Path) -> SqliteConnection {
    let path = directory.join("queue.db");
    store::migrate(&path).await.unwrap();
    let mut connection = store::connect(&path, Access::Write).await.unwrap();
    let rows = "INSERT INTO queue (env, priority) VALUES ('test-env1', 0), ('other', 5);
        INSERT INTO ticket (component_verify_ticket) VALUES ('ticket@@@x');
        UPDATE service SET heartbeat_at = '2026-11-23T16:25:07.123Z';
        INSERT INTO attempt (env, at, call, errcode, latency_ms, outcome)
            VALUES ('other', '2026-11-23T16:25:07.123Z', 'create', 85088, 3, 'failed');
        UPDATE status SET state = 'failed', errcode = 85088, next_attempt_at = NULL, finished_at = updated_at
         WHERE env = 'other';
        DELETE FROM queue WHERE env = 'other'";
    run(&mut connection, rows).await;
    connection
}

async fn run(connection: &mut SqliteConnection, sql: &str) {
    let statements = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
    statements
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{error}:\n{sql}"));
}

#[tokio::test]
async fn every_statement_that_is_shown_runs() {
    let mut blocks = 0;
    for text in [README, OPERATIONS] {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = database(directory.path()).await;
        for block in fenced(text, "sql") {
            run(&mut connection, &block).await;
            blocks += 1;
        }
    }
    assert!(blocks >= 7, "only {blocks} blocks were found");
}

/// The lines of the example that belong to a section.
fn section(name: &str) -> Option<&'static str> {
    let (_, rest) = EXAMPLE.split_once(&format!("\n[{name}]\n"))?;
    rest.split("\n[").next()
}

/// The keys that a text names, as `section.key`.
fn keys(text: &str) -> BTreeSet<(&str, &str)> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_' || c == '.'));
    words
        .filter_map(|word| word.trim_end_matches('.').split_once('.'))
        .filter(|(of, key)| section(of).is_some() && !key.starts_with("json"))
        .collect()
}

#[test]
fn every_key_that_is_named_is_in_the_example_configuration() {
    let mut seen = 0;
    for text in [README, OPERATIONS, ARCHITECTURE, PERFORMANCE, CHANGELOG] {
        for (of, key) in keys(text) {
            let mut words = section(of)
                .unwrap()
                .split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
            assert!(words.any(|word| word == key), "{of}.{key} is no key");
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} keys were found");
}

#[test]
fn a_part_of_the_configuration_that_is_shown_is_taken() {
    let env = [("CREDENTIALS_DIRECTORY".to_owned(), "/run/c".to_owned())].into();
    let parts = fenced(README, "toml");
    assert!(parts.len() >= 3, "{parts:?}");
    let defaults = Config::parse("component.appid = \"wx1\"\n", &env).unwrap();
    for part in parts {
        let text = format!("component.appid = \"wx1\"\n{part}");
        let config = Config::parse(&text, &env).unwrap_or_else(|error| panic!("{error}:\n{text}"));
        assert_ne!(config, defaults, "{text}");
    }
}

#[test]
fn a_default_in_brackets_after_a_key_is_the_default() {
    let mut seen = 0;
    for line in OPERATIONS.lines() {
        let parts: Vec<&str> = line.split('`').collect();
        for pair in parts.windows(2) {
            let Some(value) = pair[1].strip_prefix(" (").and_then(|rest| rest.split_once(')')) else {
                continue;
            };
            let Some((of, key)) = pair[0].split_once('.').filter(|(of, _)| section(of).is_some()) else {
                continue;
            };
            let lines = [
                format!("#{key} = {}", value.0),
                format!("#{key} = \"{}\"", value.0),
            ];
            let found = section(of)
                .unwrap()
                .lines()
                .any(|line| lines.iter().any(|wanted| wanted == line));
            assert!(found, "{of}.{key} is not {} by default", value.0);
            seen += 1;
        }
    }
    assert!(seen >= 5, "only {seen} defaults were found");
}

/// The names in the first column of the table that follows a heading.
fn first_column(text: &str, heading: &str) -> BTreeSet<String> {
    let (_, rest) = text.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    let rows = rest
        .lines()
        .skip_while(|line| !line.starts_with("| `"))
        .take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| row.split('`').nth(1))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_states_are_those_of_the_schema_and_none_is_missing() {
    let states: BTreeSet<String> = desk::STATES.map(str::to_owned).into();
    assert_eq!(
        first_column(README, "| `state` | final | meaning |\n|---|---|---|"),
        states
    );
    assert_eq!(first_column(OPERATIONS, "## What `status.state` means"), states);
    let service = first_column(OPERATIONS, "## What `service.state` means");
    assert_eq!(service.len(), 5);
    let directory = tempfile::tempdir().unwrap();
    let mut connection = database(directory.path()).await;
    for state in service {
        run(&mut connection, &format!("UPDATE service SET state = '{state}'")).await;
    }
}

#[test]
fn each_errcode_stands_in_the_row_of_its_class() {
    for (row, class) in [
        ("passes", "passes:"),
        ("token", "token:"),
        ("this environment", "this environment:"),
        ("whole line", "whole line:"),
    ] {
        let line = OPERATIONS
            .lines()
            .find(|line| line.starts_with(&format!("| {row} | ")))
            .unwrap();
        let cell = line.split('|').nth(2).unwrap().split(';').next().unwrap();
        let shown: BTreeSet<i64> = cell.split(',').map(|code| code.trim().parse().unwrap()).collect();
        let of_class = |code: &i64| errcode::explain(*code).unwrap().class.starts_with(class);
        // `-1` and its like are looked at first, and say so after the same word.
        assert_eq!(shown, errcode::known().filter(of_class).collect(), "{row}");
    }
}

#[test]
fn the_numbers_are_those_of_the_code() {
    let (major, minor, patch) = store::OLDEST_SQLITE;
    for (text, number) in [
        (
            README,
            format!(
                "1 to {} of `A-Z a-z 0-9 - _`",
                staticstored::request::Env::LONGEST
            ),
        ),
        (README, format!("SQLite: {major}.{minor}.{patch}")),
        (
            OPERATIONS,
            format!("1 to {} printable ASCII", staticstored::credential::LONGEST),
        ),
        (
            OPERATIONS,
            format!("| {} characters |", staticstored::weixin::LONGEST_ERRMSG),
        ),
        (
            OPERATIONS,
            format!("| {} KiB;", staticstored::weixin::LARGEST_BODY / 1024),
        ),
        (
            OPERATIONS,
            format!(
                "| a push | {} KiB; connections to the receiver: {} at once |",
                staticstored::reception::LARGEST_PUSH / 1024,
                staticstored::reception::MOST_CONNECTIONS
            ),
        ),
        (
            OPERATIONS,
            format!(
                "over {} seconds; a slow client",
                staticstored::reception::WEIXIN_WAITS.as_secs()
            ),
        ),
        (
            OPERATIONS,
            format!(
                "| callback token | 1 to {} printable",
                staticstored::credential::CallbackToken::LONGEST
            ),
        ),
        (
            OPERATIONS,
            format!("| {} characters of", staticstored::credential::AesKey::CHARACTERS),
        ),
        (OPERATIONS, format!("`retry` | {} |", desk::BATCH)),
        (
            OPERATIONS,
            format!(
                "an answer of the token's owner | {} KiB",
                owner::LARGEST_BODY / 1024
            ),
        ),
        (
            OPERATIONS,
            format!("clients of the socket at once | {};", share::MOST_CLIENTS),
        ),
        (
            OPERATIONS,
            format!("waits for another | {} seconds", share::LONGEST_WAIT.as_secs()),
        ),
        (
            OPERATIONS,
            format!("body of a `reject` | {} KiB", share::LARGEST_BODY / 1024),
        ),
        (
            OPERATIONS,
            format!("| up to {}m |", LONGEST_RENEW_BEFORE.as_secs() / 60),
        ),
        (
            OPERATIONS,
            format!(
                "`api.request_timeout` + {} seconds",
                staticstored::daemon::STOP_MARGIN.as_secs()
            ),
        ),
        (
            ARCHITECTURE,
            format!("rests {}", duration_text(staticstored::outcome::LINE_REST)),
        ),
        (
            ARCHITECTURE,
            format!("every {}", duration_text(staticstored::wake::SLOW_POLL)),
        ),
    ] {
        assert!(text.contains(&number), "not found: {number}");
    }
    assert_eq!(
        staticstored::outcome::MOST_UNKNOWNS,
        3,
        "the table of classes says \"the third one in a row\""
    );
    for status in [cli::DONE, cli::FAILED, cli::TRY_LATER, cli::MISCONFIGURED] {
        assert!(
            OPERATIONS.contains(&format!("\n| {status} | ")),
            "exit status {status}"
        );
    }
}

#[test]
fn every_reason_to_refuse_a_push_is_explained() {
    for reason in Refusal::ALL.map(Refusal::reason) {
        assert!(OPERATIONS.contains(&format!("\n| {reason} | ")), "{reason}");
    }
    let server = include_str!("../../src/server.rs");
    for reason in [
        "the body is too large",
        "the body did not come in time",
        "the body broke off",
        "the head is too long",
        "this is no HTTP/1 request",
        "the answer was not ready in time",
    ] {
        assert!(server.contains(&format!("\"{reason}\"")), "{reason}");
        assert!(OPERATIONS.contains(&format!("\n| {reason} | ")), "{reason}");
    }
    let longest = staticstored::server::LONGEST_HEAD / 1024;
    assert!(OPERATIONS.contains(&format!("over {longest} KiB; somebody else's")));
    let lines = include_str!("../../src/server/refusals.rs");
    assert!(lines.contains("LINES: u32 = 20;") && OPERATIONS.contains("20 lines a minute"));
}

#[test]
fn every_fault_that_is_named_is_one_of_the_simulators() {
    let names: Vec<String> = spans(README)
        .iter()
        .filter_map(|span| span.strip_prefix("x--"))
        .map(str::to_owned)
        .collect();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        assert!(scenario::kind(&name).is_some(), "no fault {name}");
    }
}

#[test]
fn the_packages_that_are_named_are_of_this_version() {
    let mut seen = 0;
    for text in [README, OPERATIONS] {
        let names = text.split(|c: char| c.is_whitespace() || "`/".contains(c));
        for file in names.filter(|name| name.ends_with(".deb") || name.contains("-linux")) {
            let version = file.strip_prefix("staticstored").and_then(|rest| rest.get(1..));
            let of_this = version.is_some_and(|rest| rest.starts_with(env!("CARGO_PKG_VERSION")));
            // (The one that is named by its end only.)
            assert!(of_this || file == "-linux.tar.gz", "{file}");
            seen += 1;
        }
    }
    assert!(seen >= 4, "only {seen} were found");
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (folder, text) in [
        (".", README),
        ("docs", OPERATIONS),
        ("docs", ARCHITECTURE),
        ("docs", PERFORMANCE),
        (".", CHANGELOG),
    ] {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let there = link.starts_with("https://") || root.join(folder).join(link).exists();
            assert!(there, "{folder}: {link}");
        }
    }
}
