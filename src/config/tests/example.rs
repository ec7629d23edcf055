//! The example configuration is true.

use super::*;

const EXAMPLE: &str = include_str!("../../../deploy/staticstored.toml.example");

/// The lines that set a key, once the `#` before them is taken away.
fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) => key.to_owned(),
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_holds_the_defaults() {
    let env = variables(&[("CREDENTIALS_DIRECTORY", "/run/credentials/staticstored.service")]);
    let example = Config::parse(&uncommented(), &env).unwrap();
    let defaults = Config::parse("[component]\nappid = \"wx0123456789abcdef\"", &env).unwrap();
    assert_eq!(example, defaults);
    assert!(
        Config::parse(EXAMPLE, &env)
            .unwrap_err()
            .to_string()
            .starts_with("component.appid is required")
    );
}

#[test]
fn the_example_sets_the_keys_in_the_order_of_the_contract_and_mentions_all() {
    let mut set = Vec::new();
    let mut section = String::new();
    for line in uncommented().lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            set.push(format!("{section}.{name}"));
        }
    }
    let in_order: Vec<_> = KEYS
        .into_iter()
        .filter(|key| set.iter().any(|name| name == key))
        .collect();
    assert_eq!(set, in_order);
    assert!(
        set.len() >= KEYS.len() - 6,
        "only those without a default are left out: {set:?}"
    );
    for key in KEYS {
        let (section, name) = key.split_once('.').unwrap();
        let (_, of_section) = EXAMPLE.split_once(&format!("[{section}]")).unwrap();
        assert!(of_section.split("\n[").next().unwrap().contains(name), "{key}");
    }
}
