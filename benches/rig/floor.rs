//! The floor of the receiver: the same requests, answered by axum with nothing behind it, in a process of its own.
//!
//! The benchmark starts itself again for that, so that the kernel counts this server's CPU time apart from the pusher's.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use staticstored::clock::Stopwatch;

/// The variable that makes the benchmark a floor.
const ROLE: &str = "STATICSTORED_BENCH_FLOOR";
const LONGEST_START: Duration = Duration::from_secs(5);

/// A running floor; it ends with this value.
#[derive(Debug)]
pub struct Floor {
    child: Child,
    /// Where it answers.
    pub address: SocketAddr,
}

impl Floor {
    /// Starts it on a free port of the loopback.
    ///
    /// # Errors
    /// When it does not listen within five seconds.
    pub fn start() -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], super::free_port()?));
        let mut child = Command::new(std::env::current_exe()?)
            .env(ROLE, address.to_string())
            .stdin(Stdio::null())
            .spawn()?;
        let waited = Stopwatch::start();
        while std::net::TcpStream::connect(address).is_err() {
            ensure!(
                waited.elapsed() < LONGEST_START && child.try_wait()?.is_none(),
                "the floor does not listen"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { child, address })
    }

    /// CPU time used so far.
    ///
    /// # Errors
    /// When /proc can't be read.
    pub fn cpu_time(&self) -> Result<Duration> {
        super::cpu_time(&self.child.id().to_string())
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It keeps nothing that a kill could hurt.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Serves, where this process was started to be a floor; otherwise returns at once.
///
/// # Errors
/// When it cannot listen.
pub async fn serve_if_asked() -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "not the program's environment")]
    let Ok(address) = std::env::var(ROLE) else {
        return Ok(());
    };
    let routes = Router::new().route(super::pusher::PATH, post(|_: Bytes| async { "success" }));
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, routes).await?;
    Ok(())
}
