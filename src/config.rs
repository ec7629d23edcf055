//! The configuration: a TOML file under the environment's variables, read into values that cannot be wrong.
//!
//! Every problem is found in one go and names its key, its value, where that came from and what is allowed, because
//! a daemon that refuses to start should be mended in one edit. Nothing here opens a file or reads the environment.

mod callback;
mod change;
mod settings;
mod value;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use callback::Callback;
pub use change::{Change, Changes};
use reqwest::Url;
use settings::Settings;
pub use settings::{ConfigError, Problem};
pub use value::{OwnerUrl, ProxyUrl, duration_text, parse_duration};
use value::{Source, duration, flag, folder_of, path, whole};

/// Where the configuration is when `--config` names no other file.
pub const DEFAULT_FILE: &str = "/etc/staticstored/config.toml";

/// The environment, as `main` read it.
pub type Environment = HashMap<String, String>;

/// Everything that can be set (CONTRACT, section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Who we are at Weixin.
    pub component: Component,
    /// The database that is the interface.
    pub database: Database,
    /// The `component_access_token`.
    pub token: Token,
    /// The receiver of Weixin's push; `None`: off.
    pub callback: Option<Callback>,
    /// The sharing of the token; `None`: it is not shared.
    pub share: Option<Share>,
    /// How Weixin is called.
    pub api: Api,
    /// What happens after a failure that passes.
    pub retry: Retry,
    /// How an accepted request is followed until it is online.
    pub confirm: Confirm,
    /// What is kept, and for how long.
    pub retention: Retention,
    /// What is logged.
    pub log: Log,
}

/// `[component]`: the third-party platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// The platform's `component_appid`. Required.
    pub appid: String,
    /// The file that holds the `component_appsecret`. Default: `$CREDENTIALS_DIRECTORY/appsecret`; `None` without
    /// either, which is an error only where the secret is needed ([`TokenSource::Component`]): see
    /// [`Component::secret_file`].
    pub appsecret_file: Option<PathBuf>,
}

impl Component {
    /// The file that holds the `component_appsecret`.
    ///
    /// # Errors
    /// When neither the key nor systemd names one. It is no error of the configuration as such: whoever inserts
    /// requests or looks at their status has no secret.
    pub fn secret_file(&self) -> Result<&Path, ConfigError> {
        self.appsecret_file.as_deref().ok_or_else(|| {
            ConfigError::from(Problem::new(
                "component.appsecret_file",
                "is required: set it to the file that holds the secret, or let systemd pass it \
                 (LoadCredential=appsecret:FILE, which sets CREDENTIALS_DIRECTORY)",
            ))
        })
    }
}

/// `[database]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// The SQLite file, from `database.url`. Default: `/var/lib/staticstored/queue.db`.
    pub path: PathBuf,
}

/// Who fetches the token: `token.source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// We do, with the appsecret and a ticket. The default.
    Component,
    /// Another program does, and we ask it.
    Url {
        /// Where it is.
        url: OwnerUrl,
        /// The file that holds the credential it wants to see. Default: none.
        bearer_file: Option<PathBuf>,
    },
}

/// `[token]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Who fetches it. Default: we do.
    pub source: TokenSource,
    /// Where the token outlives a restart. Default: `token.json` beside the database.
    pub cache_file: PathBuf,
    /// How long before its expiry the token is renewed, more than 0 and at most 1 h 50 min. Default: 10 min.
    pub renew_before: Duration,
}

/// `[share]`: the token for the platform's other programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The Unix socket.
    pub socket: PathBuf,
    /// Its permissions; others have none. Default: `0660`.
    pub mode: u32,
}

/// `[api]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Where Weixin is: `https`, or `http` on a loopback address. Default: `https://api.weixin.qq.com`.
    pub base_url: Url,
    /// The proxy that calls go through. Default: none.
    pub proxy: Option<ProxyUrl>,
    /// How long a connection may take to come about. Default: 5 s.
    pub connect_timeout: Duration,
    /// How long a call may take in all. Default: 15 s.
    pub request_timeout: Duration,
    /// How many calls may be under way at once, from 1 to 1024. Default: 16.
    pub max_in_flight: u32,
    /// createstaticstore calls per second; 0: no limit. Default: 50.
    pub creates_per_second: u32,
    /// describestaticstore calls per second; 0: no limit. Default: 15.
    pub describes_per_second: u32,
}

/// `[retry]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first wait after a failure that passes. Default: 1 s.
    pub initial_backoff: Duration,
    /// The longest wait between two tries. Default: 5 min.
    pub max_backoff: Duration,
    /// How long a request may go on failing before it is given up. Default: 24 h.
    pub give_up_after: Duration,
}

/// `[confirm]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// Whether an accepted request is followed until it is online. Default: true.
    pub enabled: bool,
    /// The first wait between Weixin's acceptance and the question whether the website is online. Default: 5 s.
    pub initial_interval: Duration,
    /// The longest wait between two such questions. Default: 60 s.
    pub max_interval: Duration,
    /// How long a website may take to come online. Default: 30 min.
    pub give_up_after: Duration,
}

/// `[retention]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long the history of calls is kept; `None` (written `0`): for ever. Default: 30 d.
    pub attempts: Option<Duration>,
    /// How long a finished request's status is kept; `None` (written `0`): for ever. Default: for ever.
    pub status: Option<Duration>,
    /// When old rows are removed: a cron expression of six fields (seconds first), local time. Default: every day
    /// at 03:30.
    pub schedule: String,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A level, or a filter as `RUST_LOG` takes it, which wins over this where it is set. Default: `info`.
    pub level: String,
}

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// The longest `token.renew_before`: the token lives for 2 hours, and a renewal in its first minutes would be
/// followed by the next one at once.
pub const LONGEST_RENEW_BEFORE: Duration = Duration::from_secs(110 * 60);

impl Config {
    /// Reads the text of a configuration file under the variables of `env` (a variable wins over the file).
    ///
    /// # Errors
    /// All the problems found: a text that is no TOML, sections and keys that do not exist, wrong types, values that
    /// are impossible, and what this version does not have yet.
    pub fn parse(text: &str, env: &Environment) -> Result<Self, ConfigError> {
        let mut settings = Settings::collect(text, env)?;
        let component = component(&mut settings, env);
        let database = database(&mut settings);
        let token = token(&mut settings, &database);
        let share = share(&mut settings, &token.source);
        let config = Self {
            component,
            database,
            token,
            callback: callback::callback(&mut settings, env),
            share,
            api: api(&mut settings),
            retry: retry(&mut settings),
            confirm: confirm(&mut settings),
            retention: retention(&mut settings),
            log: Log {
                level: settings.or("log.level", "info", value::filter),
            },
        };
        settings.finish().map(|()| config)
    }

    /// Reads `[database]` alone, for a command that needs nothing else. Other problems come with it.
    ///
    /// # Errors
    /// As for [`Config::parse`], when the text is no TOML or something is wrong with `[database]`.
    pub fn parse_database(
        text: &str,
        env: &Environment,
    ) -> Result<(Database, Option<ConfigError>), ConfigError> {
        let refused = match Self::parse(text, env) {
            Ok(config) => return Ok((config.database, None)),
            Err(error) => error,
        };
        let mut settings = Settings::collect(text, env)?;
        let database = database(&mut settings);
        match &refused {
            ConfigError::Problems(problems) if !problems.iter().any(Problem::concerns_database) => {
                Ok((database, Some(refused)))
            }
            _ => Err(refused),
        }
    }
}

fn database(settings: &mut Settings) -> Database {
    let default = "sqlite:/var/lib/staticstored/queue.db";
    Database {
        path: settings.or("database.url", default, value::database),
    }
}

fn component(settings: &mut Settings, env: &Environment) -> Component {
    Component {
        appid: settings.required("component.appid", value::appid),
        appsecret_file: settings
            .get("component.appsecret_file", path)
            .or_else(|| credential(env, "appsecret")),
    }
}

/// The file of a credential that systemd passes.
fn credential(env: &Environment, name: &str) -> Option<PathBuf> {
    let directory = env
        .get("CREDENTIALS_DIRECTORY")
        .filter(|directory| !directory.is_empty())?;
    Some(Path::new(directory).join(name))
}

fn token(settings: &mut Settings, database: &Database) -> Token {
    let source = token_source(settings);
    let cache_file = settings.get("token.cache_file", path);
    Token {
        source,
        cache_file: cache_file.unwrap_or_else(|| folder_of(&database.path).join("token.json")),
        renew_before: settings.or(
            "token.renew_before",
            "10m",
            duration(MILLISECOND..=LONGEST_RENEW_BEFORE),
        ),
    }
}

fn token_source(settings: &mut Settings) -> TokenSource {
    let source = if settings.is_given("token.source") {
        settings.get("token.source", value::token_source)
    } else {
        Some(Source::default())
    };
    let url = settings.get("token.url", value::owner_url);
    let bearer_file = settings.get("token.bearer_file", path);
    match (source, url) {
        (Some(Source::Url), Some(url)) => return TokenSource::Url { url, bearer_file },
        (Some(Source::Url), None) if !settings.is_given("token.url") => {
            settings.refuse("token.url", "is required with token.source = \"url\"");
        }
        (Some(Source::Component), _) => {
            for key in ["token.url", "token.bearer_file"] {
                settings.refuse_given(key, "must be left out unless token.source = \"url\"");
            }
        }
        // What is wrong is noted already.
        _ => {}
    }
    TokenSource::Component
}

fn share(settings: &mut Settings, source: &TokenSource) -> Option<Share> {
    let mode = settings.or("share.mode", "0660", value::mode);
    let socket = settings.get("share.socket", value::socket)?;
    if matches!(source, TokenSource::Url { url: OwnerUrl::Socket(owner), .. } if *owner == socket) {
        settings.refuse_given(
            "share.socket",
            "must be another than token.url: we would ask ourselves",
        );
    }
    Some(Share { socket, mode })
}

fn api(settings: &mut Settings) -> Api {
    let timeout = || duration(MILLISECOND..=HOUR);
    let mut api = Api {
        base_url: settings.or("api.base_url", "https://api.weixin.qq.com", value::base_url),
        proxy: settings.get("api.proxy", value::proxy),
        connect_timeout: settings.or("api.connect_timeout", "5s", timeout()),
        request_timeout: settings.or("api.request_timeout", "15s", timeout()),
        max_in_flight: settings.or("api.max_in_flight", "16", whole(1..=1024)),
        creates_per_second: settings.or("api.creates_per_second", "50", whole(0..=10_000)),
        describes_per_second: settings.or("api.describes_per_second", "15", whole(0..=10_000)),
    };
    settings.keep_in_order(
        ("api.connect_timeout", &mut api.connect_timeout),
        ("api.request_timeout", &mut api.request_timeout),
    );
    api
}

fn retry(settings: &mut Settings) -> Retry {
    let mut retry = Retry {
        initial_backoff: settings.or("retry.initial_backoff", "1s", duration(MILLISECOND..=DAY)),
        max_backoff: settings.or("retry.max_backoff", "5m", duration(MILLISECOND..=DAY)),
        give_up_after: settings.or("retry.give_up_after", "24h", duration(MILLISECOND..=YEAR)),
    };
    settings.keep_in_order(
        ("retry.initial_backoff", &mut retry.initial_backoff),
        ("retry.max_backoff", &mut retry.max_backoff),
    );
    retry
}

fn confirm(settings: &mut Settings) -> Confirm {
    let mut confirm = Confirm {
        enabled: settings.or("confirm.enabled", "true", flag),
        initial_interval: settings.or("confirm.initial_interval", "5s", duration(MILLISECOND..=DAY)),
        max_interval: settings.or("confirm.max_interval", "60s", duration(MILLISECOND..=DAY)),
        give_up_after: settings.or("confirm.give_up_after", "30m", duration(MILLISECOND..=YEAR)),
    };
    settings.keep_in_order(
        ("confirm.initial_interval", &mut confirm.initial_interval),
        ("confirm.max_interval", &mut confirm.max_interval),
    );
    confirm
}

fn retention(settings: &mut Settings) -> Retention {
    let kept = |wait: Duration| (!wait.is_zero()).then_some(wait);
    let any = || duration(Duration::ZERO..=100 * YEAR);
    Retention {
        attempts: kept(settings.or("retention.attempts", "30d", any())),
        status: kept(settings.or("retention.status", "0", any())),
        schedule: settings.or("retention.schedule", "0 30 3 * * *", value::schedule),
    }
}

#[cfg(test)]
mod tests;
