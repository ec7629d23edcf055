//! The files that hold secrets: there, readable for us, and for nobody else.

use std::io::ErrorKind;

use anyhow::Context as _;

use super::Finding;
use crate::cli::database::{folder, writable};
use crate::cli::secret;
use crate::config::Config;

pub(super) fn appsecret(config: &Config) -> Finding {
    secret::appsecret(config)?;
    Ok(config.component.secret_file()?.display().to_string())
}

/// No cache is no fault: the daemon writes it with its first token.
pub(super) fn token_cache(config: &Config) -> Finding {
    let file = &config.token.cache_file;
    match std::fs::metadata(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = folder(file);
            writable(folder)
                .with_context(|| format!("token.cache_file cannot be written to {}", folder.display()))?;
            Ok(format!("{}, not written yet", file.display()))
        }
        Err(error) => {
            Err(error).with_context(|| format!("{} (token.cache_file) cannot be read", file.display()))
        }
        Ok(about) => {
            anyhow::ensure!(
                about.is_file(),
                "{} (token.cache_file) is no file",
                file.display()
            );
            secret::ours_alone(file)?;
            Ok(file.display().to_string())
        }
    }
}
