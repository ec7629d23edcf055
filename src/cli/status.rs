//! `staticstored status`: how the service is and how the requests are, those first that need somebody.

mod detail;
mod summary;
pub(super) mod table;
pub(super) mod watch;

use clap::Args;
use clap::builder::PossibleValuesParser;
use sqlx::SqliteConnection;

use super::database;
use super::enqueue::env_argument;
use super::session::Session;
use crate::request::Env;
use crate::store::desk::{self, STATES, StatusRow};
use crate::store::{Access, StoreError};

/// `staticstored status`
#[derive(Debug, Args)]
pub struct Options {
    /// Only these environments; a single one is shown with all its columns and its last calls
    #[arg(value_name = "ENV", value_parser = env_argument)]
    envs: Vec<Env>,
    /// Only requests in this state
    #[arg(long, value_name = "S", value_parser = PossibleValuesParser::new(STATES))]
    state: Option<String>,
    /// Print the rows of the status table, one JSON object on each line
    #[arg(long)]
    json: bool,
    /// Show the progress every second until Ctrl-C: bars on a terminal, else a line whenever it changes
    #[arg(long, conflicts_with_all = ["json", "envs", "state", "limit"])]
    watch: bool,
    /// At most so many requests, 0 for all [default: 20; all with --json]
    #[arg(long, value_name = "N", conflicts_with = "envs")]
    limit: Option<u32>,
}

/// How many requests a person sees unless more are asked for.
const LIMIT: u32 = 20;

pub(super) async fn run(session: &mut Session, options: &Options) -> anyhow::Result<()> {
    let database = session.database()?;
    let mut connection = database::open(&database, Access::Read).await?;
    if options.watch {
        return watch::run(session, &mut connection, watch::Until::Interrupted)
            .await
            .map(|_| ());
    }
    if options.json {
        let rows = select(&mut connection, options, options.limit.unwrap_or(0)).await?;
        for row in &rows {
            session.screen.line(serde_json::to_string(row)?)?;
        }
        return never_requested(session, options, &rows);
    }
    people(session, options, &mut connection).await
}

async fn people(
    session: &mut Session,
    options: &Options,
    connection: &mut SqliteConnection,
) -> anyhow::Result<()> {
    let service = desk::service(connection).await?;
    let counts = desk::counts(connection).await?;
    let rows = select(connection, options, options.limit.unwrap_or(LIMIT)).await?;
    let width = session.screen.width;
    for line in summary::lines(&service, &counts, session.clock.now()) {
        table::wrapped(&mut session.screen, &line, width)?;
    }
    match (&options.envs[..], &rows[..]) {
        ([env], [row]) => {
            let attempts = desk::attempts(connection, env, detail::ATTEMPTS).await?;
            detail::show(&mut session.screen, row, &attempts)?;
        }
        _ => table::show(&mut session.screen, &rows)?,
    }
    if let Some(more) = more(options, &counts, rows.len()) {
        session.screen.line(more)?;
    }
    never_requested(session, options, &rows)
}

/// The rows that were asked for; `limit` at most, 0 for all.
async fn select(
    connection: &mut SqliteConnection,
    options: &Options,
    limit: u32,
) -> Result<Vec<StatusRow>, StoreError> {
    let wanted = |state: &str| options.state.as_deref().is_none_or(|wanted| wanted == state);
    if !options.envs.is_empty() {
        let mut rows = desk::of_envs(connection, &options.envs).await?;
        rows.retain(|row| wanted(&row.state));
        return Ok(rows);
    }
    let mut rows = Vec::new();
    for state in STATES.into_iter().filter(|state| wanted(state)) {
        let left = i64::from(limit) - rows.len() as i64;
        match limit {
            0 => rows.extend(desk::in_state(connection, state, -1).await?),
            _ if left > 0 => rows.extend(desk::in_state(connection, state, left).await?),
            _ => break,
        }
    }
    Ok(rows)
}

/// What to say of the requests that are not shown.
fn more(options: &Options, counts: &[(String, i64)], shown: usize) -> Option<String> {
    if !options.envs.is_empty() {
        return None;
    }
    let of = counts
        .iter()
        .filter(|(state, _)| options.state.as_ref().is_none_or(|wanted| wanted == state));
    let more = of.map(|(_, count)| count).sum::<i64>() - shown as i64;
    (more > 0).then(|| format!("... and {more} more (--limit 0 shows all)"))
}

/// Fails when an environment was named that nobody ever requested.
fn never_requested(session: &mut Session, options: &Options, rows: &[StatusRow]) -> anyhow::Result<()> {
    session.screen.flush()?;
    if options.state.is_some() {
        return Ok(());
    }
    let known = |env: &&Env| !rows.iter().any(|row| row.env == env.as_str());
    let unknown: Vec<_> = options.envs.iter().filter(known).map(Env::as_str).collect();
    anyhow::ensure!(unknown.is_empty(), "never requested: {}", unknown.join(", "));
    Ok(())
}
