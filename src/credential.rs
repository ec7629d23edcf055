//! What must not leak: the platform's secret, its ticket, its token, what proves to another program who we are, and the
//! two that Weixin's push is sealed with.
//!
//! Each is a type of its own, so that one is never taken for another; none can be printed or serialized.

mod push;

use secrecy::{ExposeSecret, SecretString};

pub use push::{AesKey, CallbackToken, NotAKey};

use crate::clock::Timestamp;

/// The `component_appsecret`.
#[derive(Clone, Debug)]
pub struct AppSecret(SecretString);

/// The `component_verify_ticket` that Weixin pushes: made every ten minutes, good for twelve hours
/// (weixin-api.md 2.4).
#[derive(Clone, Debug)]
pub struct Ticket(SecretString);

/// What the program that owns the token wants to see of us: `Authorization: Bearer …`.
#[derive(Clone, Debug)]
pub struct Bearer(SecretString);

/// A `component_access_token`, opaque (weixin-api.md 2.1).
#[derive(Clone, Debug)]
pub struct Token {
    value: SecretString,
    /// When Weixin stops to honour it.
    pub expires_at: Timestamp,
    /// When it was fetched.
    pub obtained_at: Timestamp,
}

/// Why a text is no credential.
#[derive(Debug, thiserror::Error)]
#[error("{what} must be 1 to {longest} printable ASCII characters without spaces")]
pub struct NotACredential {
    what: &'static str,
    longest: usize,
}

/// The longest secret or ticket that is taken for one.
pub const LONGEST: usize = 512;
/// The longest token that is taken for one: the documents name no length.
pub const LONGEST_TOKEN: usize = 1024;

fn believed(what: &'static str, longest: usize, text: &str) -> Result<SecretString, NotACredential> {
    let plausible = (1..=longest).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if plausible {
        Ok(SecretString::from(text))
    } else {
        Err(NotACredential { what, longest })
    }
}

impl AppSecret {
    /// Takes a secret as it stands in its file; white space around it is no part of it.
    ///
    /// # Errors
    /// When it is empty, too long, or holds characters that no secret has.
    pub fn parse(text: &str) -> Result<Self, NotACredential> {
        believed("component_appsecret", LONGEST, text.trim()).map(Self)
    }

    /// The secret itself, for the request that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl Ticket {
    /// Takes a ticket; white space around it is no part of it.
    ///
    /// # Errors
    /// When it is empty, too long, or holds characters that no ticket has.
    pub fn parse(text: &str) -> Result<Self, NotACredential> {
        believed("component_verify_ticket", LONGEST, text.trim()).map(Self)
    }

    /// The ticket itself, for the request that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl Bearer {
    /// Takes a credential as it stands in its file; white space around it is no part of it.
    ///
    /// # Errors
    /// When it is empty, too long, or holds characters that no header takes.
    pub fn parse(text: &str) -> Result<Self, NotACredential> {
        believed("bearer credential", LONGEST_TOKEN, text.trim()).map(Self)
    }

    /// The credential itself, for the request that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

macro_rules! is {
    ($($secret:ident),*) => {$(
        impl $secret {
            /// Whether both are the same.
            #[must_use]
            pub fn is(&self, other: &Self) -> bool {
                self.expose() == other.expose()
            }
        }
    )*};
}

is!(AppSecret, Bearer, CallbackToken, AesKey);

impl Token {
    /// Takes a token as Weixin or the cache file gave it.
    ///
    /// # Errors
    /// When it is empty, too long, or holds characters that no token has.
    pub fn new(text: &str, obtained_at: Timestamp, expires_at: Timestamp) -> Result<Self, NotACredential> {
        let value = believed("component_access_token", LONGEST_TOKEN, text)?;
        Ok(Self {
            value,
            expires_at,
            obtained_at,
        })
    }

    /// The token itself, for the request that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    /// Whether both are the same token, whatever is said of when they expire.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_never_printed() {
        let secret = AppSecret::parse(" canary-secret\n").unwrap();
        assert_eq!(secret.expose(), "canary-secret");
        assert!(!format!("{secret:?}").contains("canary"));
        let bearer = Bearer::parse("canary-bearer\n").unwrap();
        assert_eq!(bearer.expose(), "canary-bearer");
        assert!(!format!("{bearer:?}").contains("canary"));
        let token = Token::new("canary-token", Timestamp::MIN_UTC, Timestamp::MAX_UTC).unwrap();
        assert!(!format!("{token:?}").contains("canary"));
    }

    #[test]
    fn what_is_no_credential_is_refused_without_being_shown() {
        for text in ["", "two words", "non-ascii-é", &"x".repeat(LONGEST + 1)] {
            let error = Ticket::parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with("component_verify_ticket must be 1 to 512"),
                "{error}"
            );
            assert!(text.is_empty() || !error.contains(text));
        }
    }
}
