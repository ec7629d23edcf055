//! Where log lines go: to people on standard error, or to the journal with its own fields.
//!
//! `RUST_LOG` chooses what is logged, `info` if it is not set. Nothing that is logged anywhere holds a secret, at any level.

use std::io::{self, IsTerminal as _};
use std::os::linux::fs::MetadataExt as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::Environment;

/// What is logged without `RUST_LOG`. (The scheduler tells its own life at info: "Uninited". What the verifier of certificates
/// finds wrong is in our own line, with what it led to.)
const DEFAULT: &str = "info,tokio_cron_scheduler=warn,rustls_platform_verifier=off";

/// Why nothing is logged.
#[derive(Debug, thiserror::Error)]
pub enum ObservabilityError {
    /// `RUST_LOG` is no filter.
    #[error(
        "RUST_LOG is {value:?}, which is no filter: write a level (error, warn, info, debug, trace) or target=level pairs"
    )]
    Filter {
        /// What it is.
        value: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody was faster.
    #[error("the log is set up already")]
    Twice(#[from] TryInitError),
}

/// Starts to log, for the whole process.
///
/// # Errors
/// When `RUST_LOG` can't be read, or the log is set up already.
pub fn start(env: &Environment) -> Result<(), ObservabilityError> {
    let wanted = env.get("RUST_LOG").filter(|value| !value.is_empty());
    let value = wanted.map_or(DEFAULT, String::as_str);
    let filter = EnvFilter::try_new(value).map_err(|source| ObservabilityError::Filter {
        value: value.to_owned(),
        source,
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    if goes_to_journal(env)
        && let Ok(journal) = tracing_journald::layer()
    {
        return Ok(registry.with(journal.with_field_prefix(None)).try_init()?);
    }
    let colour = io::stderr().is_terminal() && env.get("NO_COLOR").is_none_or(String::is_empty);
    let people = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(colour)
        .with_target(false);
    Ok(registry.with(people).try_init()?)
}

/// Whether standard error is the journal: systemd says which file that would be (systemd.exec(5), `$JOURNAL_STREAM`).
fn goes_to_journal(env: &Environment) -> bool {
    let Some((device, inode)) = env
        .get("JOURNAL_STREAM")
        .and_then(|stream| stream.split_once(':'))
    else {
        return false;
    };
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|file| file.st_dev().to_string() == device && file.st_ino().to_string() == inode)
}
