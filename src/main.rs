//! The `staticstored` program: arguments, environment, clock and output go in, an exit status comes out.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use staticstored::cli::{self, Cli, Screen, Session};
use staticstored::clock::Clock;
use staticstored::config::Environment;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let status = match start(cli) {
        Ok(()) => cli::DONE,
        Err(error) => {
            let status = cli::exit_status(&error);
            if status != cli::DONE {
                eprintln!("staticstored: {}", cli::message(&error));
            }
            status
        }
    };
    ExitCode::from(status)
}

fn start(cli: Cli) -> anyhow::Result<()> {
    keep_memory()?;
    let env = environment();
    let screen = Screen::stdout(&env);
    let mut session = Session {
        config: cli.config,
        env,
        clock: Clock::system(),
        screen,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(cli::run(cli.command, &mut session));
    // Dropping it would wait for a name lookup that hangs. What had to be written is written.
    runtime.shutdown_background();
    done
}

/// Keeps our memory, and with it the secrets, out of core files and from other processes of the same user. Not by a limit of
/// 0 on core files: the kernel asks for none where it pipes them to a program (core(5)).
fn keep_memory() -> anyhow::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context("the kernel does not let this process forbid core dumps, which would hold the secrets")
}

/// The environment, once; a variable that is no Unicode can be none of ours.
fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
