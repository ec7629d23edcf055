//! `staticstored completions`: what Tab offers.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use super::session::Session;

/// `staticstored completions`
#[derive(Debug, Args)]
pub struct Options {
    /// The shell that the script is for
    shell: Shell,
}

pub(super) fn run(session: &mut Session, options: &Options) -> anyhow::Result<()> {
    // Into memory first: the generator panics when nobody reads.
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "staticstored", &mut script);
    Ok(session.screen.raw(&script)?)
}
