//! The house keeps its order: who may import whom, who may speak SQL, who may read the time (docs/ARCHITECTURE.md).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const VOCABULARY: [&str; 6] = ["clock", "credential", "outcome", "pulse", "request", "transport"];
const ADAPTERS: [&str; 7] = ["callback", "line", "owner", "server", "store", "wake", "weixin"];
const FLOWS: [&str; 5] = ["housekeeping", "provisioner", "reception", "share", "token"];
const SERVICE: [&str; 2] = ["config", "daemon"];
const EDGE: [&str; 4] = ["cli", "lib", "main", "observability"];

/// A source file without its tests and its comments.
struct Source {
    path: PathBuf,
    room: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
                sources.push(Source::read(&root, path));
            }
        }
    }
    assert!(sources.len() > 50, "{}", sources.len());
    sources
}

impl Source {
    fn read(root: &Path, path: PathBuf) -> Self {
        let whole = fs::read_to_string(&path).unwrap();
        let code = whole.split("#[cfg(test)]\nmod tests {").next().unwrap_or(&whole);
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let first = path.strip_prefix(root).unwrap().components().next().unwrap();
        let room = Path::new(first.as_os_str()).file_stem().unwrap();
        Self {
            room: room.to_str().unwrap().to_owned(),
            text: lines.collect::<Vec<_>>().join("\n"),
            path,
        }
    }

    /// The rooms that are named as `crate::room` or in a `crate::{…}`.
    fn imports(&self) -> BTreeSet<String> {
        let mut rooms = BTreeSet::new();
        for after in self.text.split("crate::").skip(1) {
            match after.strip_prefix('{') {
                Some(list) => {
                    let list = list.split_once(';').map_or(list, |(list, _)| list);
                    let names = list.split(',').map(name);
                    rooms.extend(names.filter(|name| is_room(name)));
                }
                None => {
                    rooms.insert(name(after));
                }
            }
        }
        rooms.remove(&self.room);
        rooms
    }
}

/// The name at the beginning of a text.
fn name(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn is_room(name: &str) -> bool {
    [&VOCABULARY[..], &ADAPTERS, &FLOWS, &SERVICE, &EDGE]
        .concat()
        .contains(&name)
        || name == "simulator"
}

/// The rooms that a room may import.
fn allowed(room: &str) -> Vec<&'static str> {
    let below_flows = [&VOCABULARY[..], &ADAPTERS].concat();
    match room {
        "config" | "simulator" => VOCABULARY.to_vec(),
        _ if VOCABULARY.contains(&room) || ADAPTERS.contains(&room) => VOCABULARY.to_vec(),
        "provisioner" | "share" => [&below_flows[..], &["token"]].concat(),
        _ if FLOWS.contains(&room) => below_flows,
        "daemon" => [&below_flows[..], &FLOWS, &["config"]].concat(),
        _ if EDGE.contains(&room) => [&below_flows[..], &FLOWS, &SERVICE, &EDGE, &["simulator"]].concat(),
        _ => panic!("{room} is a room that no level is given to"),
    }
}

#[test]
fn no_room_imports_what_is_not_below_it() {
    for source in sources() {
        let allowed = allowed(&source.room);
        for import in source.imports() {
            assert!(
                allowed.contains(&import.as_str()),
                "{} imports {import}",
                source.path.display()
            );
        }
    }
}

#[test]
fn only_the_store_speaks_sql_but_for_the_one_pragma_that_wake_lives_on() {
    for source in sources().iter().filter(|source| source.room != "store") {
        let text = match source.room.as_str() {
            "wake" => source
                .text
                .replace(r#"sqlx::query_scalar("PRAGMA data_version")"#, ""),
            _ => source.text.clone(),
        };
        for word in ["sqlx::query", "sqlx::raw_sql", "AssertSqlSafe"] {
            assert!(!text.contains(word), "{}: {word}", source.path.display());
        }
    }
}

#[test]
fn only_the_clock_reads_the_time() {
    for source in sources().iter().filter(|source| source.room != "clock") {
        for reading in ["Utc::now", "Local::now", "SystemTime::now", "Instant::now"] {
            assert!(
                !source.text.contains(reading),
                "{}: {reading}",
                source.path.display()
            );
        }
    }
}

#[test]
fn only_weixin_knows_a_path_of_its_api() {
    for source in sources() {
        let knows = source.text.contains("/componenttcb/") || source.text.contains("/cgi-bin/");
        assert!(
            !knows || ["weixin", "simulator"].contains(&source.room.as_str()),
            "{}",
            source.path.display()
        );
    }
}

#[test]
fn no_module_is_a_mod_rs_and_each_says_what_it_is_for() {
    for source in sources() {
        assert!(!source.path.ends_with("mod.rs"), "{}", source.path.display());
        let text = fs::read_to_string(&source.path).unwrap();
        assert!(text.starts_with("//! "), "{}", source.path.display());
    }
}
