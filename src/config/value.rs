//! What a value may be: a parser for each kind, which answers with the type or with what is allowed.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::ValueKind;
use croner::parser::{CronParser, Seconds};
use reqwest::Url;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    File,
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File => f.write_str("configuration file"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// A value as it was given. A variable is always text; in the file a number has to be a number.
pub(super) struct Setting {
    pub(super) value: ValueKind,
    pub(super) origin: Origin,
}

impl Setting {
    pub(super) fn default_of(text: &str) -> Self {
        Self {
            value: ValueKind::String(text.to_owned()),
            origin: Origin::Default,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            ValueKind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a value that may be written without quotation marks.
    fn bare(&self) -> Option<String> {
        match &self.value {
            ValueKind::I64(number) => Some(number.to_string()),
            ValueKind::Boolean(flag) => Some(flag.to_string()),
            ValueKind::String(text) if self.origin != Origin::File => Some(text.clone()),
            _ => None,
        }
    }

    /// The value for people. A text with an `@` may hold a password (a URL) or be a ticket, so it is not shown.
    pub(super) fn shown(&self) -> String {
        match &self.value {
            ValueKind::String(text) if text.contains('@') => "(not shown)".to_owned(),
            ValueKind::String(text) => format!("{text:?}"),
            ValueKind::Table(_) => "a table".to_owned(),
            ValueKind::Array(_) => "a list".to_owned(),
            other => other.to_string(),
        }
    }
}

/// A proxy's URL. It may hold a password, so it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl(Url);

impl ProxyUrl {
    /// The URL itself, for the client that goes through it.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyUrl(..)")
    }
}

const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Writes a duration as the configuration does: `500ms`, `10s`, `5m`, `12h`, `30d`, `0`; exact to the millisecond.
#[must_use]
pub fn duration_text(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let unit = UNITS
        .iter()
        .find(|(_, size)| milliseconds.is_multiple_of(u128::from(*size)));
    match unit {
        Some((unit, size)) if milliseconds > 0 => format!("{}{unit}", milliseconds / u128::from(*size)),
        _ => "0".to_owned(),
    }
}

/// Reads what [`duration_text`] writes.
///
/// # Errors
/// With what is allowed, for anything else.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    read_duration(text).ok_or_else(|| "a duration is written 500ms, 10s, 5m, 12h or 30d".to_owned())
}

fn read_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(*size)
        .map(Duration::from_millis)
}

/// A duration within bounds; zero, where that is within them, may be written without a unit.
pub(super) fn duration(bounds: RangeInclusive<Duration>) -> impl Fn(&Setting) -> Result<Duration, String> {
    move |setting| {
        let text = setting.text().map(str::to_owned).or_else(|| setting.bare());
        text.and_then(|text| read_duration(&text)).filter(|value| bounds.contains(value)).ok_or_else(|| {
            let [least, most] = [bounds.start(), bounds.end()].map(|bound| duration_text(*bound));
            format!("a duration such as \"500ms\", \"10s\", \"5m\", \"12h\" or \"30d\", from {least} to {most}")
        })
    }
}

/// A whole number within bounds.
pub(super) fn whole(bounds: RangeInclusive<u32>) -> impl Fn(&Setting) -> Result<u32, String> {
    move |setting| {
        let number = setting
            .bare()
            .and_then(|text| text.parse().ok())
            .filter(|value| bounds.contains(value));
        number.ok_or_else(|| format!("a whole number from {} to {}", bounds.start(), bounds.end()))
    }
}

/// `true` or `false`.
pub(super) fn flag(setting: &Setting) -> Result<bool, String> {
    let flag = setting.bare().and_then(|text| text.parse().ok());
    flag.ok_or_else(|| "true or false".to_owned())
}

/// The path of a file.
pub(super) fn path(setting: &Setting) -> Result<PathBuf, String> {
    let text = setting
        .text()
        .filter(|text| !text.trim().is_empty() && !text.contains('\0'));
    text.map(PathBuf::from)
        .ok_or_else(|| "the path of a file".to_owned())
}

/// The folder that a file is in; `.` for a bare name.
pub(super) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// A component_appid: Weixin's are `wx` and 16 hexadecimal digits, which no document promises.
pub(super) fn appid(setting: &Setting) -> Result<String, String> {
    let plausible = |text: &&str| {
        (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let text = setting.text().filter(plausible).map(str::to_owned);
    text.ok_or_else(|| "the platform's component_appid: 1 to 64 of A-Z a-z 0-9 - _".to_owned())
}

/// `sqlite:` and the path of a file. Options would work against what the daemon relies on, and a database in
/// memory is nobody else's interface.
pub(super) fn database(setting: &Setting) -> Result<PathBuf, String> {
    let file = setting
        .text()
        .and_then(|text| text.strip_prefix("sqlite:"))
        .filter(|file| {
            !file.is_empty()
                && !file.starts_with("//")
                && !file.contains([':', '?', '#', '%', '\0'])
                && !file.ends_with('/')
        });
    let allowed = "sqlite: and the path of a file (sqlite:/var/lib/staticstored/queue.db, sqlite:queue.db), \
                   without options, not :memory:";
    file.map(PathBuf::from).ok_or_else(|| allowed.to_owned())
}

fn parse_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (url.has_host() && url.query().is_none() && url.fragment().is_none()).then_some(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// Whether the secrets that go there are safe: encrypted, or never on a wire.
pub(super) fn is_private(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => is_loopback(url),
        _ => false,
    }
}

/// Where Weixin is.
pub(super) fn base_url(setting: &Setting) -> Result<Url, String> {
    let url = setting.text().and_then(parse_url);
    let allowed = |url: &Url| is_private(url) && url.username().is_empty() && url.password().is_none();
    url.filter(allowed).ok_or_else(|| {
        "an https URL without user, query and fragment (http only to a loopback address, such as \
         http://127.0.0.1:8080)"
            .to_owned()
    })
}

/// Where the program is that owns the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnerUrl {
    /// `https`, or `http` on a loopback address: the resource that a GET reads the token from.
    Http(Url),
    /// A Unix socket.
    Socket(PathBuf),
}

/// A URL that another program's token is read from.
pub(super) fn owner_url(setting: &Setting) -> Result<OwnerUrl, String> {
    let text = setting.text().unwrap_or_default();
    let socket = text.strip_prefix("unix:").filter(|path| path.starts_with('/'));
    let plain = |url: &Url| is_private(url) && url.username().is_empty() && url.password().is_none();
    match socket {
        Some(path) => Some(OwnerUrl::Socket(path.into())),
        None => parse_url(text).filter(plain).map(OwnerUrl::Http),
    }
    .ok_or_else(|| {
        "an https URL without user, query and fragment, http to a loopback address, or unix:/path/to.sock"
            .to_owned()
    })
}

/// Who fetches the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Source {
    #[default]
    Component,
    Url,
}

/// `token.source`
pub(super) fn token_source(setting: &Setting) -> Result<Source, String> {
    match setting.text() {
        Some("component") => Ok(Source::Component),
        Some("url") => Ok(Source::Url),
        _ => Err("\"component\" or \"url\"".to_owned()),
    }
}

/// The longest path of a socket, in bytes. The kernel takes 107; the socket is made under another name beside it.
const LONGEST_SOCKET: usize = 96;

/// The path of a socket.
pub(super) fn socket(setting: &Setting) -> Result<PathBuf, String> {
    let fits = |path: &PathBuf| path.as_os_str().len() <= LONGEST_SOCKET && path.file_name().is_some();
    path(setting)
        .ok()
        .filter(fits)
        .ok_or_else(|| format!("the path of a socket, of at most {LONGEST_SOCKET} bytes"))
}

/// Octal, as for chmod; others get nothing, or anybody on the machine could read the token.
pub(super) fn mode(setting: &Setting) -> Result<u32, String> {
    let octal =
        |text: &&str| (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = setting
        .text()
        .filter(octal)
        .and_then(|text| u32::from_str_radix(text, 8).ok());
    mode.filter(|mode| *mode <= 0o777 && mode & 0o007 == 0)
        .ok_or_else(|| "octal permissions without any for others, such as \"0660\"".to_owned())
}

/// An address to listen on.
pub(super) fn address(setting: &Setting) -> Result<SocketAddr, String> {
    let address = setting.text().and_then(|text| text.parse().ok());
    address.ok_or_else(|| "an IP address and a port, such as 127.0.0.1:8080".to_owned())
}

/// The path of a URL, of characters that mean nothing to whoever routes it.
pub(super) fn url_path(setting: &Setting) -> Result<String, String> {
    let plain = |text: &&str| {
        text.starts_with('/')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte))
    };
    let text = setting.text().filter(plain).map(str::to_owned);
    text.ok_or_else(|| "a path such as /weixin/callback, of A-Z a-z 0-9 / - . _ ~".to_owned())
}

/// A proxy.
pub(super) fn proxy(setting: &Setting) -> Result<ProxyUrl, String> {
    let known =
        |url: &Url| ["http", "https", "socks5"].contains(&url.scheme()) && ["", "/"].contains(&url.path());
    let url = setting.text().and_then(parse_url).filter(known);
    url.map(ProxyUrl)
        .ok_or_else(|| "an http, https or socks5 URL, such as http://10.0.0.1:3128".to_owned())
}

/// A cron expression, read as tokio-cron-scheduler reads it, that comes round.
pub(super) fn schedule(setting: &Setting) -> Result<String, String> {
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .dom_and_dow(true)
        .build();
    let comes_round = |text: &&str| {
        let cron = parser.parse(text);
        cron.is_ok_and(|cron| {
            cron.find_next_occurrence(&chrono::DateTime::UNIX_EPOCH, true)
                .is_ok()
        })
    };
    let text = setting.text().filter(comes_round).map(str::to_owned);
    text.ok_or_else(|| {
        "a cron expression of six fields, seconds first, that comes round, such as \"0 30 3 * * *\" (03:30 every day)"
            .to_owned()
    })
}

/// What is logged. A bare word that is no level would be taken for a target, and nothing would be logged any more.
pub(super) fn filter(setting: &Setting) -> Result<String, String> {
    let directive = |text: &str| {
        let level = || !text.is_empty() && text.parse::<LevelFilter>().is_ok();
        text.contains('=') || level()
    };
    let text = setting
        .text()
        .filter(|text| text.split(',').all(directive) && EnvFilter::try_new(text).is_ok());
    text.map(str::to_owned).ok_or_else(|| {
        "a level (error, warn, info, debug, trace, off) or target=level pairs, with commas between them"
            .to_owned()
    })
}
