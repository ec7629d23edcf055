//! Weixin's push, received: a ticket is in the database before `success` is answered, for Weixin believes that answer.
//!
//! Every genuine event is answered `success`, whatever it is about: Weixin stops to push to who answers otherwise.

mod tally;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::ALLOW;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Router};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::callback::{Callback, InfoType, Notice, Refusal};
use crate::clock::{Clock, Timestamp, text};
use crate::credential::Ticket;
use crate::server::{self, Limits, Reason};
use crate::store::{PushedTicket, Store, StoreError};
use tally::Tally;

/// How long Weixin waits for an answer (weixin-api.md 3.1). What takes longer is answered 503, so that it pushes again.
pub const WEIXIN_WAITS: Duration = Duration::from_secs(5);
/// The largest push: Weixin's are of about a kilobyte.
pub const LARGEST_PUSH: usize = 64 * 1024;
/// The most connections at once.
pub const MOST_CONNECTIONS: usize = 256;

const LIMITS: Limits = Limits {
    connections: MOST_CONNECTIONS,
    head: Duration::from_secs(10),
    request: WEIXIN_WAITS,
    body: LARGEST_PUSH,
    age: Duration::from_secs(600),
    finish: WEIXIN_WAITS,
};

/// What is answered to a genuine push.
const SUCCESS: &str = "success";

/// The events that the documents name (weixin-api.md 3.3); others are told of.
const KNOWN: [&str; 4] = [
    "authorized",
    "updateauthorized",
    "unauthorized",
    "notify_third_fasteregister",
];

/// How pushes are taken; may change while we listen.
#[derive(Debug)]
pub struct Settings {
    path: String,
    callback: Callback,
    /// Whether a push has come that was sealed with the current key, with the previous one.
    met: [AtomicBool; 2],
}

impl Settings {
    /// Takes the pushes that come to `path`, as `callback` reads them.
    #[must_use]
    pub fn new(path: String, callback: Callback) -> Self {
        Self {
            path,
            callback,
            met: [AtomicBool::new(false), AtomicBool::new(false)],
        }
    }

    /// Tells of the first push that comes under each key: that it comes at all, and when a change of the key is done.
    fn meet(&self, by_previous_key: bool) {
        if !self.met[usize::from(by_previous_key)].swap(true, Ordering::Relaxed) {
            let key = if by_previous_key { "previous" } else { "current" };
            tracing::info!(
                key,
                "the first push since the start or reload that is encrypted with the {key} EncodingAESKey"
            );
        }
    }
}

/// What a reception needs.
#[derive(Debug)]
pub struct Parts {
    /// How pushes are taken.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// Keeps the tickets.
    pub store: Store,
    /// Says when they came.
    pub clock: Clock,
}

/// Receives pushes until `stop`.
///
/// # Errors
/// When the database can't be read at the start.
pub async fn run(listener: TcpListener, parts: Parts, stop: CancellationToken) -> Result<(), StoreError> {
    let path = parts.settings.borrow().path.clone();
    let reception = Reception {
        newest: Mutex::new(parts.store.ticket_created_at().await?),
        settings: parts.settings,
        store: parts.store,
        clock: parts.clock,
        tally: Tally::default(),
    };
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, path, "listening for Weixin's push");
    }
    // No route: the path may change.
    let router = Router::new().fallback(push).with_state(Arc::new(reception));
    server::serve("callback", listener, router, LIMITS, stop).await;
    Ok(())
}

struct Reception {
    settings: watch::Receiver<Arc<Settings>>,
    store: Store,
    clock: Clock,
    /// The CreateTime of the newest ticket that was pushed, as the database has it: what is not newer needs no write.
    newest: Mutex<Option<Timestamp>>,
    tally: Tally,
}

async fn push(State(reception): State<Arc<Reception>>, method: Method, uri: Uri, body: Bytes) -> Response {
    let settings = reception.settings.borrow().clone();
    if uri.path() != settings.path {
        return StatusCode::NOT_FOUND.into_response();
    }
    if method != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")]).into_response();
    }
    match settings.callback.read(uri.query().unwrap_or_default(), &body) {
        Ok(genuine) => {
            settings.meet(genuine.by_previous_key);
            reception.take(genuine.notice).await
        }
        Err(refusal) => refuse(refusal),
    }
}

fn refuse(refusal: Refusal) -> Response {
    let status = match refusal {
        Refusal::Signature | Refusal::Sealed | Refusal::OtherPlatform => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_REQUEST,
    };
    let reason = refusal.reason();
    (status, Extension(Reason(reason)), format!("{reason}\n")).into_response()
}

impl Reception {
    async fn take(&self, notice: Notice) -> Response {
        match notice {
            Notice::Event(info_type) => self.count(&info_type),
            Notice::Ticket { ticket, created_at } => {
                if let Err(error) = self.keep(ticket, created_at).await {
                    tracing::error!(%error, "a pushed ticket could not be kept; Weixin is to push it again");
                    return StatusCode::SERVICE_UNAVAILABLE.into_response();
                }
            }
        }
        SUCCESS.into_response()
    }

    async fn keep(&self, ticket: Ticket, created_at: Timestamp) -> Result<(), StoreError> {
        if self.newest().is_some_and(|newest| created_at <= newest) {
            tracing::debug!(
                ticket.created_at = text(created_at),
                "an older or repeated ticket"
            );
            return Ok(());
        }
        let pushed = PushedTicket {
            ticket,
            created_at,
            received_at: self.clock.now(),
        };
        let is_dated = pushed.is_dated();
        let is_kept = self.store.receive_ticket(pushed).await?;
        if is_kept && is_dated {
            let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            *newest = (*newest).max(Some(created_at));
        }
        let created_at = text(created_at);
        match (is_kept, is_dated) {
            (true, true) => tracing::debug!(ticket.created_at = created_at, "a new ticket"),
            // At most once an hour.
            (true, false) => tracing::warn!(
                ticket.created_at = created_at,
                "a ticket whose CreateTime is far from this machine's time: is its clock right?"
            ),
            (false, _) => tracing::debug!(ticket.created_at = created_at, "a ticket that is not newer"),
        }
        Ok(())
    }

    fn newest(&self) -> Option<Timestamp> {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, info_type: &InfoType) {
        let (count, info_type) = (self.tally.count(info_type), info_type.as_str());
        // The first, the second, the fourth ...: thousands of them are a dozen lines.
        if !KNOWN.contains(&info_type) && count.is_power_of_two() {
            tracing::info!(info_type, count, "an event of a type that is not known here");
        } else {
            tracing::debug!(info_type, count, "an event");
        }
    }
}
