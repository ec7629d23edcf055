//! The built program as a process: started, stopped, killed, frozen, starved; against the simulator in this process.

mod backup;
mod canary;
mod disk;
mod drip;
mod exits;
mod feeders;
mod guest;
mod io;
mod kill;
mod life;
mod memory;
mod modes;
mod network;
mod outside;
mod power;
mod proxy;
mod push;
mod reload;
mod replaced;
mod secrets;
mod share;
mod storm;
mod user;
mod watchdog;

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use staticstored::simulator::Options;
use staticstored::simulator::push::{CALLBACK_TOKEN, ENCODING_AES_KEY};
use tokio::net::UnixDatagram;

use crate::programs::or_skipped;
use crate::world::{QUICK, World, within};

const PROGRAM: &str = env!("CARGO_BIN_EXE_staticstored");
/// A group that is not our own.
const GROUP: &str = "54321";
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(2);

/// A world whose daemon is a process of its own.
struct Station {
    world: World,
    daemon: Option<Child>,
    /// Where its log is: not beside the database, for that disk may be full.
    outside: tempfile::TempDir,
    /// Variables of the daemon's environment beyond the configuration.
    variables: Vec<(&'static str, String)>,
    /// How many files the daemon may have open; none: as many as we may.
    open_files: Option<usize>,
    /// The program that runs the daemon, with its arguments; none: nobody.
    under: Vec<String>,
}

impl Station {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With a Weixin of another kind.
    async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut appsecret = String::new();
        let world = World::with(|options| {
            change(options);
            appsecret.clone_from(&options.appsecret);
        })
        .await;
        let station = Self::of(world);
        private(&station.write("appsecret", &appsecret));
        station
    }

    /// Without an appsecret.
    fn of(world: World) -> Self {
        let station = Self {
            world,
            daemon: None,
            outside: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
            open_files: None,
            under: Vec::new(),
        };
        station.write("config.toml", QUICK);
        station
    }

    /// Shares the token, from the next start on; returns the socket.
    fn share(&mut self) -> PathBuf {
        let socket = self.path("token.sock");
        self.world.set("share.socket", socket.to_str().unwrap());
        socket
    }

    /// A guest of the daemon that shares its token on `socket`: at the same Weixin, without appsecret or ticket.
    async fn guest_at(&self, socket: &Path) -> Self {
        let mut guest = Self::of(self.world.beside().await);
        guest.world.set("token.source", "url");
        guest
            .world
            .set("token.url", &format!("unix:{}", socket.display()));
        guest
    }

    /// Waits until the daemon has a token.
    async fn has_token(&self) {
        self.world
            .wait_for("SELECT token_expires_at IS NOT NULL FROM service", &["1"])
            .await;
    }

    /// Turns the receiver on, for daemons started from now on and for what the simulator seals; returns its port.
    fn receives(&mut self) -> u16 {
        let port = self.world.receives();
        for (key, content) in [
            ("callback.token_file", CALLBACK_TOKEN),
            ("callback.aes_key_file", ENCODING_AES_KEY),
        ] {
            let file = self.write(&key.replace('.', "-"), content);
            private(&file);
            self.world.set(key, &file.display().to_string());
        }
        port
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// The program with our configuration and none of the environment but that.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.open_files {
            Some(most) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\""), PROGRAM]);
                shell
            }
            None => match self.under.split_first() {
                Some((program, arguments)) => {
                    let mut under = Command::new(program);
                    under.args(arguments).arg(PROGRAM);
                    under
                }
                None => Command::new(PROGRAM),
            },
        };
        command
            .env_clear()
            .envs(self.world.environment())
            .env("STATICSTORED_COMPONENT__APPSECRET_FILE", self.path("appsecret"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .args(arguments)
            .arg("--config")
            .arg(self.path("config.toml"))
            .stdin(Stdio::null());
        command
    }

    /// Starts the daemon; its log goes to the end of a file, and holds all that can be logged, unless `RUST_LOG` is among the
    /// variables.
    fn start(&mut self) {
        assert!(self.daemon.is_none(), "one at a time");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .unwrap();
        let mut command = self.command(&["run"]);
        if !self.variables.iter().any(|(name, _)| *name == "RUST_LOG") {
            command.env("RUST_LOG", "trace");
        }
        self.daemon = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// Starts the daemon and waits until it says how it is.
    async fn started(&mut self) {
        self.start();
        let pid = self.pid().to_string();
        self.world.wait_for("SELECT pid FROM service", &[&pid]).await;
    }

    /// Lets the program be started under this umask from now on.
    fn set_umask(&mut self, umask: &str) {
        let enter = format!("umask {umask}; exec \"$@\"");
        self.under = ["sh", "-c", &enter, "sh"].map(str::to_owned).to_vec();
    }

    /// Gives the directory to [`GROUP`], as a package's is the group's of the daemon; `false`, and a word why, where we may not.
    fn give_to_group(&self) -> bool {
        let directory = self.world.directory.path();
        let root = std::fs::metadata(directory).unwrap().uid() == 0;
        if or_skipped(root, "only root can be another user") {
            std::os::unix::fs::chown(directory, None, Some(GROUP.parse().unwrap())).unwrap();
            std::fs::set_permissions(directory, Permissions::from_mode(0o2770)).unwrap();
        }
        root
    }

    fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("a daemon").id()
    }

    fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the daemon's end.
    async fn ended(&mut self) -> ExitStatus {
        let mut daemon = self.daemon.take().expect("a daemon");
        ended(&mut daemon).await
    }

    /// Asks the daemon to stop and waits until it has.
    async fn stop(&mut self) {
        self.signal("TERM");
        let status = self.ended().await;
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Ends the daemon as a power cut would.
    fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("a daemon");
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    fn log_file(&self) -> PathBuf {
        self.outside.path().join("log")
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_file()).unwrap()).into_owned()
    }

    /// Waits until the daemon has logged this.
    async fn wait_for_log(&self, text: &str) {
        until(|| self.log().contains(text)).await;
    }

    /// Inserts `count` requests, `env-1` and so on, in one statement.
    async fn insert_many(&self, count: usize) {
        self.insert_numbered(1..=count).await;
    }

    async fn insert_numbered(&self, numbers: RangeInclusive<usize>) {
        let (first, last) = numbers.into_inner();
        let numbers = format!(
            "WITH RECURSIVE n(i) AS (VALUES ({first}) UNION ALL SELECT i + 1 FROM n WHERE i < {last}) \
             SELECT 'env-' || i FROM n"
        );
        self.world
            .execute(&format!("INSERT INTO queue (env) {numbers}"))
            .await;
    }

    /// A socket as systemd would listen on, which daemons started from now on tell.
    fn listen(&mut self) -> UnixDatagram {
        let socket = self.path("notify");
        let listener = UnixDatagram::bind(&socket).unwrap();
        self.variables
            .push(("NOTIFY_SOCKET", socket.display().to_string()));
        listener
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        // A test that has failed already says why.
        if !std::thread::panicking() {
            canary::look(self);
        }
    }
}

/// Waits for a process's end.
async fn ended(process: &mut Child) -> ExitStatus {
    let mut status = None;
    until(|| {
        status = process.try_wait().unwrap();
        status.is_some()
    })
    .await;
    status.unwrap()
}

/// Waits for a condition.
async fn until(condition: impl FnMut() -> bool) {
    within(unbounded(condition)).await;
}

async fn unbounded(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(LOOK).await;
    }
}

/// The next message to systemd.
async fn next(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = within(socket.recv(&mut buffer)).await.unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// The next message that starts so, and all before it.
async fn next_with(socket: &UnixDatagram, start: &str) -> (String, Vec<String>) {
    let mut before = Vec::new();
    loop {
        let message = next(socket).await;
        if message.lines().any(|line| line.starts_with(start)) {
            return (message, before);
        }
        before.push(message);
    }
}

/// A program run by another user, who is in this group.
fn by_somebody_in(group: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "54322", "--regid", "54322", "--groups", group]);
    command
}

/// Closes a file to everybody but its owner.
fn private(file: &Path) {
    std::fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
}

/// Gives a process its standard input and waits for what it says, while the simulator goes on.
async fn told(mut command: Command, input: &str) -> std::process::Output {
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let input = input.to_owned();
    let work = tokio::task::spawn_blocking(move || {
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    within(work).await.unwrap()
}
