//! How Weixin seals an event, written from weixin-api.md 3.2 and 3.3 alone: pure, with the random handed in.

use aes::Aes256;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use cbc::cipher::{Block, BlockModeEncrypt as _, KeyIvInit as _};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha1::{Digest as _, Sha1};

/// Weixin's PKCS7 fills up to a block of 32, not to that of AES.
const BLOCK: usize = 32;
/// How many random bytes stand before the message.
pub(super) const RANDOM: usize = 16;
/// Characters of an EncodingAESKey.
const KEY_LENGTH: usize = 43;
/// 43 characters hold two bits more than the key's 32 bytes, and Weixin does not leave them zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// What Weixin and the receiver of its pushes both know.
#[derive(Debug)]
pub struct Seal {
    token: SecretString,
    key: SecretBox<[u8; 32]>,
    appid: String,
}

/// A text is no EncodingAESKey.
#[derive(Debug, thiserror::Error)]
#[error("an EncodingAESKey has {KEY_LENGTH} letters and digits")]
pub struct NoKey;

/// What makes two letters with the same content differ.
#[derive(Clone, Copy, Debug)]
pub struct Postmark<'a> {
    /// Seconds since 1970.
    pub timestamp: i64,
    /// Digits that nobody can foresee.
    pub nonce: &'a str,
    /// The first bytes of what is encrypted.
    pub random: [u8; RANDOM],
}

/// A sealed event: what goes over the wire, any number of times.
#[derive(Clone, Debug)]
pub struct Letter {
    query: String,
    body: String,
}

impl Seal {
    /// Takes the callback token, the EncodingAESKey of 43 characters and the platform's appid.
    ///
    /// # Errors
    /// When the key is none.
    pub fn new(token: &str, encoding_aes_key: &str, appid: &str) -> Result<Self, NoKey> {
        let key = (encoding_aes_key.len() == KEY_LENGTH)
            .then(|| BASE64.decode(format!("{encoding_aes_key}=")).ok())
            .flatten()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or(NoKey)?;
        Ok(Self::with_key(token, key, appid))
    }

    /// Takes a key that is decoded already.
    #[must_use]
    pub fn with_key(token: &str, key: [u8; 32], appid: &str) -> Self {
        Self {
            token: token.into(),
            key: SecretBox::new(Box::new(key)),
            appid: appid.to_owned(),
        }
    }

    /// The platform that it seals for.
    #[must_use]
    pub fn appid(&self) -> &str {
        &self.appid
    }

    /// Seals a message.
    #[must_use]
    pub fn seal(&self, message: &str, mark: Postmark<'_>) -> Letter {
        let encrypt = self.encrypt(message, mark.random);
        let timestamp = mark.timestamp.to_string();
        let token = self.token.expose_secret();
        let signature = sign(&mut [token, &timestamp, mark.nonce]);
        let msg_signature = sign(&mut [token, &timestamp, mark.nonce, &encrypt]);
        let nonce = mark.nonce;
        Letter {
            query: format!(
                "signature={signature}&timestamp={timestamp}&nonce={nonce}&encrypt_type=aes&msg_signature={msg_signature}"
            ),
            body: format!(
                "<xml><AppId><![CDATA[{}]]></AppId><Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>",
                self.appid
            ),
        }
    }

    fn encrypt(&self, message: &str, random: [u8; RANDOM]) -> String {
        let mut plain = random.to_vec();
        // A message is some hundred bytes long.
        plain.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
        plain.extend(message.as_bytes());
        plain.extend(self.appid.as_bytes());
        let missing = BLOCK - plain.len() % BLOCK;
        plain.resize(plain.len() + missing, missing as u8);
        let key = self.key.expose_secret();
        let mut iv = [0; 16];
        iv.copy_from_slice(&key[..16]);
        let mut cipher = cbc::Encryptor::<Aes256>::new(&(*key).into(), &iv.into());
        let (blocks, _) = Block::<Aes256>::slice_as_chunks_mut(&mut plain);
        cipher.encrypt_blocks(blocks);
        BASE64.encode(plain)
    }
}

impl Letter {
    /// The query, without a question mark.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The envelope, in XML.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The same with a `msg_signature` that is not right, as from somebody who does not know the token.
    #[must_use]
    pub fn forged(mut self) -> Self {
        let last = if self.query.pop() == Some('0') { '1' } else { '0' };
        self.query.push(last);
        self
    }
}

/// SHA-1 over the parts in the order of strings, in lower-case hex.
fn sign(parts: &mut [&str]) -> String {
    parts.sort_unstable();
    let digest = Sha1::digest(parts.concat());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL_A: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    /// A vector of weixin-api.md 3.4 whose random is known.
    struct Vector {
        appid: &'static str,
        timestamp: i64,
        nonce: &'static str,
        msg_signature: &'static str,
        random: &'static [u8; RANDOM],
        message: &'static str,
        encrypt: &'static str,
    }

    const V1R: Vector = Vector {
        appid: "wx134c8103faa5a59e",
        timestamp: 1_713_424_427,
        nonce: "415670741",
        msg_signature: "03e0812039325c2712ef5f0f980fd14c70d6e307",
        random: b"999951349e8ee746",
        message: "<xml><demo_resp>[CDATA[good luck]]</demo_resp></xml>",
        encrypt: "hE8R6mGXHkJJjU72KxzKUd1GEkKJaEZq7vRL8XgK3o+00k8JGq6+pZJUIlTSyhsX+bxIBQ72g3GyvDdIZcr6+3HAZbSvPT9t/o11MI7d6WELwqrGd7jMnV0zv3Zc9Nq7",
    };
    const V2R: Vector = Vector {
        appid: "wxba5fad812f8e6fb9",
        timestamp: 1_713_424_427,
        nonce: "415670741",
        msg_signature: "1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1",
        random: b"707722b803182950",
        message: r#"{"demo_resp":"good luck"}"#,
        encrypt: "ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ==",
    };
    const V6: Vector = Vector {
        appid: "wx134c8103faa5a59e",
        timestamp: 1_413_192_605,
        nonce: "1792462871",
        msg_signature: "80e98d88472014b9af4656859cb72ef2d38f9654",
        random: b"0123456789abcdef",
        message: "<xml><AppId><![CDATA[wx134c8103faa5a59e]]></AppId><CreateTime>1413192605</CreateTime><InfoType><![CDATA[component_verify_ticket]]></InfoType><ComponentVerifyTicket><![CDATA[ticket@@@test-0001]]></ComponentVerifyTicket></xml>",
        encrypt: "uMMzGtqcnpOzXOYBwDQNrYMcV4ofJZYnaRyJlGt+82U2A6+QGR0YZ03QTzQPFQXmnT7meeV16fsO0IvkKMlFeeKtlZG6dTZzRagCHu/Z4HxpopOVouFUoQUTtBFcQ4DrlDMJoyD50h8dgzeOPbtsw9mLHniib6BYocWTj8wTGx801Sa7vppPtpJt+76iFZWcVT0QDByda0zrYQ/D9xy1KLPbat3V/6M0QuBJ6x0jqIkBmRgn0U03pxjcMyoVy8LCLB8rYfFa+UAnIQQ8qYnCy1nPfRwphaLx8oFtQxgRHxyVce79gYwwWMhCCBzIv7DTs/WeWpPf82FAu6hhTKiYS4bJ6E2YA0vJZEJK+kR+YkAYfOp1FRgzQmJmMY7JiG7N",
    };

    fn letter(vector: &Vector, key: &str) -> Letter {
        let mark = Postmark {
            timestamp: vector.timestamp,
            nonce: vector.nonce,
            random: *vector.random,
        };
        Seal::new("AAAAA", key, vector.appid)
            .unwrap()
            .seal(vector.message, mark)
    }

    #[test]
    fn the_vectors_with_a_known_random_come_out_byte_for_byte() {
        for vector in [V1R, V2R, V6] {
            let letter = letter(&vector, ALL_A);
            let tail = format!("&encrypt_type=aes&msg_signature={}", vector.msg_signature);
            assert!(letter.query().ends_with(&tail), "{}", letter.query());
            let envelope = format!(
                "<xml><AppId><![CDATA[{}]]></AppId><Encrypt><![CDATA[{}]]></Encrypt></xml>",
                vector.appid, vector.encrypt
            );
            assert_eq!(letter.body(), envelope);
        }
    }

    #[test]
    fn a_key_with_surplus_bits_gives_what_the_official_sample_gives() {
        let vector = Vector {
            appid: "wxb11529c136998cb6",
            random: b"aaaabbbbccccdddd",
            message: "我是中文abcd123",
            ..V6
        };
        let sealed =
            "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==";
        let letter = letter(&vector, "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG");
        assert!(letter.body().contains(sealed), "{}", letter.body());
    }

    #[test]
    fn the_plain_signature_is_over_three_parts() {
        for (timestamp, nonce, signature) in [
            (
                "1714036504",
                "1514711492",
                "f464b24fc39322e44b38aa78f5edd27bd1441696",
            ),
            (
                "1714037059",
                "486452656",
                "899cf89e464efb63f54ddac96b0a0a235f53aa78",
            ),
        ] {
            assert_eq!(sign(&mut ["AAAAA", timestamp, nonce]), signature);
        }
    }

    #[test]
    fn a_forged_letter_differs_in_its_signature_alone() {
        let right = letter(&V6, ALL_A);
        let forged = right.clone().forged();
        assert_eq!(right.body(), forged.body());
        assert_ne!(right.query(), forged.query());
        assert_eq!(right.query().len(), forged.query().len());
    }

    #[test]
    fn what_is_no_key_is_refused_and_neither_key_nor_token_is_shown() {
        for key in ["", &ALL_A[1..], &format!("{ALL_A}A"), &ALL_A.replace('A', "!")] {
            assert!(Seal::new("t", key, "wx").is_err(), "{key}");
        }
        let seal = Seal::new(
            "canary-token",
            "canaryAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "wx",
        )
        .unwrap();
        let shown = format!("{seal:?}");
        assert!(!shown.contains("canary") && !shown.contains("113"), "{shown}");
    }
}
