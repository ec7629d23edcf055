//! nginx with fixed answers, as a child in a temporary directory.
//!
//! A server of our own would be measured along with the client; nginx is the cheapest there is, and the same everywhere.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use staticstored::clock::Stopwatch;
use tempfile::TempDir;

const CONFIGURATION: &str = include_str!("nginx.conf");
const LONGEST_START: Duration = Duration::from_secs(5);

/// A running nginx; it ends with this value.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    port: u16,
    _directory: TempDir,
}

impl Nginx {
    /// Starts it on a free port of the loopback.
    ///
    /// # Errors
    /// When nginx is not installed, or does not listen within five seconds.
    pub fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let port = super::free_port()?;
        let text = CONFIGURATION
            .replace("@DIR@", &directory.path().to_string_lossy())
            .replace("@PORT@", &port.to_string());
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, text)?;
        let child = Command::new("nginx")
            .arg("-p")
            .arg(directory.path())
            .arg("-e")
            .arg(directory.path().join("error.log"))
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .context("nginx must be installed for this benchmark (Debian: apt-get install nginx-light)")?;
        let mut nginx = Self {
            child,
            port,
            _directory: directory,
        };
        nginx.wait_until_it_listens()?;
        Ok(nginx)
    }

    /// Where it answers.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let waited = Stopwatch::start();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("nginx ended at once: {status}");
            }
            if waited.elapsed() > LONGEST_START {
                bail!("nginx does not listen on port {}", self.port);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It keeps nothing that a kill could hurt.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
