//! Weixin's side of the push, for tests: what it seals and signs (weixin-api.md 3). It is used beside the code as well.

use aes::Aes256;
use aes::cipher::array::Array;
use aes::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// A Weixin that pushes.
#[derive(Clone)]
pub struct Sender {
    pub appid: String,
    /// The appid that stands sealed at the end.
    pub sealed_appid: String,
    pub token: String,
    /// The EncodingAESKey, decoded.
    pub key: Vec<u8>,
    pub random: [u8; 16],
    pub timestamp: String,
    pub nonce: String,
}

/// A push as it comes: the query, without the path, and the body.
#[derive(Clone, Debug)]
pub struct Push {
    pub query: String,
    pub body: String,
}

impl Sender {
    pub fn new(appid: &str, token: &str, key: &[u8]) -> Self {
        Self {
            appid: appid.to_owned(),
            sealed_appid: appid.to_owned(),
            token: token.to_owned(),
            key: key.to_vec(),
            random: *b"0123456789abcdef",
            timestamp: "1413192605".to_owned(),
            nonce: "1792462871".to_owned(),
        }
    }

    /// The `Encrypt` value of a message.
    pub fn encrypt(&self, message: &[u8]) -> String {
        let mut bytes = self.random.to_vec();
        bytes.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        bytes.extend(message);
        bytes.extend(self.sealed_appid.bytes());
        let padding = 32 - bytes.len() % 32;
        bytes.extend(vec![u8::try_from(padding).unwrap(); padding]);
        self.encrypt_bytes(bytes)
    }

    /// The same of bytes that need not be a message.
    pub fn encrypt_bytes(&self, mut bytes: Vec<u8>) -> String {
        let mut cipher = cbc::Encryptor::<Aes256>::new_from_slices(&self.key, &self.key[..16]).unwrap();
        let (blocks, rest) = Array::slice_as_chunks_mut(&mut bytes);
        assert!(rest.is_empty());
        cipher.encrypt_blocks(blocks);
        STANDARD.encode(bytes)
    }

    pub fn signature(&self, encrypt: &str) -> String {
        let mut parts = [&self.token, &self.timestamp, &self.nonce, encrypt];
        parts.sort_unstable();
        let digest = Sha1::digest(parts.concat());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub fn query(&self, encrypt: &str) -> String {
        format!(
            "signature=0&timestamp={}&nonce={}&encrypt_type=aes&msg_signature={}",
            self.timestamp,
            self.nonce,
            self.signature(encrypt)
        )
    }

    /// A push with this message.
    pub fn push(&self, message: &str) -> Push {
        self.envelope(&self.encrypt(message.as_bytes()))
    }

    pub fn envelope(&self, encrypt: &str) -> Push {
        Push {
            query: self.query(encrypt),
            body: format!(
                "<xml>\n<AppId><![CDATA[{}]]></AppId>\n<Encrypt><![CDATA[{encrypt}]]></Encrypt>\n</xml>\n",
                self.appid
            ),
        }
    }

    /// The message about a ticket.
    pub fn ticket_message(&self, ticket: &str, create_time: i64) -> String {
        format!(
            "<xml><AppId><![CDATA[{}]]></AppId><CreateTime>{create_time}</CreateTime>\
             <InfoType><![CDATA[component_verify_ticket]]></InfoType>\
             <ComponentVerifyTicket><![CDATA[{ticket}]]></ComponentVerifyTicket></xml>",
            self.appid
        )
    }

    /// A push of a ticket.
    pub fn ticket(&self, ticket: &str, create_time: i64) -> Push {
        self.push(&self.ticket_message(ticket, create_time))
    }

    /// A push of another event.
    pub fn event(&self, info_type: &str) -> Push {
        self.push(&format!(
            "<xml><AppId>{}</AppId><CreateTime>1413192760</CreateTime><InfoType>{info_type}</InfoType>\
             <AuthorizerAppid>wx1</AuthorizerAppid></xml>",
            self.appid
        ))
    }
}
