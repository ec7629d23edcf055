//! The command line: what there is to type, and what each ending means to a script.
//!
//! Each subcommand is a function over a [`Session`], which holds all that comes from outside (environment, clock,
//! output), so that nothing below reads a global.

mod check;
mod completions;
mod database;
mod demo;
mod enqueue;
mod explain;
mod init;
mod man;
mod pause;
mod push;
mod retry;
mod run;
mod screen;
mod secret;
mod session;
mod simulate;
mod status;
mod text;
mod ticket;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use screen::Screen;
pub use session::{Misconfigured, Session};
pub use text::message;

use crate::config::ConfigError;
use crate::share::ShareError;
use crate::store::StoreError;

/// It is done.
pub const DONE: u8 = 0;
/// It failed.
pub const FAILED: u8 = 1;
/// Try again later: another daemon holds the database, or listens on the socket that the token is shared on.
pub const TRY_LATER: u8 = 75;
/// The configuration, the credentials or the database are not as they must be.
pub const MISCONFIGURED: u8 = 78;

/// Opens the static websites of Weixin cloud environments and keeps the component_access_token that takes.
#[derive(Debug, Parser)]
#[command(name = "staticstored", version, arg_required_else_help = true, after_help = EXIT_STATUS)]
pub struct Cli {
    /// The configuration [default: /etc/staticstored/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_STATUS: &str = "Exit status: 0 done; 1 it failed; 2 usage; 75 try again later (another daemon holds the \
                           database or the socket); 78 configuration.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground; SIGTERM and SIGINT finish what is in flight and exit 0
    Run,
    /// Create or migrate the database, so that requests can be inserted before the first start
    Init,
    /// Say what is right and what is wrong with configuration, credentials and database; exit 0 or 78
    Check(check::Options),
    /// Request static websites, and say how many requests were new
    Enqueue(enqueue::Options),
    /// Show the service and the requests, those first that need attention
    Status(status::Options),
    /// Request failed ones again
    Retry(retry::Options),
    /// Stop new calls to Weixin within a second; requests may still be inserted
    Pause,
    /// Go on after a pause
    Resume,
    /// Insert a component_verify_ticket that another program received
    Ticket(ticket::Options),
    /// Ask from outside whether a push of Weixin's would arrive: send an event of no consequence, signed, to its URL
    Push(push::Options),
    /// Say what a Weixin errcode means, what staticstored does about it, and what you can do
    Explain(explain::Options),
    /// Run a Weixin platform on loopback, with faults to switch on
    Simulate(SimulateOptions),
    /// Show the whole thing at work against the simulator, in a temporary directory; needs nothing set up
    Demo(DemoOptions),
    /// Print a completion script for a shell
    Completions(completions::Options),
    /// Write the man pages into a directory
    Man(man::Options),
}

/// `staticstored simulate`
#[derive(Debug, Args)]
pub struct SimulateOptions {
    /// The address to listen on; port 0 takes any that is free
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8018")]
    pub listen: SocketAddr,
    /// The share of calls that go wrong in one way or another, from 0 to 1
    #[arg(long, value_name = "RATE", default_value_t = 0.0, value_parser = rate)]
    pub faults: f64,
    /// The seed of the faults: the same seed, the same faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How long a website takes from its creation until it is online
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = crate::config::parse_duration)]
    pub opening: std::time::Duration,
    /// How long a token is good for
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = crate::config::parse_duration)]
    pub token_lifetime: std::time::Duration,
    /// Push a component_verify_ticket to this URL, as Weixin does: sealed, at an interval, and when the daemon asks
    #[arg(long, value_name = "URL")]
    pub push: Option<String>,
    /// How often a ticket is pushed
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = crate::config::parse_duration, requires = "push")]
    pub push_every: std::time::Duration,
    /// The file with the callback token that pushes are signed with [default: one that is printed]
    #[arg(long, value_name = "FILE", requires = "push")]
    pub callback_token_file: Option<PathBuf>,
    /// The file with the EncodingAESKey that pushes are encrypted with [default: one that is printed]
    #[arg(long, value_name = "FILE", requires = "push")]
    pub aes_key_file: Option<PathBuf>,
}

/// `staticstored demo`
#[derive(Debug, Args)]
pub struct DemoOptions {
    /// How many environments to open
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub environments: u32,
    /// The seed of the faults: the same seed, the same faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.0..=1.0).contains(rate));
    rate.ok_or_else(|| "a number from 0 to 1".to_owned())
}

/// Does what the command says.
///
/// # Errors
/// With a message for people; [`exit_status`] is what it means to a script.
pub async fn run(command: Command, session: &mut Session) -> anyhow::Result<()> {
    match command {
        Command::Init => init::run(session).await?,
        Command::Check(options) => check::run(session, &options).await?,
        Command::Enqueue(options) => enqueue::run(session, &options).await?,
        Command::Status(options) => status::run(session, &options).await?,
        Command::Retry(options) => retry::run(session, &options).await?,
        Command::Pause => pause::run(session, true).await?,
        Command::Resume => pause::run(session, false).await?,
        Command::Ticket(options) => ticket::run(session, &options).await?,
        Command::Push(options) => push::run(session, &options).await?,
        Command::Explain(options) => explain::run(session, &options)?,
        Command::Completions(options) => completions::run(session, &options)?,
        Command::Man(options) => man::run(session, &options)?,
        Command::Run => run::run(session).await?,
        Command::Simulate(options) => simulate::run(session, &options).await?,
        Command::Demo(options) => demo::run(session, &options).await?,
    }
    Ok(session.screen.flush()?)
}

/// The exit status that an error means. A reader that has gone away (`| head`) is no error.
#[must_use]
pub fn exit_status(error: &anyhow::Error) -> u8 {
    let means = |cause: &(dyn std::error::Error + 'static)| {
        if cause.is::<ConfigError>() || cause.is::<Misconfigured>() || cause.is::<secret::Withheld>() {
            return Some(MISCONFIGURED);
        }
        match cause.downcast_ref() {
            Some(ShareError::Taken(_)) => return Some(TRY_LATER),
            Some(ShareError::NotASocket(_) | ShareError::Folder { .. }) => return Some(MISCONFIGURED),
            _ => {}
        }
        match cause.downcast_ref() {
            Some(StoreError::Held { .. }) => return Some(TRY_LATER),
            // No restart helps.
            Some(StoreError::Newer { .. }) => return Some(MISCONFIGURED),
            _ => {}
        }
        let broken = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::BrokenPipe;
        cause.downcast_ref().filter(|cause| broken(cause)).map(|_| DONE)
    };
    error.chain().find_map(means).unwrap_or(FAILED)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::daemon::DaemonError;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_error_means_its_exit_status_however_deep_it_is() {
        let held = || StoreError::Held {
            path: "q.db".into(),
            holder: "pid 1".into(),
        };
        let newer = StoreError::Newer {
            path: "q.db".into(),
            schema: 2,
        };
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let cases = [
            (anyhow::Error::new(held()), TRY_LATER),
            (DaemonError::from(held()).into(), TRY_LATER),
            (DaemonError::from(ShareError::Taken("s".into())).into(), TRY_LATER),
            (
                DaemonError::from(ShareError::NotASocket("s".into())).into(),
                MISCONFIGURED,
            ),
            (newer.into(), MISCONFIGURED),
            (ConfigError::Syntax("x".into()).into(), MISCONFIGURED),
            (Misconfigured("x".into()).into(), MISCONFIGURED),
            (broken.into(), DONE),
            (anyhow::anyhow!("x"), FAILED),
        ];
        for (error, status) in cases {
            assert_eq!(exit_status(&error.context("while it did something")), status);
        }
    }
}
