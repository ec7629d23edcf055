//! Serves an axum router over HTTP/1, with a bound on everything a client could waste.
//!
//! `axum::serve` has no timeouts and takes any number of connections, so hyper serves each connection here: a client that
//! is slow, silent or greedy loses its connection, and nobody else notices.

mod refusals;

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use axum::{Extension, Router};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use refusals::Refusals;

/// The longest head of a request.
pub const LONGEST_HEAD: usize = 16 * 1024;
/// How much of a body that is too large is read on, so that its sender comes to read the answer.
const READ_ON: usize = 1024 * 1024;

/// The bounds of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections at once. Further ones wait with the kernel, whose queue is bounded too.
    pub connections: usize,
    /// How long a client may take from its connection, or from the end of its last answer, to the end of the next head:
    /// also how long an idle connection is kept.
    pub head: Duration,
    /// How long a request may take from the end of its head to its answer. A body that has not come by then is answered
    /// 408, a handler that is not done 503.
    pub request: Duration,
    /// The largest body, in bytes; a larger one is answered 413.
    pub body: usize,
    /// How long a connection may last in all; also one whose client does not read its answers ends by this.
    pub age: Duration,
    /// How long a connection that is to end may take to finish the request that is on its way.
    pub finish: Duration,
}

/// Why a request is refused: an extension of a response, for the log. Without one, a 4xx status speaks for itself.
#[derive(Clone, Copy, Debug)]
pub struct Reason(pub &'static str);

/// Who sent a request: an extension of each request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The other end of the connection.
    pub address: Arc<str>,
    /// Whom a reverse proxy names as its own peer (the last address of `X-Forwarded-For`). Anybody can write that header.
    pub forwarded_for: Option<IpAddr>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)?;
        match self.forwarded_for {
            Some(address) => write!(f, " for {address}"),
            None => Ok(()),
        }
    }
}

/// Serves `router` on `listener` until `stop`, then finishes the requests on their way (bounded by [`Limits::finish`]).
///
/// A refused request (4xx, or too late) is a line in the log, which says `name`; a flood of them is a few lines. The handlers get
/// whole bodies and a [`Peer`] in the request's extensions.
pub async fn serve<L>(
    name: &'static str,
    mut listener: L,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) where
    L: Listener<Addr: fmt::Debug>,
{
    let places = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    let server = Arc::new(Server {
        router,
        limits,
        places: places.clone(),
        refusals: Refusals::new(name),
    });
    loop {
        let accepted = async {
            // Where the system has no descriptor left, this waits and says so.
            let (stream, address) = listener.accept().await;
            // Never an error: nobody closes it.
            let place = places.clone().acquire_owned().await.ok();
            (place, stream, address)
        };
        let (place, stream, address) = select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        let (server, stop) = (server.clone(), stop.clone());
        let address = format!("{address:?}").into();
        connections.spawn(async move {
            server.connection(stream, address, stop).await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

struct Server {
    router: Router,
    limits: Limits,
    places: Arc<Semaphore>,
    refusals: Refusals,
}

impl Server {
    async fn connection<I>(self: Arc<Self>, stream: I, address: Arc<str>, stop: CancellationToken)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = self.limits;
        let answer = service_fn(|request| {
            let (server, address) = (self.clone(), address.clone());
            async move { Ok::<_, Infallible>(server.answer(request, address).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(LONGEST_HEAD)
            .serve_connection(TokioIo::new(stream), answer);
        tokio::pin!(connection);
        let ended = select! {
            ended = &mut connection => Some(ended),
            () = stop.cancelled() => None,
            () = tokio::time::sleep(limits.age) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                // One that does not end in time is cut by being dropped.
                tokio::time::timeout(limits.finish, connection)
                    .await
                    .unwrap_or(Ok(()))
            }
        };
        match ended {
            Err(error) if error.is_parse_too_large() => {
                let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                self.refusals.tell(&address, status, "the head is too long");
            }
            Err(error) if error.is_parse() => {
                self.refusals
                    .tell(&address, StatusCode::BAD_REQUEST, "this is no HTTP/1 request");
            }
            // A client that goes away, or an idle connection that is closed.
            Err(error) => tracing::debug!(peer = %address, %error, "a connection ended early"),
            Ok(()) => {}
        }
    }

    async fn answer(&self, request: Request<Incoming>, address: Arc<str>) -> Response {
        let peer = Peer {
            address,
            forwarded_for: forwarded_for(&request),
        };
        let mut response = self.bounded(request, &peer).await;
        let status = response.status();
        match response.extensions().get() {
            Some(Reason(reason)) => self.refusals.tell(&peer, status, reason),
            None if status.is_client_error() => {
                self.refusals
                    .tell(&peer, status, status.canonical_reason().unwrap_or_default());
            }
            None => {}
        }
        // Where others may wait for a place, nobody keeps one that idles.
        if self.places.available_permits() == 0 {
            close(&mut response);
        }
        response
    }

    async fn bounded(&self, request: Request<Incoming>, peer: &Peer) -> Response {
        let late = tokio::time::sleep(self.limits.request);
        tokio::pin!(late);
        let (head, body) = request.into_parts();
        let body = select! {
            body = whole(body, self.limits.body) => body,
            () = &mut late => Err(Unread::Late),
        };
        let mut request = match body {
            Ok(body) => Request::from_parts(head, Body::from(body)),
            Err(unread) => return unread.into_response(),
        };
        request.extensions_mut().insert(peer.clone());
        let router = TowerToHyperService::new(self.router.clone());
        select! {
            Ok(response) = router.call(request) => response,
            () = late => {
                let reason = Extension(Reason("the answer was not ready in time"));
                (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
            }
        }
    }
}

/// Why a body was not read.
enum Unread {
    Late,
    TooLarge,
    Broken,
}

impl IntoResponse for Unread {
    fn into_response(self) -> Response {
        let (status, reason) = match self {
            Self::Late => (StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
            Self::Broken => (StatusCode::BAD_REQUEST, "the body broke off"),
        };
        let mut response = (status, Extension(Reason(reason))).into_response();
        close(&mut response);
        response
    }
}

async fn whole(mut body: Incoming, largest: usize) -> Result<Bytes, Unread> {
    let (mut read, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unread::Broken)?;
        let data = frame.data_ref().map_or(&[][..], Bytes::as_ref);
        length += data.len();
        if length <= largest {
            read.extend_from_slice(data);
        } else if length > largest + READ_ON {
            break;
        }
    }
    if length <= largest {
        Ok(read.into())
    } else {
        Err(Unread::TooLarge)
    }
}

fn close(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
}

fn forwarded_for<B>(request: &Request<B>) -> Option<IpAddr> {
    let value = request.headers().get_all("x-forwarded-for").iter().next_back()?;
    value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}
