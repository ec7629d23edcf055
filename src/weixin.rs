//! The HTTP client of the Weixin API: exchange, create, describe; the only module that knows a path or an errcode.
//!
//! The token travels in the query string and a [`reqwest::Error`] prints its URL, so each error loses its URL at the one
//! place where it becomes ours (`Weixin::send`).

pub mod answer;
pub mod errcode;
pub mod exchange;
mod json;

use std::fmt;
use std::time::Duration;

use reqwest::{Client, Proxy, Response, Url, redirect};
use serde::Serialize;

pub use answer::{Answer, CallError, Found, LONGEST_ERRMSG, LONGEST_RID, Reply};
pub use exchange::{ExchangeError, Grant};

use crate::clock::Stopwatch;
use crate::credential::Token;
use crate::request::Env;
use crate::transport::{self, Broken, Unread};

/// The largest body that is read, in bytes. The largest documented answer has some hundred.
pub const LARGEST_BODY: usize = 64 * 1024;

/// Where Weixin is and how long we wait for it.
#[derive(Clone)]
pub struct Settings {
    /// `https://api.weixin.qq.com`, or a simulator's address.
    pub base_url: Url,
    /// `http`, `https` or `socks5`; `None`: no proxy, whatever the environment says.
    pub proxy: Option<Url>,
    /// For the connection, TLS included.
    pub connect_timeout: Duration,
    /// For a call as a whole.
    pub request_timeout: Duration,
    /// Connections that are kept open for the next call.
    pub connections: usize,
}

impl fmt::Debug for Settings {
    /// Without the proxy, whose URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("base_url", &self.base_url.as_str())
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client could not be built")]
pub struct BuildError(#[source] reqwest::Error);

/// The client.
#[derive(Clone, Debug)]
pub struct Weixin {
    http: Client,
    create: Url,
    describe: Url,
    exchange: Url,
    start_push: Url,
}

#[derive(Serialize)]
struct AboutEnv<'a> {
    env: &'a str,
}

/// What came over the wire, before anybody believes it.
struct Raw {
    body: Result<Vec<u8>, CallError>,
    http_status: Option<u16>,
    latency: Duration,
}

impl Weixin {
    /// Builds the client; nothing is sent.
    ///
    /// # Errors
    /// When TLS or the proxy can't be set up.
    pub fn new(settings: &Settings) -> Result<Self, BuildError> {
        let at = |path: &str| {
            let mut url = settings.base_url.clone();
            let base = url.path().trim_end_matches('/').to_owned();
            url.set_path(&format!("{base}{path}"));
            url
        };
        Ok(Self {
            http: client(settings).map_err(|error| BuildError(error.without_url()))?,
            create: at("/componenttcb/createstaticstore"),
            describe: at("/componenttcb/describestaticstore"),
            exchange: at("/cgi-bin/component/api_component_token"),
            start_push: at("/cgi-bin/component/api_start_push_ticket"),
        })
    }

    /// Asks for the environment's static website to be opened (weixin-api.md 1.2).
    pub async fn create(&self, env: &Env, token: &Token) -> Reply {
        let raw = self
            .send(with(&self.create, token), &AboutEnv { env: env.as_str() })
            .await;
        raw.read(token, answer::create)
    }

    /// Asks how the environment's static store is (weixin-api.md 1.3).
    pub async fn describe(&self, env: &Env, token: &Token) -> Reply {
        let raw = self
            .send(with(&self.describe, token), &AboutEnv { env: env.as_str() })
            .await;
        raw.read(token, |body| answer::describe(body, env))
    }

    async fn send<B: Serialize>(&self, url: Url, body: &B) -> Raw {
        let watch = Stopwatch::start();
        let mut http_status = None;
        // A struct of strings always serializes.
        let body = serde_json::to_vec(body).unwrap_or_default();
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("accept-encoding", "identity")
            .body(body);
        let body = match request.send().await {
            Ok(response) => {
                http_status = Some(response.status().as_u16());
                read(response).await
            }
            Err(error) => Err(unanswered(error.into())),
        };
        Raw {
            body,
            http_status,
            latency: watch.elapsed(),
        }
    }
}

impl Raw {
    fn read(self, token: &Token, read: impl FnOnce(&[u8]) -> Result<Answer, CallError>) -> Reply {
        Reply {
            // An answer that quotes the token would carry it into the database and the log. It is hidden before anything
            // is cut: a piece of it would not be found any more.
            result: self.body.and_then(|body| read(&without(token, body))),
            http_status: self.http_status,
            latency: self.latency,
        }
    }
}

fn without(token: &Token, body: Vec<u8>) -> Vec<u8> {
    // Lossy, as the reader of it is: a byte that is not UTF-8 must not keep the token in.
    let text = String::from_utf8_lossy(&body);
    if text.contains(token.expose()) {
        text.replace(token.expose(), "[token]").into_bytes()
    } else {
        body
    }
}

fn client(settings: &Settings) -> reqwest::Result<Client> {
    // For the whole process; that it is there already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("staticstored/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.request_timeout)
        .pool_max_idle_per_host(settings.connections)
        .pool_idle_timeout(Duration::from_secs(50))
        .tcp_keepalive(Duration::from_secs(30))
        .tcp_user_timeout(patience_of_the_kernel(settings))
        .no_proxy();
    if let Some(proxy) = &settings.proxy {
        builder = builder.proxy(Proxy::all(proxy.clone())?);
    }
    builder.build()
}

/// How long the kernel goes on sending what nobody acknowledges, also when we have long given up the call and closed its
/// connection. It has to be over before the look that follows: a create that came through after that look would be the
/// second one. A call's bytes are sent `connect_timeout` after its begin at the latest. Half of what is left, since the
/// kernel counts from the first time that it sent them again.
fn patience_of_the_kernel(settings: &Settings) -> Duration {
    let left = settings.request_timeout.saturating_sub(settings.connect_timeout);
    // Where the configuration leaves nothing: a connection hardly ever takes all the time that it may.
    (left.max(settings.request_timeout / 2) / 2).max(Duration::from_millis(1))
}

fn with(url: &Url, token: &Token) -> Url {
    let mut url = url.clone();
    url.query_pairs_mut().append_pair("access_token", token.expose());
    url
}

/// Reads a body up to [`LARGEST_BODY`], where the status is one that carries an answer.
async fn read(response: Response) -> Result<Vec<u8>, CallError> {
    let status = response.status();
    if status.is_redirection() {
        return Err(CallError::Redirect(status.as_u16()));
    }
    if status.is_server_error() || status.as_u16() == 429 {
        return Err(CallError::Status(status.as_u16()));
    }
    let body = transport::body(response, LARGEST_BODY)
        .await
        .map_err(|unread| match unread {
            Unread::TooLarge => CallError::Garbled(format!("a body of over {LARGEST_BODY} bytes")),
            Unread::Broken(broken) => unanswered(broken),
        });
    match body {
        Ok(body) if !status.is_client_error() || answer::has_errcode(&body) => Ok(body),
        _ if status.is_client_error() => Err(CallError::Status(status.as_u16())),
        other => other,
    }
}

/// Makes a transport error ours.
fn unanswered(
    Broken {
        text,
        unsent,
        timed_out,
    }: Broken,
) -> CallError {
    if unsent {
        CallError::Unsent(text)
    } else if timed_out {
        CallError::Lost(format!("timed out ({text})"))
    } else {
        CallError::Lost(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_gives_up_before_we_do() {
        let kernel = |connect_timeout, request_timeout| {
            patience_of_the_kernel(&Settings {
                base_url: Url::parse("https://api.weixin.qq.com").unwrap(),
                proxy: None,
                connect_timeout: Duration::from_millis(connect_timeout),
                request_timeout: Duration::from_millis(request_timeout),
                connections: 1,
            })
            .as_millis()
        };
        assert_eq!(kernel(5_000, 15_000), 5_000);
        assert_eq!(kernel(1_000, 15_000), 7_000);
        assert_eq!(kernel(15_000, 15_000), 3_750);
        // 0 would leave it to the kernel.
        assert_eq!(kernel(100, 100), 25);
    }
}
