//! What `{:?}` prints, and with it a panic that carries it: every type that holds a secret, and not a piece of one.

use std::fmt::Debug;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use reqwest::Url;
use staticstored::callback::{Callback, Genuine, Notice};
use staticstored::clock::{Clock, Timestamp, text};
use staticstored::config::Config;
use staticstored::credential::{AesKey, AppSecret, Bearer, CallbackToken, Ticket, Token};
use staticstored::daemon::{CallbackSecrets, Secrets};
use staticstored::owner::{self, Owner};
use staticstored::reception;
use staticstored::store::{NewestTicket, PushedTicket};
use staticstored::token::{self, Component, Source, Tokens};
use staticstored::weixin::{self, Weixin};

/// In every secret here.
const CANARY: &str = "canary";
/// An EncodingAESKey that has it, and what it stands for, as bytes are printed.
const KEY: &str = "canaryABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789a";
const KEY_PRINTED: &str = "113, 169, 218";
/// `user:canary`, as a proxy is told it.
const PROXY: &str = "http://user:canary@127.0.0.1:3128";
const PROXY_TOLD: &str = "dXNlcjpjYW5hcnk=";

/// What is printed of a value, in a panic as well.
fn check(value: &dyn Debug) {
    let panicked = catch_unwind(AssertUnwindSafe(|| panic!("{value:?}"))).unwrap_err();
    let payload = panicked.downcast_ref::<String>().unwrap();
    for text in [&format!("{value:?}"), &format!("{value:#?}"), payload] {
        for leak in [CANARY, KEY_PRINTED, PROXY_TOLD] {
            assert!(!text.contains(leak), "{leak}: {text}");
        }
    }
}

fn token() -> Token {
    let now = Clock::system().now();
    Token::new("canary-token", now, now + Duration::from_secs(7200)).unwrap()
}

fn ticket() -> Ticket {
    Ticket::parse("ticket@@@canary").unwrap()
}

fn callback_secrets() -> CallbackSecrets {
    CallbackSecrets {
        token: CallbackToken::parse("canary-callback").unwrap(),
        aes_key: AesKey::parse(KEY).unwrap(),
        previous_aes_key: Some(AesKey::parse(KEY).unwrap()),
    }
}

fn weixin_settings() -> weixin::Settings {
    weixin::Settings {
        base_url: Url::parse("https://api.weixin.qq.com").unwrap(),
        proxy: Some(Url::parse(PROXY).unwrap()),
        connect_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_secs(1),
        connections: 1,
    }
}

fn owner_settings() -> owner::Settings {
    owner::Settings {
        address: owner::Address::Socket("/run/token.sock".into()),
        bearer: Some(Bearer::parse("canary-bearer").unwrap()),
        connect_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_secs(1),
    }
}

#[test]
fn credentials_are_not_printed() {
    let secrets = callback_secrets();
    let bytes = format!("{:?}", secrets.aes_key.expose());
    assert!(bytes.contains(KEY_PRINTED), "{bytes}");
    check(&AppSecret::parse("canary-secret").unwrap());
    check(&ticket());
    check(&Bearer::parse("canary-bearer").unwrap());
    check(&token());
    check(&secrets.token);
    check(&secrets.aes_key);
    check(&Secrets {
        appsecret: Some(AppSecret::parse("canary-secret").unwrap()),
        bearer: Some(Bearer::parse("canary-bearer").unwrap()),
        callback: Some(secrets),
    });
}

#[test]
fn what_is_no_credential_is_not_printed_either() {
    let no_credential = format!("{CANARY} with spaces");
    check(&AppSecret::parse(&no_credential).unwrap_err());
    check(&CallbackToken::parse(&no_credential).unwrap_err());
    check(&AesKey::parse(&no_credential).unwrap_err());
}

#[test]
fn nothing_of_the_configuration_prints_the_password_of_a_proxy() {
    let text = format!(
        "component.appid = \"wx0000000000000001\"\napi.proxy = \"{PROXY}\"\ncomponent.appsecret_file = \"x\""
    );
    let config = Config::parse(&text, &Default::default()).unwrap();
    check(&config);
    let other = Config::parse(&text.replace("3128", "3129"), &Default::default()).unwrap();
    check(&config.take_on(&other));
    let wrong = text.replace("http:", "ftp:");
    check(&Config::parse(&wrong, &Default::default()).unwrap_err());
}

#[test]
fn the_clients_print_neither_bearer_nor_password() {
    check(&weixin_settings());
    check(&Weixin::new(&weixin_settings()).unwrap());
    check(&owner_settings());
    check(&Owner::new(&owner_settings()).unwrap());
}

#[test]
fn what_keeps_the_token_prints_neither_it_nor_what_it_is_fetched_with() {
    let directory = tempfile::tempdir().unwrap();
    let cache = token::Cache {
        file: directory.path().join("token.json"),
        appid: "wx0000000000000001".to_owned(),
        api: "https://api.weixin.qq.com".to_owned(),
    };
    let token = token();
    let kept = serde_json::json!({
        "component_appid": cache.appid, "api": cache.api, "component_access_token": token.expose(),
        "obtained_at": text(token.obtained_at), "expires_at": text(token.expires_at),
    });
    std::fs::write(&cache.file, kept.to_string()).unwrap();
    std::fs::set_permissions(&cache.file, Permissions::from_mode(0o600)).unwrap();
    let settings = token::Settings {
        source: Source::Component(Box::new(Component {
            weixin: Weixin::new(&weixin_settings()).unwrap(),
            appid: cache.appid.clone(),
            secret: AppSecret::parse("canary-secret").unwrap(),
            cache,
        })),
        home: "here".to_owned(),
        renew_before: Duration::from_secs(600),
    };
    check(&settings);
    let tokens = Tokens::new(settings, Clock::system());
    assert!(tokens.current().is_some());
    check(&tokens);
    check(&*tokens.state().borrow());
}

#[test]
fn what_receives_a_push_prints_neither_keys_nor_ticket() {
    let secrets = callback_secrets();
    let appid = "wx0000000000000001".to_owned();
    let callback = Callback::new(appid, secrets.token, secrets.aes_key, secrets.previous_aes_key);
    check(&callback);
    check(&reception::Settings::new("/weixin/callback".to_owned(), callback));
    let (ticket, created_at, received_at) = (ticket(), Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    check(&Genuine {
        notice: Notice::Ticket {
            ticket: ticket.clone(),
            created_at,
        },
        by_previous_key: false,
    });
    check(&NewestTicket {
        id: 1,
        ticket: ticket.clone(),
        received_at: None,
    });
    check(&PushedTicket {
        ticket,
        created_at,
        received_at,
    });
}
