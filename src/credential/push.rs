//! What Weixin's push is signed with and encrypted with.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::{NotACredential, believed};

/// The token that Weixin signs its pushes with, as set in its console.
#[derive(Clone, Debug)]
pub struct CallbackToken(SecretString);

/// The key that Weixin encrypts its pushes with: an EncodingAESKey, decoded.
#[derive(Clone, Debug)]
pub struct AesKey(SecretSlice<u8>);

/// Why a text is no EncodingAESKey.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAKey {
    /// Too short or too long.
    #[error("the EncodingAESKey has {0} characters, must be 43")]
    Length(usize),
    /// What no key is made of.
    #[error("the EncodingAESKey holds a character that is none of A-Z a-z 0-9 + /")]
    Character,
}

/// 43 characters are 258 bits: the last two are surplus, and not zero in the keys that Weixin makes (weixin-api.md 3.3).
const DECODER: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

impl CallbackToken {
    /// The longest token that is taken for one. (Weixin's console takes 3 to 32 letters and digits.)
    pub const LONGEST: usize = 128;

    /// Takes a token as it stands in its file; white space around it is no part of it.
    ///
    /// # Errors
    /// When it is empty, too long, or holds characters that no token has.
    pub fn parse(text: &str) -> Result<Self, NotACredential> {
        believed("the callback token", Self::LONGEST, text.trim()).map(Self)
    }

    /// The token itself, for the signature.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl AesKey {
    /// How many characters an EncodingAESKey has.
    pub const CHARACTERS: usize = 43;
    /// How many bytes they stand for.
    pub const BYTES: usize = 32;

    /// Takes an EncodingAESKey as it stands in its file; white space around it is no part of it.
    ///
    /// # Errors
    /// When it has not [`AesKey::CHARACTERS`] characters, or one that no key has.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let text = text.trim();
        let characters = text.chars().count();
        if characters != Self::CHARACTERS {
            return Err(NotAKey::Length(characters));
        }
        let mut bytes = Zeroizing::new([0; Self::BYTES]);
        match DECODER.decode_slice(text, &mut *bytes) {
            Ok(Self::BYTES) => Ok(Self(bytes.to_vec().into())),
            _ => Err(NotAKey::Character),
        }
    }

    /// The key itself, for the cipher.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surplus_bits_at_the_end_of_a_key_are_no_part_of_it() {
        // Weixin's own samples; a strict decoder refuses them.
        for text in [
            "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
            "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
        ] {
            assert_eq!(AesKey::parse(text).unwrap().expose().len(), AesKey::BYTES);
        }
        let key = |last| AesKey::parse(&format!("{}{last}", "A".repeat(42))).unwrap();
        for last in ["A", "B", "C", "D"] {
            assert_eq!(key(last).expose(), [0; 32]);
        }
        assert_ne!(key("E").expose(), [0; 32]);
    }

    #[test]
    fn what_is_no_key_is_refused_with_what_is_wrong() {
        let cases = [
            ("A".repeat(44), "has 44 characters, must be 43"),
            (String::new(), "has 0 characters, must be 43"),
            (format!("{}=", "A".repeat(43)), "has 44 characters, must be 43"),
            (format!("{}=", "A".repeat(42)), "none of A-Z a-z 0-9 + /"),
            (format!("{}-", "A".repeat(42)), "none of A-Z a-z 0-9 + /"),
            (format!("{} ä", "A".repeat(41)), "none of A-Z a-z 0-9 + /"),
        ];
        for (text, complaint) in cases {
            let told = AesKey::parse(&text).unwrap_err().to_string();
            assert!(told.contains(complaint), "{told}");
        }
        AesKey::parse(&format!(" {}\n", "+/".repeat(21) + "A")).unwrap();
    }

    #[test]
    fn neither_is_printed() {
        let token = CallbackToken::parse("canary-token").unwrap();
        let key = AesKey::parse("canaryABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijk").unwrap();
        let printed = format!("{token:?} {key:?}");
        assert!(!printed.contains("canary"), "{printed}");
        assert!(
            !printed.contains(&format!("{:?}", key.expose())[1..20]),
            "{printed}"
        );
        let told = CallbackToken::parse("two words").unwrap_err().to_string();
        assert!(told.starts_with("the callback token must be 1 to 128"), "{told}");
    }
}
