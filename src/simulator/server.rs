//! The HTTP server: connections that can be refused and cut, and each request on its way to the platform; its tasks, of
//! which the one that pushes is one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::select;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Endpoint;
use super::body::{AnswerBody, Cut};
use super::platform::{Call, Platform};
use super::push;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
/// The longest request body read.
const BODY_LIMIT: usize = 64 * 1024;
/// How long to wait when the system has no socket to accept with.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// The running server.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    wanted: watch::Sender<bool>,
    accepting: watch::Receiver<bool>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Listens, and serves from then on.
    pub(super) async fn start(listen: SocketAddr, platform: Arc<Platform>) -> io::Result<Self> {
        let reserve = bind(listen)?;
        let address = reserve.local_addr()?;
        let listener = bind(address)?.listen(BACKLOG)?;
        let (wanted, stop, tasks) = (
            watch::Sender::new(true),
            CancellationToken::new(),
            TaskTracker::new(),
        );
        let (accepting, is_accepting) = watch::channel(true);
        let pusher = Arc::clone(&platform);
        let door = Door {
            address,
            _reserve: reserve,
            platform,
            wanted: wanted.subscribe(),
            accepting,
            stop: stop.clone(),
        };
        tasks.spawn(door.run(listener));
        tasks.spawn(push::run(pusher, stop.clone()));
        Ok(Self {
            address,
            wanted,
            accepting: is_accepting,
            stop,
            tasks,
        })
    }

    /// The address it listens on.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens or shuts the door and returns when that is done.
    pub(super) async fn set_accepting(&self, accepting: bool) {
        self.wanted.send_replace(accepting);
        // An error means that the server is stopped.
        let _ = self.accepting.clone().wait_for(|now| *now == accepting).await;
    }

    /// Stops and returns when all tasks have ended.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Takes the connections in.
struct Door {
    address: SocketAddr,
    /// Keeps the port while nobody listens on it: it is bound from first to last and never listens. Without it the
    /// system might give the port away as a free one, and a caller that is to be refused would be answered by whoever
    /// got it. Linux lets a second socket bind and listen beside it, for both have `SO_REUSEADDR`.
    _reserve: TcpSocket,
    platform: Arc<Platform>,
    wanted: watch::Receiver<bool>,
    accepting: watch::Sender<bool>,
    stop: CancellationToken,
}

impl Door {
    async fn run(self, listener: TcpListener) {
        if let Err(error) = self.open_and_shut(listener).await {
            tracing::error!(address = %self.address, %error, "the simulator cannot listen any more");
        }
    }

    /// Accepts, and refuses while that is wanted: where a socket is bound and none listens, the system refuses.
    async fn open_and_shut(&self, mut listener: TcpListener) -> io::Result<()> {
        loop {
            self.accept_while_wanted(&listener).await;
            drop(listener);
            self.accepting.send_replace(false);
            if !self.until_wanted(true).await {
                return Ok(());
            }
            listener = bind(self.address)?.listen(BACKLOG)?;
            self.accepting.send_replace(true);
        }
    }

    /// Accepts, and cuts all connections at the end.
    async fn accept_while_wanted(&self, listener: &TcpListener) {
        let (connections, cut) = (TaskTracker::new(), self.stop.child_token());
        let unwanted = self.until_wanted(false);
        tokio::pin!(unwanted);
        loop {
            select! {
                biased;
                _ = &mut unwanted => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(connection(stream, Arc::clone(&self.platform), cut.clone()));
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
            }
        }
        cut.cancel();
        connections.close();
        connections.wait().await;
    }

    /// Returns when it is wanted so; `false` when the server is to stop.
    async fn until_wanted(&self, accepting: bool) -> bool {
        let mut wanted = self.wanted.clone();
        select! {
            biased;
            () = self.stop.cancelled() => false,
            found = wanted.wait_for(|now| *now == accepting) => found.is_ok(),
        }
    }
}

/// A socket on an address that may have had connections a moment ago, and that another such socket may be bound to.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn connection(stream: TcpStream, platform: Arc<Platform>, cut: CancellationToken) {
    // Only speed is lost where this cannot be set.
    let _ = stream.set_nodelay(true);
    let keep_alive = platform.lock().options.keep_alive;
    let serve = service_fn(|request| serve(Arc::clone(&platform), request));
    let connection = http1::Builder::new()
        .keep_alive(keep_alive)
        .serve_connection(TokioIo::new(stream), serve);
    select! {
        biased;
        () = cut.cancelled() => {}
        // It fails when the client goes away, and when the platform cuts it.
        _ = connection => {}
    }
}

async fn serve(platform: Arc<Platform>, request: Request<Incoming>) -> Result<Response<AnswerBody>, Cut> {
    let _counted = platform.waiting.request();
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT)
        .collect()
        .await
        .map_err(|_| Cut)?
        .to_bytes();
    let verdict = platform.call(&Call {
        endpoint: Endpoint::of(head.uri.path()),
        is_post: head.method == Method::POST,
        token: head.uri.query().and_then(access_token),
        body: &body,
    });
    if let Some(hold) = verdict.hold {
        platform.waiting.hold(hold).await;
    }
    if !verdict.delay.is_zero() {
        tokio::time::sleep(verdict.delay).await;
    }
    verdict.reply.into_response(verdict.content_type)
}

fn access_token(query: &str) -> Option<&str> {
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("access_token="))
}
