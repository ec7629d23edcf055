//! `staticstored man`: the man pages, for whoever packages it.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};

use super::Cli;
use super::session::Session;

/// `staticstored man`
#[derive(Debug, Args)]
pub struct Options {
    /// The directory to write staticstored.1 and a page for each subcommand into; it is created if need be
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(session: &mut Session, options: &Options) -> anyhow::Result<()> {
    let directory = &options.directory;
    let failed = || format!("the man pages cannot be written to {}", directory.display());
    std::fs::create_dir_all(directory).with_context(failed)?;
    clap_mangen::generate_to(Cli::command(), directory).with_context(failed)?;
    session
        .screen
        .line(format_args!("man pages written to {}", directory.display()))?;
    Ok(())
}
