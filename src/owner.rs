//! The program that owns the token, where it is not us: the two calls that another staticstored, or anything that speaks
//! like one, answers (CONTRACT, section 6).
//!
//! The GET reads the token, the POST to `reject` says that Weixin refuses it. An owner without a `reject` (404, 405) is
//! a plain one: it is asked again. The answer holds the token, so nothing of an answer is shown but what the owner
//! says in `reason` and `remedy`, and that without any secret of ours that it may quote.

pub mod answer;

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, redirect};
use serde::Serialize;

use crate::clock::Timestamp;
use crate::credential::{Bearer, Token};
use crate::transport::{self, Broken, Unread};

/// The largest body that is read, in bytes.
pub const LARGEST_BODY: usize = 64 * 1024;
/// Where the token is on the socket of a staticstored.
pub const PATH: &str = "/component_access_token";
/// What comes behind the token's own path for the call that rejects one.
pub const REJECT: &str = "/reject";

/// Where the owner is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// The resource that a GET reads the token from.
    Http(Url),
    /// The Unix socket of a staticstored, or of what speaks like one.
    Socket(PathBuf),
}

/// Where the owner is, and how it is asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `token.url`.
    pub address: Address,
    /// What it wants to see, if anything.
    pub bearer: Option<Bearer>,
    /// For the connection, TLS included.
    pub connect_timeout: Duration,
    /// For a call as a whole.
    pub request_timeout: Duration,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for the owner of the token could not be built")]
pub struct OwnerBuildError(#[source] reqwest::Error);

/// Why the owner gave no token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct OwnerError {
    /// What happened, in words, without any secret.
    pub reason: String,
    /// What to do about it; `None` where it passes by itself.
    pub remedy: Option<String>,
    /// Whether the owner itself says that it has none, as a staticstored does.
    pub lacks: bool,
}

/// The client.
#[derive(Clone, Debug)]
pub struct Owner {
    http: Client,
    current: Url,
    reject: Url,
    bearer: Option<Bearer>,
}

#[derive(Serialize)]
struct Rejected<'a> {
    component_access_token: &'a str,
}

impl Owner {
    /// Builds the client; nothing is sent. `api.proxy` and the environment's proxies are never used.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn new(settings: &Settings) -> Result<Self, OwnerBuildError> {
        let current = match &settings.address {
            Address::Http(url) => url.clone(),
            Address::Socket(_) => on_socket(),
        };
        let mut reject = current.clone();
        reject.set_path(&format!("{}{REJECT}", current.path().trim_end_matches('/')));
        Ok(Self {
            http: client(settings).map_err(|error| OwnerBuildError(error.without_url()))?,
            current,
            reject,
            bearer: settings.bearer.clone(),
        })
    }

    /// Reads the owner's token; `asked_at` is now, from which an `expires_in` counts.
    ///
    /// # Errors
    /// When no token came back.
    pub async fn current(&self, asked_at: Timestamp) -> Result<Token, OwnerError> {
        let response = self.send(self.http.get(self.current.clone())).await?;
        self.read(response, asked_at, None).await
    }

    /// Says that Weixin refuses `stale`, and takes what the owner has instead. That may be the same one, from an owner
    /// that can't be told.
    ///
    /// # Errors
    /// When no token came back.
    pub async fn reject(&self, stale: &Token, asked_at: Timestamp) -> Result<Token, OwnerError> {
        let rejected = Rejected {
            component_access_token: stale.expose(),
        };
        // A struct of strings always serializes.
        let body = serde_json::to_vec(&rejected).unwrap_or_default();
        let request = self.http.post(self.reject.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let response = self.send(request).await?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => self.current(asked_at).await,
            _ => self.read(response, asked_at, Some(stale)).await,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, OwnerError> {
        request.send().await.map_err(|error| unanswered(error.into()))
    }

    async fn read(
        &self,
        response: Response,
        asked_at: Timestamp,
        stale: Option<&Token>,
    ) -> Result<Token, OwnerError> {
        let status = response.status();
        // The body of a redirect or of a refusal is the page of something on the way.
        let body = match status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE {
            true => whole(response).await?,
            false => Vec::new(),
        };
        if status.is_success() {
            return answer::token(&body, asked_at);
        }
        let secrets: Vec<&str> = [self.bearer.as_ref().map(Bearer::expose), stale.map(Token::expose)]
            .into_iter()
            .flatten()
            .collect();
        Err(answer::refusal(status.as_u16(), &body, &secrets))
    }
}

/// What a request to a socket is sent to; the host is in its `Host` only.
fn on_socket() -> Url {
    let mut url = Url::parse("http://localhost").expect("a constant is a URL");
    url.set_path(PATH);
    url
}

fn client(settings: &Settings) -> reqwest::Result<Client> {
    // For the whole process; that it is there already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut headers = HeaderMap::new();
    if let Some(bearer) = &settings.bearer {
        // A credential is printable ASCII, which every header takes.
        if let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", bearer.expose())) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
    }
    let mut builder = Client::builder()
        .user_agent(concat!("staticstored/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .redirect(redirect::Policy::none())
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.request_timeout)
        // Calls are rare; a connection that is kept would mostly be one that the owner has closed meanwhile.
        .pool_max_idle_per_host(0)
        .no_proxy();
    if let Address::Socket(path) = &settings.address {
        builder = builder.unix_socket(path.as_path());
    }
    builder.build()
}

/// Reads a body up to [`LARGEST_BODY`].
async fn whole(response: Response) -> Result<Vec<u8>, OwnerError> {
    transport::body(response, LARGEST_BODY)
        .await
        .map_err(|unread| match unread {
            Unread::TooLarge => answer::garbled(&format!("it has over {LARGEST_BODY} bytes")),
            Unread::Broken(broken) => unanswered(broken),
        })
}

/// Makes a transport error ours.
fn unanswered(Broken { text, timed_out, .. }: Broken) -> OwnerError {
    if timed_out {
        return answer::passes(format!("the owner of the token does not answer in time ({text})"));
    }
    answer::blocked(
        format!("the owner of the token cannot be reached: {text}"),
        "See that the program that owns the token runs at token.url, and that this user may connect to it (of a \
         socket: its mode and group).",
    )
}
