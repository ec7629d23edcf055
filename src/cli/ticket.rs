//! `staticstored ticket`: a component_verify_ticket, from whoever received it. It is never shown.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::database;
use super::session::Session;
use super::text::{input_name, read_input};
use crate::credential::Ticket;
use crate::store::{Access, desk};

/// `staticstored ticket`
#[derive(Debug, Args)]
pub struct Options {
    /// The file that holds the ticket and nothing else; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) async fn run(session: &mut Session, options: &Options) -> anyhow::Result<()> {
    let config = session.config()?;
    let bytes = read_input(&options.file)?;
    let ticket = Ticket::parse(&String::from_utf8_lossy(&bytes))
        .with_context(|| format!("{} holds no ticket", input_name(&options.file)))?;
    let mut connection = database::open(&config.database, Access::Write).await?;
    desk::insert_ticket(&mut connection, &ticket)
        .await
        .map_err(|error| database::explained(&config.database.path, error))?;
    database::close(connection).await?;
    session.screen.line("ticket inserted; the newest one counts")?;
    Ok(())
}
