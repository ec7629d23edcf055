//! The built program, run as systemd would run it, and what the kernel says of it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use staticstored::clock::Stopwatch;

/// Its `component.appid`.
pub const APPID: &str = "wx0123456789abcdef";
/// Its appsecret.
pub const SECRET: &str = "bench-secret";
const LONGEST_START: Duration = Duration::from_secs(60);
const LONGEST_STOP: Duration = Duration::from_secs(60);

/// A running `staticstored run`; it is stopped with this value.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
    /// From its start to READY=1.
    pub ready_after: Duration,
}

impl Daemon {
    /// Starts it on `queue.db` in `directory` against `base_url`, with no limit on calls per second, and waits for
    /// READY. `settings` is more TOML.
    ///
    /// # Errors
    /// When it does not get ready within a minute; its log is part of the error.
    pub fn start(directory: &Path, base_url: &str, settings: &str) -> Result<Self> {
        let socket = directory.join("notify.sock");
        let _ = std::fs::remove_file(&socket);
        let ready = UnixDatagram::bind(&socket)?;
        ready.set_read_timeout(Some(Duration::from_millis(100)))?;
        let log = directory.join("daemon.log");
        let config = configuration(directory, base_url, settings)?;
        let taken = Stopwatch::start();
        let child = Command::new(env!("CARGO_BIN_EXE_staticstored"))
            .args(["run", "--config"])
            .arg(config)
            .env("NOTIFY_SOCKET", &socket)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .spawn()?;
        let mut daemon = Self {
            child,
            log,
            ready_after: Duration::ZERO,
        };
        daemon.wait_until_ready(&ready, taken)?;
        daemon.ready_after = taken.elapsed();
        Ok(daemon)
    }

    fn wait_until_ready(&mut self, ready: &UnixDatagram, waited: Stopwatch) -> Result<()> {
        let mut message = [0; 4096];
        loop {
            if let Ok(length) = ready.recv(&mut message)
                && message[..length]
                    .split(|byte| *byte == b'\n')
                    .any(|line| line == b"READY=1")
            {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "staticstored ended before it was ready: {status}\n{}",
                    self.log()?
                );
            }
            ensure!(
                waited.elapsed() < LONGEST_START,
                "staticstored is not ready\n{}",
                self.log()?
            );
        }
    }

    /// Stops it by SIGTERM and waits for its end.
    ///
    /// # Errors
    /// When it does not end well within a minute.
    pub fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        ensure!(
            Command::new("kill").args(["-TERM", &pid]).status()?.success(),
            "no signal could be sent"
        );
        let waited = Stopwatch::start();
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(
                    status.success(),
                    "staticstored ended with {status}\n{}",
                    self.log()?
                );
                return Ok(());
            }
            ensure!(
                waited.elapsed() < LONGEST_STOP,
                "staticstored does not stop\n{}",
                self.log()?
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Resident memory now and at its highest, in MiB.
    ///
    /// # Errors
    /// When /proc can't be read.
    pub fn memory(&self) -> Result<(f64, f64)> {
        let status = self.proc("status")?;
        Ok((mebibytes(&status, "VmRSS:")?, mebibytes(&status, "VmHWM:")?))
    }

    /// How many files it has open.
    ///
    /// # Errors
    /// When /proc can't be read.
    pub fn descriptors(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// CPU time used so far.
    ///
    /// # Errors
    /// When /proc can't be read.
    pub fn cpu_time(&self) -> Result<Duration> {
        super::cpu_time(&self.child.id().to_string())
    }

    /// What it has logged.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    fn proc(&self, file: &str) -> Result<String> {
        Ok(std::fs::read_to_string(format!(
            "/proc/{}/{file}",
            self.child.id()
        ))?)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // After `stop` it is gone already; otherwise the benchmark failed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn configuration(directory: &Path, base_url: &str, settings: &str) -> Result<PathBuf> {
    let secret = directory.join("appsecret");
    // A secret that others may read is refused.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&secret)?
        .write_all(SECRET.as_bytes())?;
    let file = directory.join("config.toml");
    let text = format!(
        "component.appid = \"{APPID}\"\n\
         component.appsecret_file = \"{}\"\n\
         database.url = \"sqlite:{}\"\n\
         api.base_url = \"{base_url}\"\n\
         api.creates_per_second = 0\n\
         api.describes_per_second = 0\n\
         {settings}",
        secret.display(),
        directory.join("queue.db").display(),
    );
    std::fs::write(&file, text)?;
    Ok(file)
}

fn mebibytes(status: &str, key: &str) -> Result<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .with_context(|| format!("no {key}"))?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes / 1024.0)
}
