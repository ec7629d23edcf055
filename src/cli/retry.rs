//! `staticstored retry`: failed requests, once more.

use clap::Args;

use super::database;
use super::enqueue::env_argument;
use super::session::Session;
use crate::request::Env;
use crate::store::Access;
use crate::store::desk::{self, StatusRow};

/// `staticstored retry`
#[derive(Debug, Args)]
pub struct Options {
    /// Environment IDs whose request failed
    #[arg(value_name = "ENV", value_parser = env_argument, required_unless_present = "failed", conflicts_with = "failed")]
    envs: Vec<Env>,
    /// All whose request failed
    #[arg(long)]
    failed: bool,
}

pub(super) async fn run(session: &mut Session, options: &Options) -> anyhow::Result<()> {
    let config = session.config()?;
    let mut connection = database::open(&config.database, Access::Write).await?;
    if options.failed {
        let again = desk::retry_failed(&mut connection)
            .await
            .map_err(|error| database::explained(&config.database.path, error))?;
        database::close(connection).await?;
        session.screen.line(format_args!("{again} requested again"))?;
        return Ok(());
    }
    let found = desk::of_envs(&mut connection, &options.envs).await?;
    let again = desk::retry(&mut connection, &options.envs)
        .await
        .map_err(|error| database::explained(&config.database.path, error))?;
    database::close(connection).await?;
    session.screen.line(format_args!("{again} requested again"))?;
    session.screen.flush()?;
    let others: Vec<String> = options
        .envs
        .iter()
        .filter_map(|env| objection(env, &found))
        .collect();
    anyhow::ensure!(others.is_empty(), "{}", others.join("\n"));
    Ok(())
}

/// Why an environment is not requested again; `None` when it is.
fn objection(env: &Env, found: &[StatusRow]) -> Option<String> {
    match found
        .iter()
        .find(|row| row.env == env.as_str())
        .map(|row| row.state.as_str())
    {
        Some("failed") => None,
        Some(state @ ("pending" | "opening" | "retrying")) => {
            Some(format!("{env} is {state}: it is being worked on"))
        }
        Some(state) => Some(format!(
            "{env} is {state}, not failed: `staticstored enqueue {env}` requests it afresh"
        )),
        None => Some(format!(
            "{env} was never requested: `staticstored enqueue {env}` does"
        )),
    }
}
