//! The secrets that the configuration names by file: there, whole, and closed to everybody else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use super::session::Misconfigured;
use crate::config::Config;
use crate::credential::AppSecret;

/// Permissions of people who are neither the owner nor in the group.
const OTHERS: u32 = 0o007;

/// Reads the `component_appsecret`.
///
/// # Errors
/// [`Misconfigured`] when no file is named, it can't be read, holds no secret, or is open to everybody.
pub(super) fn appsecret(config: &Config) -> anyhow::Result<AppSecret> {
    let file = config.component.secret_file()?;
    let name = format!("{} (component.appsecret_file)", file.display());
    let text = std::fs::read_to_string(file)
        .map_err(|error| Misconfigured(format!("{name} cannot be read: {error}")))?;
    ours_alone(file)?;
    AppSecret::parse(&text)
        .map_err(|error| Misconfigured(format!("{name} does not hold the secret: {error}")).into())
}

/// Refuses a file that everybody on this machine may use.
///
/// # Errors
/// [`Misconfigured`], with the command that mends it.
pub(super) fn ours_alone(file: &Path) -> anyhow::Result<()> {
    let name = file.display();
    let mode = std::fs::metadata(file)
        .with_context(|| format!("{name} cannot be looked at"))?
        .permissions()
        .mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    Err(Misconfigured(format!(
        "{name} is open to everybody on this machine: chmod o= {name}"
    ))
    .into())
}
