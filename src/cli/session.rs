//! What every subcommand starts from: the configuration that was named, the environment, the clock, the output.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Screen;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, DEFAULT_FILE, Database, Environment};

/// Something is not set up as it must be: exit status 78.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misconfigured(pub String);

/// What a subcommand works with.
pub struct Session {
    /// `--config`, if it was given.
    pub config: Option<PathBuf>,
    /// The environment's variables.
    pub env: Environment,
    /// The time.
    pub clock: Clock,
    /// Standard output.
    pub screen: Screen,
}

impl Session {
    /// The file that the configuration is read from.
    #[must_use]
    pub fn config_file(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE))
    }

    /// Reads the configuration. Without `--config`, and without the default file, it is all in the environment.
    ///
    /// # Errors
    /// When the file cannot be read, or does not say what it must.
    pub fn config(&self) -> anyhow::Result<Config> {
        configuration(self.config.as_deref(), &self.env)
    }

    /// Reads the database's place alone. What is wrong elsewhere in the configuration is a note on standard error.
    ///
    /// # Errors
    /// When the file cannot be read, is no TOML, or what it says of the database is wrong.
    pub fn database(&self) -> anyhow::Result<Database> {
        let (database, refused) = read(self.config.as_deref(), &self.env, Config::parse_database)?;
        if let Some(refused) = refused {
            let (file, database) = (self.config_file().display(), database.path.display());
            eprintln!(
                "staticstored: note: this is from the database {database}; a start or a reload of the daemon would \
                 refuse the configuration ({file}): {refused}"
            );
        }
        Ok(database)
    }
}

/// Reads the configuration: the file that is named, or the default one where it exists, under the variables of `env`.
///
/// # Errors
/// As for [`Session::config`].
pub(super) fn configuration(named: Option<&Path>, env: &Environment) -> anyhow::Result<Config> {
    read(named, env, Config::parse)
}

/// Reads the configuration's text with `parse`.
fn read<T>(
    named: Option<&Path>,
    env: &Environment,
    parse: impl Fn(&str, &Environment) -> Result<T, ConfigError>,
) -> anyhow::Result<T> {
    let file = named.unwrap_or(Path::new(DEFAULT_FILE));
    let (text, missing) = match std::fs::read_to_string(file) {
        Ok(text) => (text, ""),
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => {
            (String::new(), ", which does not exist")
        }
        Err(error) => {
            let message = format!("the configuration {} cannot be read: {error}", file.display());
            return Err(Misconfigured(message).into());
        }
    };
    parse(&text, env).with_context(|| format!("the configuration is refused ({}{missing})", file.display()))
}
