//! Keys of the contract whose features this version does not have.
//!
//! They are checked like all others, and whatever would turn such a feature on is refused: an operator who believes
//! the token to be shared, while it is not, would find out by an outage.

use super::settings::Settings;
use super::value::{Setting, path, token_url};

/// Checks the keys and refuses those that turn something on.
pub(super) fn refuse(settings: &mut Settings) {
    let source = settings.or("token.source", "component", token_source);
    let others = [
        settings.get("token.url", token_url).is_some(),
        settings.get("token.bearer_file", path).is_some(),
    ];
    if source == Source::Url {
        lacks(settings, "token.source", "another program's token");
    }
    for (key, given) in ["token.url", "token.bearer_file"].into_iter().zip(others) {
        if given && source == Source::Component {
            settings.refuse_given(key, "must be left out unless token.source = \"url\"");
        }
    }
    share(settings);
}

fn share(settings: &mut Settings) {
    settings.or("share.mode", "0660", mode);
    if settings.get("share.socket", path).is_some() {
        lacks(settings, "share.socket", "the sharing of the token");
    }
}

fn lacks(settings: &mut Settings, key: &str, what: &str) {
    settings.refuse_given(
        key,
        &format!("this version does not have {what} yet; leave it out"),
    );
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Component,
    Url,
}

fn token_source(setting: &Setting) -> Result<Source, String> {
    match setting.text() {
        Some("component") => Ok(Source::Component),
        Some("url") => Ok(Source::Url),
        _ => Err("\"component\" or \"url\"".to_owned()),
    }
}

/// Octal, as for chmod; others get nothing, or anybody on the machine could read the token.
fn mode(setting: &Setting) -> Result<u32, String> {
    let octal =
        |text: &&str| (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = setting
        .text()
        .filter(octal)
        .and_then(|text| u32::from_str_radix(text, 8).ok());
    mode.filter(|mode| *mode <= 0o777 && mode & 0o007 == 0)
        .ok_or_else(|| "octal permissions without any for others, such as \"0660\"".to_owned())
}
