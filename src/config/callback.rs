//! `[callback]`: the receiver of Weixin's push.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::settings::Settings;
use super::value::{address, path, url_path};
use super::{ConfigError, Environment, Problem, credential};

/// `[callback]`: the receiver of Weixin's push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The path that takes the push. Default: `/weixin/callback`.
    pub path: String,
    /// The file that holds the token of the push's signature. Default: `$CREDENTIALS_DIRECTORY/callback_token`; see
    /// [`Callback::token_file`].
    pub token_file: Option<PathBuf>,
    /// The file that holds the EncodingAESKey. Default: `$CREDENTIALS_DIRECTORY/encoding_aes_key`; see
    /// [`Callback::aes_key_file`].
    pub aes_key_file: Option<PathBuf>,
    /// The file that holds the EncodingAESKey before the current one, while the key is being changed. Default: none.
    pub previous_aes_key_file: Option<PathBuf>,
}

impl Callback {
    /// The file that holds the token of the push's signature.
    ///
    /// # Errors
    /// When neither the key nor systemd names one.
    pub fn token_file(&self) -> Result<&Path, ConfigError> {
        named(
            self.token_file.as_deref(),
            "callback.token_file",
            "callback_token",
        )
    }

    /// The file that holds the EncodingAESKey.
    ///
    /// # Errors
    /// When neither the key nor systemd names one.
    pub fn aes_key_file(&self) -> Result<&Path, ConfigError> {
        named(
            self.aes_key_file.as_deref(),
            "callback.aes_key_file",
            "encoding_aes_key",
        )
    }
}

fn named<'a>(file: Option<&'a Path>, key: &str, name: &str) -> Result<&'a Path, ConfigError> {
    file.ok_or_else(|| {
        ConfigError::from(Problem::new(
            key,
            format!(
                "is required with callback.listen: set it to the file that holds the secret, or let systemd pass it \
                 (LoadCredential={name}:FILE, which sets CREDENTIALS_DIRECTORY)"
            ),
        ))
    })
}

/// Reads the section; `None` without an address to listen on. What else is set is checked all the same.
pub(super) fn callback(settings: &mut Settings, env: &Environment) -> Option<Callback> {
    let listen = settings.get("callback.listen", address);
    let path_ = settings.or("callback.path", "/weixin/callback", url_path);
    let token_file = settings.get("callback.token_file", path);
    let aes_key_file = settings.get("callback.aes_key_file", path);
    let previous_aes_key_file = settings.get("callback.previous_aes_key_file", path);
    Some(Callback {
        listen: listen?,
        path: path_,
        token_file: token_file.or_else(|| credential(env, "callback_token")),
        aes_key_file: aes_key_file.or_else(|| credential(env, "encoding_aes_key")),
        previous_aes_key_file,
    })
}
