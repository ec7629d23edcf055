//! The secrets that the configuration names by file: there, whole, and closed to everybody else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use secrecy::zeroize::Zeroizing;

use super::session::Misconfigured;
use crate::config::{Callback, Config};
use crate::credential::{AesKey, AppSecret, CallbackToken};
use crate::daemon::CallbackSecrets;

/// Permissions of people who are neither the owner nor in the group.
const OTHERS: u32 = 0o007;

/// Reads the `component_appsecret`.
///
/// # Errors
/// [`Misconfigured`] when no file is named, it can't be read, holds no secret, or is open to everybody.
pub(super) fn appsecret(config: &Config) -> anyhow::Result<AppSecret> {
    let file = config.component.secret_file()?;
    let name = format!("{} (component.appsecret_file)", file.display());
    let text = text(file, &name)?;
    AppSecret::parse(&text)
        .map_err(|error| Misconfigured(format!("{name} does not hold the secret: {error}")).into())
}

/// Reads what Weixin's push is signed and encrypted with.
///
/// # Errors
/// As for [`appsecret`].
pub(super) fn callback(config: &Callback) -> anyhow::Result<CallbackSecrets> {
    Ok(CallbackSecrets {
        token: callback_token(config)?,
        aes_key: aes_key(config.aes_key_file()?, "callback.aes_key_file")?,
        previous_aes_key: previous_aes_key(config)?,
    })
}

/// Reads the token of the push's signature.
///
/// # Errors
/// As for [`appsecret`].
pub(super) fn callback_token(config: &Callback) -> anyhow::Result<CallbackToken> {
    let file = config.token_file()?;
    let name = format!("{} (callback.token_file)", file.display());
    let text = text(file, &name)?;
    CallbackToken::parse(&text).map_err(|error| Misconfigured(format!("{name}: {error}")).into())
}

/// Reads an EncodingAESKey.
///
/// # Errors
/// As for [`appsecret`].
pub(super) fn aes_key(file: &Path, key: &str) -> anyhow::Result<AesKey> {
    let name = format!("{} ({key})", file.display());
    let text = text(file, &name)?;
    AesKey::parse(&text).map_err(|error| Misconfigured(format!("{name}: {error}")).into())
}

/// Reads the EncodingAESKey before the current one, if one is named.
///
/// # Errors
/// As for [`appsecret`].
pub(super) fn previous_aes_key(config: &Callback) -> anyhow::Result<Option<AesKey>> {
    let file = config.previous_aes_key_file.as_deref();
    file.map(|file| aes_key(file, "callback.previous_aes_key_file"))
        .transpose()
}

/// The text of a file that is closed to everybody else; wiped when it is dropped.
fn text(file: &Path, name: &str) -> anyhow::Result<Zeroizing<String>> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Misconfigured(format!("{name} cannot be read: {error}")))?;
    ours_alone(file)?;
    Ok(Zeroizing::new(text))
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
