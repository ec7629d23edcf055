//! Every key: its default, set by the file, set by a variable, and a value that it cannot have.

use super::settings::{KEYS, variable};
use super::*;

mod change;
mod example;

struct Case {
    key: &'static str,
    read: fn(&Config) -> String,
    default: &'static str,
    /// As TOML, as a variable, and as it is read.
    set: (&'static str, &'static str, &'static str),
    /// As TOML, and a part of the complaint.
    bad: (&'static str, &'static str),
}

fn callback(config: &Config, read: fn(&Callback) -> String) -> String {
    config.callback.as_ref().map_or_else(|| "off".to_owned(), read)
}

fn kept(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "for ever".to_owned(), duration_text)
}

/// Who owns the token, where it is, the file of the credential.
fn source(config: &Config) -> (String, String, String) {
    let none = || "none".to_owned();
    match &config.token.source {
        TokenSource::Component => ("component".to_owned(), none(), none()),
        TokenSource::Url { url, bearer_file } => {
            let url = match url {
                OwnerUrl::Http(url) => url.to_string(),
                OwnerUrl::Socket(path) => format!("unix:{}", path.display()),
            };
            let file = bearer_file
                .as_ref()
                .map_or_else(none, |file| file.display().to_string());
            ("url".to_owned(), url, file)
        }
    }
}

fn shared(config: &Config) -> (String, String) {
    match &config.share {
        None => ("off".to_owned(), "off".to_owned()),
        Some(share) => (share.socket.display().to_string(), format!("{:o}", share.mode)),
    }
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    vec![
        Case { key: "component.appid", read: |c| c.component.appid.clone(), default: "wx1",
               set: (r#""wx2""#, "wx2", "wx2"), bad: (r#""w x""#, "1 to 64 of") },
        Case { key: "component.appsecret_file", read: |c| format!("{:?}", c.component.appsecret_file), default: "None",
               set: (r#""/s""#, "/s", "Some(\"/s\")"), bad: (r#""""#, "path of a file") },
        Case { key: "database.url", read: |c| c.database.path.display().to_string(),
               default: "/var/lib/staticstored/queue.db",
               set: (r#""sqlite:q.db""#, "sqlite:q.db", "q.db"), bad: (r#""sqlite::memory:""#, "not :memory:") },
        Case { key: "token.source", read: |c| source(c).0, default: "component",
               set: (r#""url""#, "url", "url"), bad: (r#""file""#, "\"component\" or \"url\"") },
        Case { key: "token.url", read: |c| source(c).1, default: "none",
               set: (r#""http://127.0.0.1/t""#, "http://127.0.0.1/t", "http://127.0.0.1/t"),
               bad: (r#""http://10.0.0.1/t""#, "http to a loopback address") },
        Case { key: "token.bearer_file", read: |c| source(c).2, default: "none",
               set: (r#""/b""#, "/b", "/b"), bad: ("1", "path of a file") },
        Case { key: "token.cache_file", read: |c| c.token.cache_file.display().to_string(),
               default: "/var/lib/staticstored/token.json",
               set: (r#""/t""#, "/t", "/t"), bad: ("1", "path of a file") },
        Case { key: "token.renew_before", read: |c| duration_text(c.token.renew_before), default: "10m",
               set: (r#""110m""#, "110m", "110m"), bad: (r#""111m""#, "from 1ms to 110m") },
        Case { key: "callback.listen", read: |c| callback(c, |c| c.listen.to_string()), default: "off",
               set: (r#""[::1]:1""#, "[::1]:1", "[::1]:1"), bad: (r#""8080""#, "an IP address and a port") },
        Case { key: "callback.path", read: |c| callback(c, |c| c.path.clone()), default: "off",
               set: (r#""/w""#, "/w", "/w"), bad: (r#""/{w}""#, "a path such as /weixin/callback") },
        Case { key: "callback.token_file", read: |c| callback(c, |c| format!("{:?}", c.token_file)), default: "off",
               set: (r#""/t""#, "/t", "Some(\"/t\")"), bad: ("1", "path of a file") },
        Case { key: "callback.aes_key_file", read: |c| callback(c, |c| format!("{:?}", c.aes_key_file)), default: "off",
               set: (r#""/k""#, "/k", "Some(\"/k\")"), bad: ("1", "path of a file") },
        Case { key: "callback.previous_aes_key_file",
               read: |c| callback(c, |c| format!("{:?}", c.previous_aes_key_file)), default: "off",
               set: (r#""/k""#, "/k", "Some(\"/k\")"), bad: ("1", "path of a file") },
        Case { key: "share.socket", read: |c| shared(c).0, default: "off",
               set: (r#""/s""#, "/s", "/s"), bad: (r#""""#, "path of a socket, of at most 96 bytes") },
        Case { key: "share.mode", read: |c| shared(c).1, default: "off",
               set: (r#""0600""#, "0600", "600"), bad: (r#""0666""#, "without any for others") },
        Case { key: "api.base_url", read: |c| c.api.base_url.to_string(), default: "https://api.weixin.qq.com/",
               set: (r#""http://127.0.0.1:1/""#, "http://127.0.0.1:1", "http://127.0.0.1:1/"),
               bad: (r#""http://api.weixin.qq.com""#, "only to a loopback address") },
        Case { key: "api.proxy", read: |c| c.api.proxy.as_ref().map_or("none", |p| p.expose().as_str()).to_owned(),
               default: "none", set: (r#""socks5://p:1080""#, "socks5://p:1080", "socks5://p:1080"),
               bad: (r#""ftp://p:1080""#, "http, https or socks5") },
        Case { key: "api.connect_timeout", read: |c| duration_text(c.api.connect_timeout), default: "5s",
               set: (r#""500ms""#, "500ms", "500ms"), bad: ("5", "a duration such as") },
        Case { key: "api.request_timeout", read: |c| duration_text(c.api.request_timeout), default: "15s",
               set: (r#""1m""#, "1m", "1m"), bad: (r#""0""#, "from 1ms to 1h") },
        Case { key: "api.max_in_flight", read: |c| c.api.max_in_flight.to_string(), default: "16",
               set: ("1024", "1024", "1024"), bad: ("0", "a whole number from 1 to 1024") },
        Case { key: "api.creates_per_second", read: |c| c.api.creates_per_second.to_string(), default: "50",
               set: ("0", "0", "0"), bad: ("-1", "a whole number from 0 to 10000") },
        Case { key: "api.describes_per_second", read: |c| c.api.describes_per_second.to_string(), default: "15",
               set: ("20", "20", "20"), bad: ("1.5", "a whole number from 0 to 10000") },
        Case { key: "retry.initial_backoff", read: |c| duration_text(c.retry.initial_backoff), default: "1s",
               set: (r#""2s""#, "2s", "2s"), bad: (r#""25h""#, "from 1ms to 1d") },
        Case { key: "retry.max_backoff", read: |c| duration_text(c.retry.max_backoff), default: "5m",
               set: (r#""1h""#, "1h", "1h"), bad: (r#""5 m""#, "a duration such as") },
        Case { key: "retry.give_up_after", read: |c| duration_text(c.retry.give_up_after), default: "1d",
               set: (r#""2d""#, "2d", "2d"), bad: ("true", "a duration such as") },
        Case { key: "confirm.enabled", read: |c| c.confirm.enabled.to_string(), default: "true",
               set: ("false", "false", "false"), bad: (r#""true""#, "true or false") },
        Case { key: "confirm.initial_interval", read: |c| duration_text(c.confirm.initial_interval), default: "5s",
               set: (r#""1s""#, "1s", "1s"), bad: (r#""25h""#, "from 1ms to 1d") },
        Case { key: "confirm.max_interval", read: |c| duration_text(c.confirm.max_interval), default: "1m",
               set: (r#""90s""#, "90s", "90s"), bad: (r#""""#, "a duration such as") },
        Case { key: "confirm.give_up_after", read: |c| duration_text(c.confirm.give_up_after), default: "30m",
               set: (r#""1h""#, "1h", "1h"), bad: (r#""99999999999999999999d""#, "a duration such as") },
        Case { key: "retention.attempts", read: |c| kept(c.retention.attempts), default: "30d",
               set: ("0", "0", "for ever"), bad: ("30", "a duration such as") },
        Case { key: "retention.status", read: |c| kept(c.retention.status), default: "for ever",
               set: (r#""90d""#, "90d", "90d"), bad: (r#""-1d""#, "a duration such as") },
        Case { key: "retention.schedule", read: |c| c.retention.schedule.clone(), default: "0 30 3 * * *",
               set: (r#""0 0 4 * * SUN""#, "0 0 4 * * SUN", "0 0 4 * * SUN"), bad: (r#""30 3 * * *""#, "six fields") },
        Case { key: "log.level", read: |c| c.log.level.clone(), default: "info",
               set: (r#""staticstored=debug,warn""#, "staticstored=debug,warn", "staticstored=debug,warn"),
               bad: (r#""loud""#, "a level (error, warn, info, debug, trace, off)") },
    ]
}

fn file(key: &str, value: &str) -> String {
    let (section, name) = key.split_once('.').unwrap();
    match section {
        "component" if name == "appid" => format!("[component]\nappid = {value}"),
        // These make sense only beside others.
        "token" if name == "source" => {
            format!("[component]\nappid = \"wx1\"\n[token]\nurl = \"unix:/o\"\nsource = {value}")
        }
        "token" if name == "url" => {
            format!("[component]\nappid = \"wx1\"\n[token]\nsource = \"url\"\nurl = {value}")
        }
        "token" if name == "bearer_file" => {
            format!(
                "[component]\nappid = \"wx1\"\n[token]\nsource = \"url\"\nurl = \"unix:/o\"\nbearer_file = {value}"
            )
        }
        "share" if name == "mode" => {
            format!("[component]\nappid = \"wx1\"\n[share]\nsocket = \"/s\"\nmode = {value}")
        }
        "component" => format!("[component]\nappid = \"wx1\"\n{name} = {value}"),
        // The other keys of the section mean something only then.
        "callback" if name != "listen" => {
            format!("[component]\nappid = \"wx1\"\n[callback]\nlisten = \"127.0.0.1:1\"\n{name} = {value}")
        }
        _ => format!("[component]\nappid = \"wx1\"\n[{section}]\n{name} = {value}"),
    }
}

fn variables(given: &[(&str, &str)]) -> Environment {
    given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn complaint(text: &str, env: &Environment) -> String {
    Config::parse(text, env).unwrap_err().to_string()
}

const LEAST: &str = "[component]\nappid = \"wx1\"";

#[test]
fn every_key_has_a_case() {
    let tested: Vec<_> = cases().iter().map(|case| case.key).collect();
    assert_eq!(tested.len(), KEYS.len());
    assert!(KEYS.iter().all(|key| tested.contains(key)), "{tested:?}");
}

#[test]
fn every_key_has_its_default() {
    let config = Config::parse(LEAST, &Environment::new()).unwrap();
    for case in cases() {
        assert_eq!((case.read)(&config), case.default, "{}", case.key);
    }
}

#[test]
fn every_key_is_set_by_the_file_and_by_a_variable_which_wins() {
    for case in cases() {
        let (toml, text, expected) = case.set;
        let config = Config::parse(&file(case.key, toml), &Environment::new()).unwrap();
        assert_eq!((case.read)(&config), expected, "{}", case.key);
        let name = variable(case.key);
        let env = variables(&[(name.as_str(), text)]);
        let config = Config::parse(&file(case.key, "\"overridden\""), &env).unwrap();
        assert_eq!((case.read)(&config), expected, "{}", case.key);
    }
}

#[test]
fn every_key_refuses_what_it_cannot_be_and_says_what_it_can() {
    for case in cases() {
        let (toml, allowed) = case.bad;
        let told = complaint(&file(case.key, toml), &Environment::new());
        assert!(told.starts_with(&format!("{} = ", case.key)), "{told}");
        assert!(
            told.contains("(configuration file): must be ") && told.contains(allowed),
            "{told}"
        );
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn a_bad_variable_is_named() {
    let env = variables(&[("STATICSTORED_API__MAX_IN_FLIGHT", "many")]);
    assert_eq!(
        complaint(LEAST, &env),
        "api.max_in_flight = \"many\" (environment variable STATICSTORED_API__MAX_IN_FLIGHT): \
         must be a whole number from 1 to 1024"
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let text = "[api]\nmax_in_flight = 0\nbase_ur = 1\n[retri]\nx = 1\n[confirm]\nenabled = 3";
    let env = variables(&[("STATICSTORED_LOG", "debug")]);
    let ConfigError::Problems(problems) = Config::parse(text, &env).unwrap_err() else {
        panic!("no TOML")
    };
    let keys: Vec<_> = problems.iter().map(Problem::key).collect();
    let expected = [
        "STATICSTORED_LOG",
        "api.base_ur",
        "retri",
        "component.appid",
        "api.max_in_flight",
        "confirm.enabled",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn an_unknown_key_or_section_is_refused_with_those_there_are() {
    let told = complaint(&file("api.base_ur", "1"), &Environment::new());
    assert!(
        told.contains("api.base_ur") && told.contains("[api] has base_url, proxy"),
        "{told}"
    );
    let told = complaint(&file("apis.base_url", "1"), &Environment::new());
    assert!(
        told.contains("apis") && told.contains("component, database, token"),
        "{told}"
    );
    let told = complaint(&format!("api = 1\n{LEAST}"), &Environment::new());
    assert!(told.contains("must be a section: [api]"), "{told}");
    let env = variables(&[("STATICSTORED_API__BASE_UR", "1")]);
    assert!(complaint(LEAST, &env).starts_with("STATICSTORED_API__BASE_UR "));
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    for text in [
        file("component.appsecret", "\"canary\""),
        file("component.appsecret", "\"canary"),
        file("api.proxy", "\"ftp://user:canary@proxy\""),
        file("api.base_url", "\"https://user:canary@weixin\""),
    ] {
        let told = complaint(&text, &Environment::new());
        assert!(!told.contains("canary"), "{told}");
    }
    let config = Config::parse(
        &file("api.proxy", "\"http://user:canary@proxy\""),
        &Environment::new(),
    )
    .unwrap();
    assert!(!format!("{config:?}").contains("canary"));
}

#[test]
fn a_text_that_is_no_toml_is_refused_with_the_place() {
    let told = complaint("[component]\nappid = ", &Environment::new());
    assert!(
        told.contains("not valid TOML") && told.contains("line 2"),
        "{told}"
    );
}

#[test]
fn the_secret_is_found_by_its_key_or_through_systemd_and_the_error_says_both() {
    let neither = Config::parse(LEAST, &Environment::new()).unwrap();
    let told = neither.component.secret_file().unwrap_err().to_string();
    assert!(
        told.contains("component.appsecret_file") && told.contains("LoadCredential"),
        "{told}"
    );
    let env = variables(&[("CREDENTIALS_DIRECTORY", "/run/c")]);
    let passed = Config::parse(LEAST, &env).unwrap();
    assert_eq!(
        passed.component.secret_file().unwrap(),
        Path::new("/run/c/appsecret")
    );
    let named = Config::parse(&file("component.appsecret_file", "\"/s\""), &env).unwrap();
    assert_eq!(named.component.secret_file().unwrap(), Path::new("/s"));
}

#[test]
fn the_push_receiver_finds_its_secrets_by_their_keys_or_through_systemd_and_is_off_without_an_address() {
    let on = file("callback.listen", "\"127.0.0.1:8019\"");
    let neither = Config::parse(&on, &Environment::new()).unwrap().callback.unwrap();
    assert_eq!(neither.path, "/weixin/callback");
    assert_eq!(neither.previous_aes_key_file, None);
    for (told, key, name) in [
        (
            neither.token_file().unwrap_err(),
            "callback.token_file",
            "callback_token",
        ),
        (
            neither.aes_key_file().unwrap_err(),
            "callback.aes_key_file",
            "encoding_aes_key",
        ),
    ] {
        let told = told.to_string();
        assert!(
            told.starts_with(key) && told.contains(&format!("LoadCredential={name}:FILE")),
            "{told}"
        );
    }
    let env = variables(&[("CREDENTIALS_DIRECTORY", "/run/c")]);
    let passed = Config::parse(&on, &env).unwrap().callback.unwrap();
    assert_eq!(passed.token_file().unwrap(), Path::new("/run/c/callback_token"));
    assert_eq!(
        passed.aes_key_file().unwrap(),
        Path::new("/run/c/encoding_aes_key")
    );
    assert_eq!(passed.previous_aes_key_file, None);
    assert_eq!(Config::parse(LEAST, &env).unwrap().callback, None);
    // What stands there is checked all the same.
    let off = format!("{LEAST}\n[callback]\npath = \"w\"");
    assert!(complaint(&off, &env).starts_with("callback.path = "));
}

#[test]
fn the_token_is_kept_beside_the_database() {
    for (url, expected) in [
        ("sqlite:q.db", "./token.json"),
        ("sqlite:/a/q.db", "/a/token.json"),
    ] {
        let config =
            Config::parse(&file("database.url", &format!("\"{url}\"")), &Environment::new()).unwrap();
        assert_eq!(config.token.cache_file, Path::new(expected));
    }
}

#[test]
fn a_database_url_is_a_file_without_options() {
    for url in [
        "queue.db",
        "postgres:/q",
        "sqlite:",
        "sqlite://host/q",
        "sqlite:q?mode=ro",
        "sqlite:/directory/",
        "sqlite:file:q",
        "sqlite:q%20",
    ] {
        let told = complaint(&file("database.url", &format!("\"{url}\"")), &Environment::new());
        assert!(told.starts_with("database.url = "), "{told}");
    }
}

#[test]
fn http_goes_to_loopback_only() {
    let loopback = [
        "http://localhost",
        "http://127.9.9.9",
        "http://[::1]:1",
        "https://10.0.0.1/weixin/",
    ];
    for url in loopback {
        let config =
            Config::parse(&file("api.base_url", &format!("\"{url}\"")), &Environment::new()).unwrap();
        assert_eq!(
            config.api.base_url.as_str().trim_end_matches('/'),
            url.trim_end_matches('/')
        );
    }
    for url in [
        "http://10.0.0.1",
        "http://localhost.evil",
        "http://[::2]",
        "ftp://127.0.0.1",
        "weixin",
        "https://w?a=b",
    ] {
        let told = complaint(&file("api.base_url", &format!("\"{url}\"")), &Environment::new());
        assert!(told.starts_with("api.base_url = "), "{told}");
    }
}

#[test]
fn a_schedule_that_never_comes_round_is_refused() {
    let told = complaint(
        &file("retention.schedule", "\"0 0 0 30 2 *\""),
        &Environment::new(),
    );
    assert!(told.contains("that comes round"), "{told}");
}

#[test]
fn a_duration_is_written_as_it_is_read() {
    for text in ["0", "500ms", "1500ms", "10s", "5m", "12h", "30d"] {
        let setting = value::Setting::default_of(text);
        let read = duration(Duration::ZERO..=YEAR)(&setting).unwrap();
        assert_eq!(duration_text(read), text);
    }
    for text in [
        "", "5", "s", "+5s", "-5s", "5 s", " 5s", "5S", "1.5s", "5s5", "1h30m", "５s", "00",
    ] {
        let setting = value::Setting::default_of(text);
        assert!(duration(Duration::ZERO..=YEAR)(&setting).is_err(), "{text}");
    }
}

#[test]
fn another_owner_needs_a_url_and_nothing_of_it_is_taken_without_one() {
    let token = |lines: &str| format!("{LEAST}\n[token]\n{lines}");
    let told = complaint(&token("source = \"url\""), &Environment::new());
    assert_eq!(told, "token.url is required with token.source = \"url\"");
    for line in ["url = \"unix:/s\"", "bearer_file = \"/s\""] {
        let told = complaint(&token(line), &Environment::new());
        assert!(
            told.starts_with("token.") && told.contains("unless token.source"),
            "{told}"
        );
    }
    let told = complaint(
        &token("source = \"url\"\nurl = \"https://u:canary@h/\""),
        &Environment::new(),
    );
    assert!(
        told.starts_with("token.url = ") && !told.contains("canary"),
        "{told}"
    );
    for url in ["unix:relative", "https://h/?a=b", "ftp://h", "/path", ""] {
        let told = complaint(
            &token(&format!("source = \"url\"\nurl = {url:?}")),
            &Environment::new(),
        );
        assert!(
            told.starts_with("token.url = ") && told.contains("unix:/path/to.sock"),
            "{told}"
        );
    }
}

#[test]
fn the_socket_is_for_the_group_by_default_and_never_the_owners_own() {
    let config = Config::parse(&file("share.socket", "\"/s\""), &Environment::new()).unwrap();
    assert_eq!(config.share.unwrap().mode, 0o660);
    let own = format!("{LEAST}\n[token]\nsource = \"url\"\nurl = \"unix:/s\"\n[share]\nsocket = \"/s\"");
    let told = complaint(&own, &Environment::new());
    assert!(
        told.starts_with("share.socket = ") && told.contains("token.url"),
        "{told}"
    );
    for bad in [format!("/{}", "x".repeat(96)), "/".to_owned(), "/a/..".to_owned()] {
        let told = complaint(&file("share.socket", &format!("{bad:?}")), &Environment::new());
        assert!(told.starts_with("share.socket = "), "{told}");
    }
    // Checked also while nothing is shared.
    let told = complaint(&format!("{LEAST}\n[share]\nmode = \"0777\""), &Environment::new());
    assert!(told.starts_with("share.mode = "), "{told}");
}

/// Of two keys that must be in order, a default gives way to a value that was set; two values that were set and conflict are
/// an error that names both.
#[test]
fn a_default_gives_way_to_a_value_that_was_set_and_two_values_that_conflict_are_refused() {
    type Read = fn(&Config) -> (Duration, Duration);
    let pairs: [(&str, &str, &str, Read); 3] = [
        ("api", "connect_timeout", "request_timeout", |c| {
            (c.api.connect_timeout, c.api.request_timeout)
        }),
        ("retry", "initial_backoff", "max_backoff", |c| {
            (c.retry.initial_backoff, c.retry.max_backoff)
        }),
        ("confirm", "initial_interval", "max_interval", |c| {
            (c.confirm.initial_interval, c.confirm.max_interval)
        }),
    ];
    let values = [1, 20, 45, 400, 3600].map(Duration::from_secs).map(Some);
    let values = || std::iter::once(None).chain(values);
    let defaults = Config::parse("[component]\nappid = \"wx1\"", &Environment::new()).unwrap();
    for (section, small_key, large_key, read) in pairs {
        for (small, large) in values().flat_map(|small| values().map(move |large| (small, large))) {
            let line = |key: &str, value: Option<Duration>| {
                value.map_or(String::new(), |value| {
                    format!("{key} = \"{}\"\n", duration_text(value))
                })
            };
            let text = format!(
                "[component]\nappid = \"wx1\"\n[{section}]\n{}{}",
                line(small_key, small),
                line(large_key, large)
            );
            let (default_small, default_large) = read(&defaults);
            match (Config::parse(&text, &Environment::new()), small, large) {
                (Err(error), Some(small), Some(large)) => {
                    assert!(small > large, "{text}: {error}");
                    let error = error.to_string();
                    for named in [small_key, large_key, &duration_text(small), &duration_text(large)] {
                        assert!(error.contains(named), "{named}: {error}");
                    }
                }
                (Err(error), ..) => panic!("{text}: {error}"),
                (Ok(config), ..) => {
                    let expected = match (small, large) {
                        (Some(small), Some(large)) => (small, large),
                        (Some(small), None) => (small, default_large.max(small)),
                        (None, Some(large)) => (default_small.min(large), large),
                        (None, None) => (default_small, default_large),
                    };
                    assert_eq!(read(&config), expected, "{text}");
                }
            }
        }
    }
}
