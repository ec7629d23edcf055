//! The token for the platform's other programs, on a Unix socket (CONTRACT, section 6).
//!
//! A platform has one live token, so programs that each fetch their own end each other's. Here they all get ours, and
//! hand back the one that Weixin refused: however many do, one new one is fetched, because a token is given up by
//! identity ([`Tokens::reject`]). Who may ask is a matter of the socket's mode and group (`socket`), not of this code.

mod answer;
mod socket;

use std::fmt;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::serve::Listener;
use serde_json::Value;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

pub use socket::{Found, ShareError, Socket, look};

use crate::clock::{Clock, Timestamp, between};
use crate::credential::Token;
use crate::owner::{PATH, REJECT};
use crate::server::{self, Limits, Peer};
use crate::token::{Rejected, Rejector, Tokens};

/// The largest body of a request: a token has at most 1 KiB.
pub const LARGEST_BODY: usize = 8 * 1024;
/// How long a client that rejected the token waits for another before it is told that there is none.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The most clients at once; further ones wait their turn in the socket's queue.
pub const MOST_CLIENTS: usize = 256;

const LIMITS: Limits = Limits {
    connections: MOST_CLIENTS,
    head: Duration::from_secs(60),
    request: Duration::from_secs(15),
    body: 64 * 1024,
    age: Duration::from_secs(3600),
    finish: Duration::from_secs(5),
};

#[derive(Clone)]
struct Shared {
    tokens: Tokens,
    clock: Clock,
}

/// Shares the token on `socket` until `stop`; then the socket's file is removed.
///
/// # Errors
/// None: it ends with `stop`.
pub async fn run(
    socket: Socket,
    tokens: Tokens,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), ShareError> {
    let (listener, file) = socket.into_parts();
    let shared = Shared { tokens, clock };
    server::serve("share", Door(listener), router(shared), LIMITS, stop).await;
    drop(file);
    Ok(())
}

fn router(shared: Shared) -> Router {
    let get_only = || async { answer::wrong_method("GET, HEAD") };
    let post_only = || async { answer::wrong_method("POST") };
    Router::new()
        .route(PATH, get(current).fallback(get_only))
        .route(&format!("{PATH}{REJECT}"), post(reject).fallback(post_only))
        .fallback(|| async { answer::wrong_path() })
        .with_state(shared)
}

async fn current(State(shared): State<Shared>) -> Response {
    match shared.tokens.current() {
        Some(token) => answer::lent(&token, shared.clock.now()),
        None => answer::lacking(shared.tokens.state().borrow().trouble.as_ref()),
    }
}

/// The token that a body names.
fn rejected(body: &[u8], now: Timestamp) -> Option<Token> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let token = body.get("component_access_token")?.as_str()?;
    Token::new(token, now, now).ok()
}

async fn reject(State(shared): State<Shared>, Extension(peer): Extension<Peer>, body: Bytes) -> Response {
    if body.len() > LARGEST_BODY {
        return answer::refused(StatusCode::PAYLOAD_TOO_LARGE, answer::TOO_LARGE);
    }
    // Whatever its Content-Type says: `curl -d` calls everything a form.
    let Some(stale) = rejected(&body, shared.clock.now()) else {
        return answer::refused(StatusCode::BAD_REQUEST, answer::NO_TOKEN);
    };
    let tokens = &shared.tokens;
    let other = match tokens.reject(&stale, &Rejector::Client(peer.address.to_string())) {
        Rejected::Use(token) => Some(token),
        Rejected::Refreshing => tokio::time::timeout(LONGEST_WAIT, tokens.replacement(&stale))
            .await
            .unwrap_or_default(),
        Rejected::Cooldown(until) => return answer::too_early(between(shared.clock.now(), until)),
    };
    let now = shared.clock.now();
    match other.filter(|token| token.expires_at > now) {
        Some(token) => answer::lent(&token, now),
        None => answer::lacking(tokens.state().borrow().trouble.as_ref()),
    }
}

/// The socket as the server sees it: each client is named by its user and process.
struct Door(UnixListener);

struct Client(Option<tokio::net::unix::UCred>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(client) => match client.pid() {
                Some(pid) => write!(f, "uid {} pid {pid}", client.uid()),
                None => write!(f, "uid {}", client.uid()),
            },
            None => f.write_str("a client that has gone"),
        }
    }
}

impl Listener for Door {
    type Io = UnixStream;
    type Addr = Client;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, _) = Listener::accept(&mut self.0).await;
        let client = Client(stream.peer_cred().ok());
        (stream, client)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(Client(None))
    }
}
