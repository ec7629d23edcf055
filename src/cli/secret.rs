//! The secrets that the configuration names by file: there, whole, and closed to everybody else.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use secrecy::zeroize::Zeroizing;

use super::session::Misconfigured;
use crate::config::{Callback, Config, TokenSource};
use crate::credential::{AesKey, AppSecret, Bearer, CallbackToken, NotACredential};
use crate::daemon::{CallbackSecrets, Secrets};

/// Permissions of people who are neither the owner nor in the group.
const OTHERS: u32 = 0o007;
/// Where systemd puts credentials (systemd.exec(5)).
const CREDENTIALS: &str = "/run/credentials";

/// systemd's copy of a secret is for the service's main process alone, not for the commands of `ExecReload=`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Withheld(String);

/// Reads all the secrets that the configuration needs, and no other.
///
/// # Errors
/// [`Misconfigured`], as for each.
pub(super) fn all(config: &Config) -> anyhow::Result<Secrets> {
    let callback = config.callback.as_ref().map(callback).transpose()?;
    Ok(match &config.token.source {
        TokenSource::Component => Secrets {
            appsecret: Some(appsecret(config)?),
            bearer: None,
            callback,
        },
        TokenSource::Url { bearer_file, .. } => Secrets {
            appsecret: None,
            bearer: bearer_file.as_deref().map(bearer).transpose()?,
            callback,
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
    let text = text(file, &name)?;
    parse(&text).map_err(|error| Misconfigured(format!("{name} does not hold {what}: {error}")).into())
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
    let text = std::fs::read_to_string(file).map_err(|error| {
        let complaint = format!("{name} cannot be read: {error}");
        if error.kind() == ErrorKind::PermissionDenied && file.starts_with(CREDENTIALS) {
            anyhow::Error::from(Withheld(complaint))
        } else {
            Misconfigured(complaint).into()
        }
    })?;
    let text = Zeroizing::new(text);
    ours_alone(file)?;
    if text.trim().is_empty() {
        return Err(Misconfigured(format!("{name} is empty: {}", whence(file))).into());
    }
    Ok(text)
}

/// What to do about an empty file.
fn whence(file: &Path) -> String {
    match file.file_name() {
        // As the unit fills them where there is nothing to load.
        Some(name) if file.starts_with(CREDENTIALS) => format!(
            "put what belongs there into /etc/staticstored/{} (mode 0600), from where systemd loads it at the next start",
            name.display()
        ),
        _ => "write what belongs there into it".to_owned(),
    }
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
