//! `staticstored check`: all that must be right before the daemon is started, a line for each, and how to mend it.

mod callback;
mod files;
mod share;
mod token;

use anyhow::Context as _;
use clap::Args;
use sqlx::SqliteConnection;

use super::session::{Misconfigured, Session};
use super::text::{message, span};
use super::{database, secret};
use crate::clock;
use crate::config::{Config, TokenSource};
use crate::store::{Access, desk};

/// How old a ticket may be: Weixin pushes one every ten minutes and honours it for twelve hours (weixin-api.md 2.4).
const TICKET_LIFETIME: std::time::Duration = std::time::Duration::from_secs(12 * 3600);

/// `staticstored check`
#[derive(Debug, Args)]
pub struct Options {
    /// Look only at what a reload reads: the configuration and the files of the secrets
    #[arg(long)]
    files: bool,
}

/// What was found about one thing: a word about it, or what is wrong and how to mend it.
type Finding = anyhow::Result<String>;

pub(super) async fn run(session: &mut Session, options: &Options) -> anyhow::Result<()> {
    let file = session.config_file().display().to_string();
    let config = session.config();
    let mut findings = vec![(
        "configuration",
        config
            .as_ref()
            .map(|_| file)
            .map_err(|error| anyhow::anyhow!(message(error))),
    )];
    match &config {
        Ok(config) if options.files => findings.push(("secrets", secrets(config))),
        Ok(config) => findings.extend(all(session, config).await),
        Err(_) => {}
    }
    report(session, findings)
}

/// As a reload reads them, but for what only the service can.
fn secrets(config: &Config) -> Finding {
    match secret::all(config) {
        Ok(_) => Ok("each that is named can be used".to_owned()),
        Err(error) if error.is::<secret::Withheld>() => {
            Ok("systemd's copies, which the service alone may read".to_owned())
        }
        Err(error) => Err(error),
    }
}

/// All that is there beside the configuration.
async fn all(session: &Session, config: &Config) -> Vec<(&'static str, Finding)> {
    let mut findings = token::lines(session, config).await;
    if let Some(share) = &config.share {
        findings.push(("sharing", share::socket(session, share).await));
    }
    findings.extend(callback::findings(config.callback.as_ref()).await);
    findings.extend(stored(session, config).await);
    findings
}

fn report(session: &mut Session, findings: Vec<(&'static str, Finding)>) -> anyhow::Result<()> {
    let mut wrong = 0;
    for (thing, finding) in findings {
        match finding {
            Ok(word) => session.screen.line(format_args!("ok     {thing}: {word}"))?,
            Err(error) => {
                wrong += 1;
                session
                    .screen
                    .line(format_args!("WRONG  {thing}: {}", message(&error)))?;
            }
        }
    }
    session.screen.flush()?;
    if wrong > 0 {
        return Err(Misconfigured(format!("{wrong} of these must be mended")).into());
    }
    Ok(())
}

/// What the database says; only why not, when it cannot be opened.
async fn stored(session: &Session, config: &Config) -> Vec<(&'static str, Finding)> {
    let mut connection = match database::open(&config.database, Access::Write).await {
        Ok(connection) => connection,
        Err(error) => return vec![("database", Err(error))],
    };
    let mut findings = vec![
        ("database", written(&mut connection, config).await),
        ("SQLite", library(&mut connection).await),
    ];
    // A guest needs none.
    if config.token.source == TokenSource::Component {
        findings.push(("ticket", ticket(&mut connection, session, config).await));
    }
    findings
}

async fn written(connection: &mut SqliteConnection, config: &Config) -> Finding {
    let path = &config.database.path;
    let schema = desk::schema(connection).await?.known;
    let writable = desk::try_write(connection).await;
    writable
        .map_err(|error| database::explained(path, error))
        .with_context(|| {
            format!(
                "{} is not writable for this user (its group may write: chmod g+rw)",
                path.display()
            )
        })?;
    Ok(format!("{}, schema {schema}, writable", path.display()))
}

async fn library(connection: &mut SqliteConnection) -> Finding {
    Ok(desk::sqlite_version(connection).await?)
}

/// No ticket is no fault of the set-up: the first one comes up to ten minutes after Weixin was told where to push it.
async fn ticket(connection: &mut SqliteConnection, session: &Session, config: &Config) -> Finding {
    let Some(at) = desk::ticket_received_at(connection).await? else {
        let receives = config.callback.is_some();
        let then = if receives {
            ""
        } else {
            ", and whatever receives it inserts it"
        };
        return Ok(format!("none yet; Weixin pushes one every ten minutes{then}"));
    };
    let age = clock::parse(&at)
        .map(|at| clock::between(at, session.clock.now()))
        .unwrap_or_default();
    anyhow::ensure!(
        age < TICKET_LIFETIME,
        "the newest is {} old, and Weixin honours one for 12 h: look at what receives Weixin's push",
        span(age)
    );
    Ok(format!("the newest is {} old", span(age)))
}
