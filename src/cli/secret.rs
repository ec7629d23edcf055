//! The secrets that the configuration names by file: there, whole, and closed to everybody else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use super::session::Misconfigured;
use crate::config::{Config, TokenSource};
use crate::credential::{AppSecret, Bearer, NotACredential};
use crate::daemon::Secrets;

/// Permissions of people who are neither the owner nor in the group.
const OTHERS: u32 = 0o007;

/// Reads all the secrets that the configuration needs, and no other.
///
/// # Errors
/// [`Misconfigured`], as [`appsecret`] and [`bearer`].
pub(super) fn all(config: &Config) -> anyhow::Result<Secrets> {
    Ok(match &config.token.source {
        TokenSource::Component => Secrets {
            appsecret: Some(appsecret(config)?),
            bearer: None,
        },
        TokenSource::Url { bearer_file, .. } => Secrets {
            appsecret: None,
            bearer: bearer_file.as_deref().map(bearer).transpose()?,
        },
    })
}

/// Reads the `component_appsecret`.
///
/// # Errors
/// [`Misconfigured`] when no file is named, it can't be read, holds no secret, or is open to everybody.
pub(super) fn appsecret(config: &Config) -> anyhow::Result<AppSecret> {
    let file = config.component.secret_file()?;
    read(file, "component.appsecret_file", "the secret", AppSecret::parse)
}

/// Reads what the program that owns the token wants to see.
///
/// # Errors
/// [`Misconfigured`] when it can't be read, holds no credential, or is open to everybody.
pub(super) fn bearer(file: &Path) -> anyhow::Result<Bearer> {
    read(file, "token.bearer_file", "a credential", Bearer::parse)
}

fn read<T>(
    file: &Path,
    key: &str,
    what: &str,
    parse: impl Fn(&str) -> Result<T, NotACredential>,
) -> anyhow::Result<T> {
    let name = format!("{} ({key})", file.display());
    let text = std::fs::read_to_string(file)
        .map_err(|error| Misconfigured(format!("{name} cannot be read: {error}")))?;
    ours_alone(file)?;
    parse(&text).map_err(|error| Misconfigured(format!("{name} does not hold {what}: {error}")).into())
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
