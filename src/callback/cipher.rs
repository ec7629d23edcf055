//! What Weixin's seal holds: AES-256-CBC, padded to blocks of 32, around a message and the appid it is for
//! (weixin-api.md 3.3). Pure.

use aes::Aes256;
use aes::cipher::array::Array;
use aes::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;

use crate::credential::AesKey;

/// The cipher's own block.
const BLOCK: usize = 16;
/// The padding's block is twice as large, so a library's PKCS7 for AES refuses half of all messages.
const PADDING_BLOCK: usize = 32;
/// What comes before the message: random bytes, and its length.
const RANDOM: usize = 16;
const LENGTH: usize = 4;

/// What was sealed; wiped when it is dropped.
pub(super) struct Opened {
    bytes: Zeroizing<Vec<u8>>,
    /// Where the message ends and the appid begins.
    end: usize,
}

/// It was not sealed with this key, or not as Weixin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sealed;

impl Opened {
    pub(super) fn message(&self) -> &[u8] {
        &self.bytes[RANDOM + LENGTH..self.end]
    }

    pub(super) fn appid(&self) -> &[u8] {
        &self.bytes[self.end..]
    }
}

/// The bytes of an `Encrypt` value.
pub(super) fn decode(encrypt: &str) -> Option<Vec<u8>> {
    STANDARD.decode(encrypt).ok()
}

/// Opens what was sealed with this key.
pub(super) fn open(key: &AesKey, sealed: &[u8]) -> Result<Opened, Sealed> {
    let mut bytes = Zeroizing::new(sealed.to_vec());
    decrypt(key, &mut bytes)?;
    let content = bytes.len() - padding(&bytes).ok_or(Sealed)?;
    bytes.truncate(content);
    let (length, rest) = bytes
        .get(RANDOM..)
        .and_then(|bytes| bytes.split_first_chunk::<LENGTH>())
        .ok_or(Sealed)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Sealed)?;
    if length > rest.len() {
        return Err(Sealed);
    }
    let end = RANDOM + LENGTH + length;
    Ok(Opened { bytes, end })
}

fn decrypt(key: &AesKey, bytes: &mut [u8]) -> Result<(), Sealed> {
    let key = key.expose();
    let (blocks, rest) = Array::slice_as_chunks_mut(bytes);
    if blocks.is_empty() || !rest.is_empty() {
        return Err(Sealed);
    }
    // The IV is the key's first half; a slice of another length cannot be a key.
    let mut cipher = cbc::Decryptor::<Aes256>::new_from_slices(key, &key[..BLOCK]).map_err(|_| Sealed)?;
    cipher.decrypt_blocks(blocks);
    Ok(())
}

/// How long the padding is: its last byte says it, and so must all of it.
fn padding(bytes: &[u8]) -> Option<usize> {
    let length = usize::from(*bytes.last()?);
    let start = bytes.len().checked_sub(length)?;
    let is_padding = (1..=PADDING_BLOCK).contains(&length)
        && bytes[start..].iter().all(|byte| usize::from(*byte) == length);
    is_padding.then_some(length)
}
