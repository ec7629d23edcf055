//! Who sent it: the signature over a push (weixin-api.md 3.2).

use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;

use crate::credential::CallbackToken;

/// Whether `signature` is that of the parts under the token: the SHA-1, in lower-case hexadecimal digits, of all of
/// them in their order as text. How far two signatures agree does not show in the time that this takes.
pub(super) fn holds(token: &CallbackToken, parts: &[&str], signature: &str) -> bool {
    let mut all = [parts, &[token.expose()]].concat();
    all.sort_unstable();
    let mut sha1 = Sha1::new();
    for part in all {
        sha1.update(part);
    }
    let digest: [u8; 20] = sha1.finalize().into();
    let hex = digest.map(|byte| [digit(byte >> 4), digit(byte & 0xf)]);
    hex.as_flattened().ct_eq(signature.as_bytes()).into()
}

fn digit(nibble: u8) -> u8 {
    b"0123456789abcdef"[usize::from(nibble)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_signatures_are_those_of_weixins_documents() {
        let token = CallbackToken::parse("AAAAA").unwrap();
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
            assert!(holds(&token, &[timestamp, nonce], signature));
            assert!(holds(&token, &[nonce, timestamp], signature));
            assert!(!holds(&token, &[timestamp], signature));
            assert!(!holds(&token, &[timestamp, nonce], &signature.to_uppercase()));
            assert!(!holds(&token, &[timestamp, nonce], &signature[1..]));
            assert!(!holds(&token, &[timestamp, nonce], ""));
            let other = CallbackToken::parse("AAAAB").unwrap();
            assert!(!holds(&other, &[timestamp, nonce], signature));
        }
    }
}
