//! `staticstored demo`: the whole thing against the simulator, in a directory that is gone afterwards.
//!
//! The daemon is the real one, the database a real file, the faults of every kind. Each environment's name says what goes wrong
//! with it, so where each must end is known, and is checked: a demo that ends wrongly fails.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::SqliteConnection;
use tokio_util::sync::CancellationToken;

use super::session::Session;
use super::status::{table, watch};
use super::{DemoOptions, database};
use crate::config::{Config, Environment, Log};
use crate::credential::{AesKey, AppSecret, CallbackToken};
use crate::daemon::{self, CallbackSecrets, Secrets};
use crate::observability;
use crate::request::Env;
use crate::simulator::push::{CALLBACK_TOKEN, ENCODING_AES_KEY, Seal, Target};
use crate::simulator::scenario::{self, Case, Ending};
use crate::simulator::{Endpoint, Opening, Options, Simulator};
use crate::store::desk::{self, StatusRow};
use crate::store::{self, Access};

/// Where real times are minutes, the demo's are a second or two: it is to be watched, not waited for.
const TIMES: [(&str, &str); 8] = [
    ("API__CREATES_PER_SECOND", "40"),
    ("API__DESCRIBES_PER_SECOND", "60"),
    ("API__REQUEST_TIMEOUT", "5s"),
    ("RETRY__INITIAL_BACKOFF", "300ms"),
    ("RETRY__MAX_BACKOFF", "3s"),
    ("CONFIRM__INITIAL_INTERVAL", "1s"),
    ("CONFIRM__MAX_INTERVAL", "2s"),
    ("CONFIRM__GIVE_UP_AFTER", "60s"),
];
/// How long after it was asked Weixin pushes the ticket.
const PUSH_DELAY: Duration = Duration::from_millis(200);
const CALLBACK_PATH: &str = "/weixin/callback";
/// How long a website takes to come online.
const OPENING: Duration = Duration::from_secs(2);

pub(super) async fn run(session: &mut Session, options: &DemoOptions) -> anyhow::Result<()> {
    if session.env.contains_key("RUST_LOG") {
        observability::start(
            &session.env,
            &Log {
                level: "info".to_owned(),
            },
        )?;
    }
    let directory = tempfile::tempdir().context("no temporary directory")?;
    let mut settings = Options {
        clock: session.clock.clone(),
        seed: options.seed,
        opening: Opening::online_after(OPENING),
        faults_by_suffix: true,
        detailed_ledger: false,
        ..Options::default()
    };
    let receiver = pushed_to(&mut settings)?;
    let secrets = secrets(&settings)?;
    let appid = settings.appid.clone();
    let simulator = Simulator::start(settings)
        .await
        .context("no loopback address to simulate Weixin on")?;
    let config = config(directory.path(), &simulator.url(), &appid, receiver)?;
    let cases = scenario::demo(options.environments as usize);
    fill(&config, &cases).await?;
    session.screen.line(format_args!(
        "{} environments, a simulated Weixin with every kind of fault, one daemon; each name says what goes wrong.",
        cases.len()
    ))?;
    session.screen.flush()?;

    let stop = CancellationToken::new();
    let daemon = daemon::run(&config, secrets, session.clock.clone(), stop.clone());
    let watched = async {
        let watched = follow(session, &config).await;
        stop.cancel();
        watched
    };
    let (daemon, finished) = tokio::join!(daemon, watched);
    daemon?;
    anyhow::ensure!(finished?, "interrupted");
    report(session, &config, &simulator, &cases).await
}

/// Lets Weixin push the ticket to where the daemon will listen: it has to ask for it, as on its first day.
fn pushed_to(settings: &mut Options) -> anyhow::Result<SocketAddr> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no loopback address to be pushed to")?;
    let receiver = free.local_addr()?;
    let seal = Seal::new(CALLBACK_TOKEN, ENCODING_AES_KEY, &settings.appid)?;
    settings.push_to = Some(Target::new(&format!("http://{receiver}{CALLBACK_PATH}"), seal)?);
    settings.push_delay = PUSH_DELAY;
    Ok(receiver)
}

/// What the files of a real daemon would hold.
fn secrets(settings: &Options) -> anyhow::Result<Secrets> {
    Ok(Secrets {
        appsecret: Some(AppSecret::parse(&settings.appsecret)?),
        bearer: None,
        callback: Some(CallbackSecrets {
            token: CallbackToken::parse(CALLBACK_TOKEN)?,
            aes_key: AesKey::parse(ENCODING_AES_KEY)?,
            previous_aes_key: None,
        }),
    })
}

fn config(directory: &Path, base_url: &str, appid: &str, receiver: SocketAddr) -> anyhow::Result<Config> {
    let database = format!("sqlite:{}", directory.join("queue.db").display());
    let receiver = receiver.to_string();
    let ours = [
        ("CALLBACK__LISTEN", receiver.as_str()),
        ("CALLBACK__PATH", CALLBACK_PATH),
        ("DATABASE__URL", database.as_str()),
        ("API__BASE_URL", base_url),
        ("COMPONENT__APPID", appid),
    ];
    let variable = |(name, value): (&str, &str)| (format!("STATICSTORED_{name}"), value.to_owned());
    let env: Environment = TIMES.into_iter().chain(ours).map(variable).collect();
    Ok(Config::parse("", &env)?)
}

/// Inserts the requests, as other programs would.
async fn fill(config: &Config, cases: &[Case]) -> anyhow::Result<()> {
    store::migrate(&config.database.path).await?;
    let mut connection = store::connect(&config.database.path, Access::Write).await?;
    let envs: Vec<Env> = cases
        .iter()
        .map(|case| Env::parse(&case.env))
        .collect::<Result<_, _>>()?;
    desk::enqueue(&mut connection, &envs, 0).await?;
    database::close(connection).await
}

async fn follow(session: &mut Session, config: &Config) -> anyhow::Result<bool> {
    let mut connection = database::open(&config.database, Access::Read).await?;
    let finished = watch::run(session, &mut connection, watch::Until::Finished).await?;
    database::close(connection).await?;
    Ok(finished)
}

/// The table at the end, what Weixin saw, and whether each request ended where it had to.
async fn report(
    session: &mut Session,
    config: &Config,
    simulator: &Simulator,
    cases: &[Case],
) -> anyhow::Result<()> {
    let mut connection = database::open(&config.database, Access::Read).await?;
    let failed = desk::in_state(&mut connection, "failed", -1).await?;
    let online = desk::in_state(&mut connection, "online", -1).await?;
    let wrong = wrong(&mut connection, simulator, cases).await?;
    database::close(connection).await?;

    let screen = &mut session.screen;
    screen.line("")?;
    table::show(screen, &failed)?;
    screen.line(format_args!("and {} online, such as", online.len()))?;
    table::show(screen, &online[..online.len().min(5)])?;
    screen.line(format_args!(
        "Weixin pushed {} ticket{}, saw {} creates, {} describes and gave {} tokens.",
        simulator.pushed(),
        if simulator.pushed() == 1 { "" } else { "s" },
        simulator.calls(Endpoint::Create),
        simulator.calls(Endpoint::Describe),
        simulator.exchanges()
    ))?;
    if wrong.is_empty() {
        screen.line(format_args!(
            "Each of the {} requests ended as it had to; none was opened twice.",
            cases.len()
        ))?;
        return Ok(screen.flush()?);
    }
    screen.flush()?;
    anyhow::bail!("these ended otherwise than they had to:\n{}", wrong.join("\n"))
}

async fn wrong(
    connection: &mut SqliteConnection,
    simulator: &Simulator,
    cases: &[Case],
) -> anyhow::Result<Vec<String>> {
    let envs: Vec<Env> = cases
        .iter()
        .map(|case| Env::parse(&case.env))
        .collect::<Result<_, _>>()?;
    let rows = desk::of_envs(connection, &envs).await?;
    let found = |case: &Case| rows.iter().find(|row| row.env == case.env);
    let judge = |case: &Case| match found(case) {
        None => Some(format!("{}: no status", case.env)),
        Some(row) => verdict(case, row, simulator.effective_creates(&case.env)),
    };
    Ok(cases.iter().filter_map(judge).collect())
}

fn verdict(case: &Case, row: &StatusRow, creates: u64) -> Option<String> {
    let wanted = match case.kind.ending {
        Ending::Online => "online",
        Ending::Failed => "failed",
    };
    let right =
        row.state == wanted && case.kind.errcode.is_none_or(|code| row.errcode == Some(code)) && creates <= 1;
    (!right).then(|| {
        format!(
            "{}: {} (errcode {:?}, {creates} effective creates), not {wanted}",
            row.env, row.state, row.errcode
        )
    })
}
