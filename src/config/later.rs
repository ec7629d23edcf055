//! Keys of the contract whose features this version does not have.
//!
//! They are checked like all others, and whatever would turn such a feature on is refused: an operator who believes
//! the token to be shared, while it is not, would find out by an outage.

use std::net::SocketAddr;

use super::settings::Settings;
use super::value::{Setting, path};

/// Checks the keys and refuses those that turn something on.
pub(super) fn refuse(settings: &mut Settings) {
    callback(settings);
}

fn callback(settings: &mut Settings) {
    settings.or("callback.path", "/weixin/callback", callback_path);
    for key in [
        "callback.token_file",
        "callback.aes_key_file",
        "callback.previous_aes_key_file",
    ] {
        settings.get(key, path);
    }
    if settings.get("callback.listen", address).is_some() {
        lacks(
            settings,
            "callback.listen",
            "the receiver of Weixin's push (INSERT INTO ticket does the same)",
        );
    }
}

fn lacks(settings: &mut Settings, key: &str, what: &str) {
    settings.refuse_given(
        key,
        &format!("this version does not have {what} yet; leave it out"),
    );
}

fn address(setting: &Setting) -> Result<SocketAddr, String> {
    let address = setting.text().and_then(|text| text.parse().ok());
    address.ok_or_else(|| "an IP address and a port, such as 127.0.0.1:8080".to_owned())
}

fn callback_path(setting: &Setting) -> Result<String, String> {
    let plain = |text: &&str| {
        text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && !b"?#".contains(&b))
    };
    let text = setting.text().filter(plain).map(str::to_owned);
    text.ok_or_else(|| "a path such as /weixin/callback".to_owned())
}
