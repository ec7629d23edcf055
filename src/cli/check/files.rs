//! The files that hold secrets: there, readable for us, and for nobody else.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use super::Finding;
use crate::cli::database::{folder, writable};
use crate::config::Config;
use crate::credential::AppSecret;

/// Permissions of people who are neither the owner nor in the group.
const OTHERS: u32 = 0o007;

pub(super) fn appsecret(config: &Config) -> Finding {
    let file = config.component.secret_file()?;
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} (component.appsecret_file) cannot be read", file.display()))?;
    AppSecret::parse(&text).with_context(|| format!("{} does not hold the secret", file.display()))?;
    ours_alone(file)?;
    Ok(file.display().to_string())
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
            ours_alone(file)?;
            Ok(file.display().to_string())
        }
    }
}

fn ours_alone(file: &Path) -> anyhow::Result<()> {
    let mode = std::fs::metadata(file)?.permissions().mode();
    let name = file.display();
    anyhow::ensure!(
        mode & OTHERS == 0,
        "{name} is open to everybody on this machine: chmod o= {name}"
    );
    Ok(())
}
