//! Settings by key: where each value came from, and all that is wrong with them.
//!
//! The `config` crate merges file and environment. Its own errors stop at the first problem and do not name an
//! environment variable, so its merged table is read here key by key.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use config::{Environment as Variables, File, FileFormat, Value, ValueKind};

use super::Environment;
use super::value::{Origin, Setting, duration_text};

const PREFIX: &str = "STATICSTORED";
const SEPARATOR: &str = "__";
/// What the `config` crate calls the environment when it says where a value came from.
const THE_ENVIRONMENT: &str = "the environment";

/// Every key, in the order of the contract.
pub(super) const KEYS: [&str; 33] = [
    "component.appid",
    "component.appsecret_file",
    "database.url",
    "token.source",
    "token.url",
    "token.bearer_file",
    "token.cache_file",
    "token.renew_before",
    "callback.listen",
    "callback.path",
    "callback.token_file",
    "callback.aes_key_file",
    "callback.previous_aes_key_file",
    "share.socket",
    "share.mode",
    "api.base_url",
    "api.proxy",
    "api.connect_timeout",
    "api.request_timeout",
    "api.max_in_flight",
    "api.creates_per_second",
    "api.describes_per_second",
    "retry.initial_backoff",
    "retry.max_backoff",
    "retry.give_up_after",
    "confirm.enabled",
    "confirm.initial_interval",
    "confirm.max_interval",
    "confirm.give_up_after",
    "retention.attempts",
    "retention.status",
    "retention.schedule",
    "log.level",
];

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    key: String,
    complaint: String,
}

impl Problem {
    pub(super) fn new(key: impl Into<String>, complaint: impl Into<String>) -> Self {
        Self {
            key: escaped(&key.into()),
            complaint: escaped(&complaint.into()),
        }
    }

    /// The key it is about, as `section.key`; the name of a variable where no key is meant by it.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns true if a key or a variable of `[database]` is wrong, so that the path of the database is not certain.
    pub(super) fn concerns_database(&self) -> bool {
        let key = self.key.to_lowercase();
        key == "database" || key.starts_with("database.") || key.starts_with("staticstored_database")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.complaint)
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text is no TOML.
    #[error("the configuration is not valid TOML: {0}")]
    Syntax(String),
    /// Keys or values are wrong; one line for each.
    #[error("{}", lines(.0))]
    Problems(Vec<Problem>),
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self::Problems(vec![problem])
    }
}

/// Shows what would steer a terminal as it is written in Rust; a key or a variable may have any name.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

fn lines(problems: &[Problem]) -> String {
    match problems {
        [problem] => problem.to_string(),
        several => several.iter().map(|problem| format!("\n  {problem}")).collect(),
    }
}

/// The environment variable that sets a key.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}_{}", key.replace('.', SEPARATOR).to_uppercase())
}

/// The values as they were given, and the problems found so far.
pub(super) struct Settings {
    given: BTreeMap<String, Setting>,
    problems: Vec<Problem>,
}

impl Settings {
    /// Merges the file's text and the variables.
    pub(super) fn collect(text: &str, env: &Environment) -> Result<Self, ConfigError> {
        let (variables, problems) = ours(env);
        let environment = Variables::with_prefix(PREFIX)
            .prefix_separator("_")
            .separator(SEPARATOR);
        let merged = config::Config::builder()
            .add_source(File::from_str(text, FileFormat::Toml))
            .add_source(environment.source(Some(variables)))
            .build()
            .map_err(|error| ConfigError::Syntax(escaped(&without_excerpt(&error.to_string()))))?;
        let mut settings = Self {
            given: BTreeMap::new(),
            problems,
        };
        for (section, value) in table_of(merged.cache).unwrap_or_default() {
            settings.section(&section, value);
        }
        Ok(settings)
    }

    fn section(&mut self, section: &str, value: Value) {
        let keys = keys_of(section);
        if keys.is_empty() {
            return self.refuse(
                section,
                format!("({}): is no section; there are {}", Origin::File, sections()),
            );
        }
        let Some(table) = table_of(value) else {
            return self.refuse(
                section,
                format!("({}): must be a section: [{section}]", Origin::File),
            );
        };
        for (name, value) in table {
            if keys.contains(&name.as_str()) {
                self.set(format!("{section}.{name}"), value);
            } else {
                // Its value is not shown: it may be a secret that was meant to stand in a file.
                let complaint = format!(
                    "({}): is no key; [{section}] has {}",
                    Origin::File,
                    keys.join(", ")
                );
                self.refuse(&format!("{section}.{name}"), complaint);
            }
        }
    }

    fn set(&mut self, key: String, value: Value) {
        let origin = match value.origin() {
            Some(THE_ENVIRONMENT) => Origin::Variable(variable(&key)),
            _ => Origin::File,
        };
        let setting = Setting {
            value: value.kind,
            origin,
        };
        self.given.insert(key, setting);
    }

    /// Notes a problem.
    pub(super) fn refuse(&mut self, key: &str, complaint: impl Into<String>) {
        self.problems.push(Problem::new(key, complaint));
    }

    /// Notes that the value that was given for a key, if one was, cannot be taken.
    pub(super) fn refuse_given(&mut self, key: &str, complaint: &str) {
        if let Some(setting) = self.given.get(key) {
            let complaint = format!("= {} ({}): {complaint}", setting.shown(), setting.origin);
            self.refuse(key, complaint);
        }
    }

    /// Whether a key was given, whatever its value.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// The value of a key; `None` when it is not given, or not allowed (which is noted).
    pub(super) fn get<T>(&mut self, key: &str, parse: impl Fn(&Setting) -> Result<T, String>) -> Option<T> {
        debug_assert!(KEYS.contains(&key), "{key}");
        match parse(self.given.get(key)?) {
            Ok(value) => Some(value),
            Err(allowed) => {
                self.refuse_given(key, &format!("must be {allowed}"));
                None
            }
        }
    }

    /// The value of a key, or its default, written as the variable would be.
    pub(super) fn or<T>(
        &mut self,
        key: &str,
        default: &str,
        parse: impl Fn(&Setting) -> Result<T, String>,
    ) -> T {
        let given = self.get(key, &parse);
        given.unwrap_or_else(|| parse(&Setting::default_of(default)).expect("a default is allowed"))
    }

    /// The value of a key that has no default.
    pub(super) fn required<T: Default>(
        &mut self,
        key: &str,
        parse: impl Fn(&Setting) -> Result<T, String>,
    ) -> T {
        if !self.given.contains_key(key) {
            let complaint = format!(
                "is required: set it in the configuration file, or by {}",
                variable(key)
            );
            self.refuse(key, complaint);
        }
        self.get(key, parse).unwrap_or_default()
    }

    /// Keeps the first duration at most as long as the second. Where it is longer, the one of the two that was not set gives
    /// way; where both were set, that is a problem.
    pub(super) fn keep_in_order(
        &mut self,
        (key, value): (&str, &mut Duration),
        (limit_key, limit): (&str, &mut Duration),
    ) {
        if value <= limit {
            return;
        }
        match (self.is_given(key), self.is_given(limit_key)) {
            (true, true) => self.refuse_longer((key, *value), (limit_key, *limit)),
            (true, false) => *limit = *value,
            (false, _) => *value = *limit,
        }
    }

    fn refuse_longer(&mut self, (key, value): (&str, Duration), (limit_key, limit): (&str, Duration)) {
        let origin = |key| {
            self.given
                .get(key)
                .map_or(Origin::Default, |setting| setting.origin.clone())
        };
        let complaint = format!(
            "= {} ({}): must be at most {limit_key}, which is {} ({})",
            duration_text(value),
            origin(key),
            duration_text(limit),
            origin(limit_key),
        );
        self.refuse(key, complaint);
    }

    /// Succeeds when no problem was found.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::Problems(self.problems))
        }
    }
}

/// The variables that set a key; a problem for each of the others that look like ours.
fn ours(env: &Environment) -> (HashMap<String, String>, Vec<Problem>) {
    let known: Vec<String> = KEYS.iter().map(|key| variable(key)).collect();
    let mut problems = Vec::new();
    let mut variables = HashMap::new();
    for (name, value) in env.iter().collect::<BTreeMap<_, _>>() {
        if known.contains(name) {
            variables.insert(name.clone(), value.clone());
        } else if name.starts_with("STATICSTORED_") {
            let complaint = "(environment): names no key; a variable is STATICSTORED_SECTION__KEY, such as \
                             STATICSTORED_API__BASE_URL";
            problems.push(Problem::new(name, complaint));
        }
    }
    (variables, problems)
}

/// A table in the order of its keys; `None` for any other value.
fn table_of(value: Value) -> Option<BTreeMap<String, Value>> {
    match value.kind {
        ValueKind::Table(table) => Some(table.into_iter().collect()),
        _ => None,
    }
}

fn keys_of(section: &str) -> Vec<&'static str> {
    let parts = KEYS.iter().filter_map(|key| key.split_once('.'));
    parts
        .filter(|(of, _)| *of == section)
        .map(|(_, key)| key)
        .collect()
}

fn sections() -> String {
    let mut names: Vec<_> = KEYS
        .iter()
        .filter_map(|key| Some(key.split_once('.')?.0))
        .collect();
    names.dedup();
    names.join(", ")
}

/// Leaves out the line of the file that the TOML parser shows: there may be a secret in it.
fn without_excerpt(message: &str) -> String {
    let excerpt = |line: &str| {
        line.trim_start_matches([' ', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
            .starts_with('|')
    };
    let told: Vec<_> = message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !excerpt(line))
        .collect();
    told.join(": ")
}
