//! Where log lines go: to people on standard error, or to the journal with its own fields.
//!
//! `RUST_LOG` chooses what is logged, else `log.level`, which may change while we run. Nothing that is logged anywhere holds a
//! secret, at any level.

use std::io::{self, IsTerminal as _};
use std::os::linux::fs::MetadataExt as _;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Registry};

use crate::config::{self, Environment};

/// The scheduler tells its own life at info ("Uninited"). What the verifier of certificates finds wrong is in our own line,
/// with what it led to. The file watcher would log each write to a log file beside the database, which is a write to it. Who
/// names them gets to read them.
const QUIET: &str = "tokio_cron_scheduler=warn,rustls_platform_verifier=off,notify=off";

/// Why nothing is logged.
#[derive(Debug, thiserror::Error)]
pub enum ObservabilityError {
    /// `RUST_LOG` or `log.level` is no filter.
    #[error(
        "{name} is {value:?}, which is no filter: write a level (error, warn, info, debug, trace) or target=level pairs"
    )]
    Filter {
        /// Which of them.
        name: &'static str,
        /// What it is.
        value: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody was faster.
    #[error("the log is set up already")]
    Twice(#[from] TryInitError),
}

/// What is logged, to be changed. Clones share it.
#[derive(Clone, Debug)]
pub struct Level {
    filter: reload::Handle<EnvFilter, Registry>,
    /// Whether `RUST_LOG` decides, whatever the configuration says.
    fixed: bool,
}

impl Level {
    /// Logs by another `log.level` from now on, unless `RUST_LOG` is set; whether it does.
    pub fn set(&self, log: &config::Log) -> bool {
        if self.fixed {
            return false;
        }
        // The configuration took it for a filter already.
        let set = filter("log.level", &log.level).map(|filter| self.filter.reload(filter));
        matches!(set, Ok(Ok(())))
    }
}

/// Starts to log, for the whole process.
///
/// # Errors
/// When `RUST_LOG` can't be read, or the log is set up already.
pub fn start(env: &Environment, log: &config::Log) -> Result<Level, ObservabilityError> {
    let wanted = env.get("RUST_LOG").filter(|value| !value.is_empty());
    let filter = match wanted {
        Some(value) => filter("RUST_LOG", value)?,
        None => filter("log.level", &log.level)?,
    };
    let (filter, handle) = reload::Layer::new(filter);
    let level = Level {
        filter: handle,
        fixed: wanted.is_some(),
    };
    let registry = tracing_subscriber::registry().with(filter);
    if goes_to_journal(env)
        && let Ok(journal) = tracing_journald::layer()
    {
        registry.with(journal.with_field_prefix(None)).try_init()?;
        return Ok(level);
    }
    let colour = io::stderr().is_terminal() && env.get("NO_COLOR").is_none_or(String::is_empty);
    let people = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(colour)
        .with_target(false);
    registry.with(people).try_init()?;
    Ok(level)
}

/// Reads a filter under the quiet targets. A later directive wins, so a value that names one of them is obeyed.
fn filter(name: &'static str, value: &str) -> Result<EnvFilter, ObservabilityError> {
    // Off is off, for the scheduler as well.
    let whole = match value.eq_ignore_ascii_case("off") {
        true => value.to_owned(),
        false => format!("{QUIET},{value}"),
    };
    EnvFilter::try_new(whole).map_err(|source| ObservabilityError::Filter {
        name,
        value: value.to_owned(),
        source,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_watcher_is_quiet_at_every_level_unless_it_is_named() {
        for name in ["RUST_LOG", "log.level"] {
            for level in ["info", "debug", "trace", "TRACE", "staticstored=trace,warn"] {
                let filter = filter(name, level).unwrap().to_string();
                assert!(filter.contains("notify=off"), "{level}: {filter}");
            }
            let named = filter(name, "trace,notify=trace").unwrap().to_string();
            assert!(
                named.contains("notify=trace") && !named.contains("notify=off"),
                "{named}"
            );
            assert!(filter(name, "no=such=filter").is_err());
        }
    }
}
