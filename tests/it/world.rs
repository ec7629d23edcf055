//! A world for a test: a database, a simulated Weixin, a daemon, and verbs to act on them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::{Connection, Row, SqliteConnection};
use staticstored::clock::Clock;
use staticstored::config::Config;
use staticstored::credential::{AesKey, AppSecret, Bearer, CallbackToken};
use staticstored::daemon::{self, CallbackSecrets, DaemonError, Loaded, Orders, Reloads, Secrets};
use staticstored::simulator::push::{CALLBACK_TOKEN, ENCODING_AES_KEY, Seal, Target};
use staticstored::simulator::{Opening, Options, Simulator};
use staticstored::store;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What no condition takes; it only bounds a test that has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where the receiver is by default.
pub const PUSH_PATH: &str = "/weixin/callback";

/// Quick enough for a test, and no limits.
pub const QUICK: &str = r#"
    [api]
    creates_per_second = 0
    describes_per_second = 0
    request_timeout = "2s"
    connect_timeout = "1s"
    [retry]
    initial_backoff = "5ms"
    max_backoff = "40ms"
    [confirm]
    initial_interval = "5ms"
    max_interval = "20ms"
"#;

pub struct World {
    pub directory: tempfile::TempDir,
    pub simulator: Simulator,
    pub clock: Clock,
    /// What the daemon fetches tokens with.
    pub appsecret: String,
    /// What its owner of the token wants to see.
    pub bearer: Option<Bearer>,
    /// Of a daemon that receives Weixin's push.
    pub callback: Option<CallbackSecrets>,
    overrides: Vec<(&'static str, String)>,
    daemon: Option<Running>,
}

struct Running {
    stop: CancellationToken,
    reloads: Reloads,
    /// What the next reload reads.
    next: Arc<Mutex<Option<Loaded>>>,
    task: JoinHandle<Result<(), DaemonError>>,
    /// Its own, where it is to crash.
    runtime: Option<Runtime>,
}

impl World {
    /// A database and a Weixin with a ticket; no daemon yet.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, with a Weixin of another kind.
    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            opening: Opening::online_after(Duration::from_millis(20)),
            ..Options::default()
        };
        change(&mut options);
        Self::in_directory(tempfile::tempdir().unwrap(), options).await
    }

    /// The same in a directory of one's own.
    pub async fn in_directory(directory: tempfile::TempDir, options: Options) -> Self {
        let clock = options.clock.clone();
        let simulator = Simulator::start(options).await.unwrap();
        let world = Self {
            directory,
            simulator,
            clock,
            appsecret: Options::default().appsecret,
            bearer: None,
            callback: None,
            overrides: Vec::new(),
            daemon: None,
        };
        store::migrate(&world.database()).await.unwrap();
        world.give_ticket().await;
        world
    }

    /// Another database at the same Weixin, without a ticket: for the guest of this one's daemon.
    pub async fn beside(&self) -> Self {
        let world = Self {
            directory: tempfile::tempdir().unwrap(),
            simulator: self.simulator.clone(),
            clock: self.clock.clone(),
            appsecret: Options::default().appsecret,
            bearer: None,
            callback: None,
            overrides: Vec::new(),
            daemon: None,
        };
        store::migrate(&world.database()).await.unwrap();
        world
    }

    /// The same in a time that stands still until [`World::fly`] or the clock's own verbs move it.
    pub async fn by_hand() -> Self {
        Self::with(|options| options.clock = Clock::manual(Clock::system().now())).await
    }

    /// Sets a key of the configuration, for daemons started from now on.
    pub fn set(&mut self, key: &'static str, value: &str) {
        self.overrides.push((key, value.to_owned()));
    }

    /// Turns the receiver on, for daemons started from now on; returns its port. Nobody pushes yet.
    pub fn receives(&mut self) -> u16 {
        let port = free_port();
        self.set("callback.listen", &format!("127.0.0.1:{port}"));
        self.callback = Some(CallbackSecrets {
            token: CallbackToken::parse(CALLBACK_TOKEN).unwrap(),
            aes_key: AesKey::parse(ENCODING_AES_KEY).unwrap(),
            previous_aes_key: None,
        });
        port
    }

    /// The same, and the simulator pushes there.
    pub fn is_pushed_to(&mut self) {
        let url = format!("http://127.0.0.1:{}{PUSH_PATH}", self.receives());
        let target = Target::new(&url, seal()).unwrap();
        self.simulator.change(|options| options.push_to = Some(target));
    }

    pub fn database(&self) -> PathBuf {
        self.directory.path().join("queue.db")
    }

    pub async fn give_ticket(&self) {
        let ticket = self.simulator.ticket();
        self.execute(&format!(
            "INSERT INTO ticket (component_verify_ticket) VALUES ('{ticket}')"
        ))
        .await;
    }

    pub fn config(&self) -> Config {
        Config::parse(QUICK, &self.environment()).unwrap()
    }

    /// The variables that set what [`QUICK`] does not.
    pub fn environment(&self) -> HashMap<String, String> {
        let mut env: HashMap<String, String> = self
            .overrides
            .iter()
            .map(|(key, value)| {
                let (section, name) = key.split_once('.').unwrap();
                let name = format!("STATICSTORED_{}__{}", section.to_uppercase(), name.to_uppercase());
                (name, value.clone())
            })
            .collect();
        let here = self.directory.path().display();
        for (name, value) in [
            ("STATICSTORED_DATABASE__URL", format!("sqlite:{here}/queue.db")),
            ("STATICSTORED_API__BASE_URL", self.simulator.url()),
            ("STATICSTORED_COMPONENT__APPID", Options::default().appid),
        ] {
            env.entry(name.to_owned()).or_insert(value);
        }
        env
    }

    /// Starts the daemon.
    pub fn start(&mut self) {
        self.start_on(None);
    }

    /// Starts a daemon that can crash: on a runtime of its own, since all its tasks must die at once.
    pub fn start_to_crash(&mut self) {
        self.start_on(Some(Runtime::new().unwrap()));
    }

    fn start_on(&mut self, runtime: Option<Runtime>) {
        assert!(self.daemon.is_none(), "one at a time");
        let (config, secrets) = (self.config(), self.secrets());
        let (clock, stop) = (self.clock.clone(), CancellationToken::new());
        let next = Arc::new(Mutex::new(None::<Loaded>));
        let read = next.clone();
        let reloads = Reloads::new(move || {
            read.lock()
                .unwrap()
                .take()
                .ok_or_else(|| "nothing new".to_owned())
        });
        let orders = Orders {
            stop: stop.clone(),
            reloads: Some(reloads.clone()),
            pulse: None,
        };
        let run = async move { daemon::run(&config, secrets, clock, orders).await };
        let task = match &runtime {
            Some(runtime) => runtime.spawn(run),
            None => tokio::spawn(run),
        };
        self.daemon = Some(Running {
            stop,
            reloads,
            next,
            task,
            runtime,
        });
    }

    pub fn secrets(&self) -> Secrets {
        Secrets {
            appsecret: Some(AppSecret::parse(&self.appsecret).unwrap()),
            bearer: self.bearer.clone(),
            callback: self.callback.clone(),
        }
    }

    /// Lets the daemon take on what was set meanwhile; returns the keys that it took on.
    pub async fn reload(&self) -> Vec<&'static str> {
        let running = self.daemon.as_ref().expect("a daemon to reload");
        let (done, taken) = oneshot::channel();
        *running.next.lock().unwrap() = Some(Loaded {
            config: self.config(),
            secrets: self.secrets(),
            then: Box::new(move |taken| {
                let _ = done.send(taken.iter().map(|change| change.key).collect());
            }),
        });
        running.reloads.ask();
        within(taken).await.expect("a reload that is taken on")
    }

    /// Ends the daemon where it stands, as a kill does: nothing more is written.
    pub async fn crash(&mut self) {
        let running = self.daemon.take().expect("a daemon to crash");
        let runtime = running.runtime.expect("a daemon that was started to crash");
        end(runtime).await;
    }

    /// Stops the daemon and waits until it has.
    pub async fn stop(&mut self) -> Result<(), DaemonError> {
        let running = self.daemon.take().expect("a daemon to stop");
        running.stop.cancel();
        let stopped = within(running.task).await.unwrap();
        if let Some(runtime) = running.runtime {
            // What a process leaves behind dies with it.
            end(runtime).await;
        }
        stopped
    }

    /// Waits for the daemon to end by itself.
    pub async fn ended(&mut self) -> Result<(), DaemonError> {
        within(self.daemon.take().expect("a daemon").task).await.unwrap()
    }

    /// A connection of another program.
    pub async fn connection(&self) -> SqliteConnection {
        store::connect(&self.database(), store::Access::Write)
            .await
            .unwrap()
    }

    /// One statement of another program.
    pub async fn execute(&self, sql: &str) {
        let mut connection = self.connection().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    pub async fn insert(&self, env: &str) {
        self.execute(&format!("INSERT INTO queue (env) VALUES ('{env}')"))
            .await;
    }

    pub async fn insert_all(&self, envs: &[String]) {
        for env in envs {
            self.insert(env).await;
        }
    }

    /// Waits until the platform's answers to the calls so far make a condition true.
    pub async fn see(&self, condition: impl Fn(&Simulator) -> bool) {
        within(self.simulator.wait_until(condition)).await;
    }

    /// The rows of a query, each value as text, NULL as `NULL`, joined by `|`.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        let mut connection = self.connection().await;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        rows.iter()
            .map(|row| {
                let value = |i| match row.try_get_unchecked::<Option<String>, _>(i) {
                    Ok(Some(text)) => text,
                    Ok(None) => "NULL".to_owned(),
                    Err(error) => panic!("{error}"),
                };
                (0..row.len()).map(value).collect::<Vec<_>>().join("|")
            })
            .collect()
    }

    /// The only row of a query.
    pub async fn row(&self, sql: &str) -> String {
        let rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "{sql}");
        rows.into_iter().next().unwrap()
    }

    /// Columns of an environment's status.
    pub async fn status(&self, columns: &str, env: &str) -> String {
        self.row(&format!("SELECT {columns} FROM status WHERE env = '{env}'"))
            .await
    }

    /// Waits until a query's rows are these.
    pub async fn wait_for(&self, sql: &str, wanted: &[&str]) {
        let mut seen = Vec::new();
        let found = async {
            loop {
                seen = self.rows(sql).await;
                if seen == wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, found).await.is_err() {
            let service = self
                .rows("SELECT state, reason, remedy, errcode FROM service")
                .await;
            panic!("{sql}\n  wanted {wanted:?}\n  last saw {seen:?}\n  service {service:?}");
        }
    }

    /// Lets a clock that is moved by hand run, `step` at a time, until a query's rows are these.
    pub async fn fly(&self, step: Duration, sql: &str, wanted: &[&str]) {
        let flight = async {
            loop {
                self.clock.advance(step);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            () = self.wait_for(sql, wanted) => {}
            () = flight => {}
        }
    }

    /// Waits until an environment's request is in this state.
    pub async fn wait_for_state(&self, env: &str, state: &str) {
        self.wait_for(&format!("SELECT state FROM status WHERE env = '{env}'"), &[state])
            .await;
    }

    /// Waits until the service is in this state.
    pub async fn wait_for_service(&self, state: &str) {
        // A daemon that starts is blocked for as long as its first token takes.
        let service =
            "SELECT state FROM service WHERE reason IS NOT 'there is no token yet; one is being fetched'";
        self.wait_for(service, &[state]).await;
    }

    /// The history of an environment: `call:outcome`, in order.
    pub async fn history(&self, env: &str) -> Vec<String> {
        self.rows(&format!(
            "SELECT call || ':' || outcome FROM attempt WHERE env = '{env}' ORDER BY id"
        ))
        .await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(running) = self.daemon.take() {
            running.stop.cancel();
            if let Some(runtime) = running.runtime {
                runtime.shutdown_background();
            }
        }
    }
}

/// What the simulator seals its pushes with.
pub fn seal() -> Seal {
    Seal::new(CALLBACK_TOKEN, ENCODING_AES_KEY, &Options::default().appid).unwrap()
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Bounds a wait that ends by itself unless the test has failed.
pub async fn within<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("this takes longer than any machine needs")
}

/// Ends all that runs on a runtime, where it stands.
async fn end(runtime: Runtime) {
    let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE));
    ended.await.unwrap();
}
