//! `staticstored push`: whether a push of Weixin's would arrive, asked from outside with an event of no consequence.
//!
//! The event is genuine: sealed with the daemon's own callback token and key, for its own appid. So whatever answers `success`
//! has opened it, and a second one, whose signature is wrong, shows that it looks at signatures at all.

mod send;
mod verdict;

use anyhow::Context as _;
use clap::Args;
use reqwest::Url;

use super::secret;
use super::session::{Misconfigured, Session};
use crate::clock::Clock;
use crate::config::{Callback, Config};
use crate::simulator::push::{Event, Seal};
use send::{PATIENCE, Sender};
use verdict::Places;

/// An InfoType that Weixin does not have.
const INFO_TYPE: &str = "staticstored_test";
/// The ports that Weixin pushes to (weixin-api.md 3.1).
const PORTS: [u16; 2] = [80, 443];

/// `staticstored push`
#[derive(Debug, Args)]
pub struct Options {
    /// The URL that Weixin is told: where the reverse proxy takes the push
    #[arg(value_name = "URL", value_parser = url)]
    url: Url,
}

fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok();
    let fits = |url: &Url| {
        ["http", "https"].contains(&url.scheme())
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    url.filter(fits).ok_or_else(|| {
        "an http or https URL without a query, such as https://push.example.com/weixin/callback".to_owned()
    })
}

/// What was asked, and what is well or wrong about the answer.
type Finding = (&'static str, Result<String, String>);

pub(super) async fn run(session: &mut Session, options: &Options) -> anyhow::Result<()> {
    let config = session.config()?;
    let callback = config.callback.as_ref().ok_or_else(|| {
        Misconfigured("callback.listen is not set, so this daemon receives no push".to_owned())
    })?;
    let seal = seal(&config, callback)?;
    let places = Places {
        path: &callback.path,
        pushed_path: options.url.path(),
        token_file: &callback.token_file()?.display().to_string(),
        key_file: &callback.aes_key_file()?.display().to_string(),
    };
    let port = options.url.port_or_known_default();
    if !port.is_some_and(|port| PORTS.contains(&port)) {
        let note = "note   Weixin pushes to the ports 80 and 443 only; this is another";
        session.screen.line(note)?;
        session.screen.flush()?;
    }
    let sender = Sender::new(&options.url, PATIENCE)?;
    let findings = ask(&sender, &seal, &session.clock, places).await;
    tell(session, &findings)
}

/// Sends the genuine event and, where that is welcome, one with a wrong signature.
async fn ask(sender: &Sender, seal: &Seal, clock: &Clock, places: Places<'_>) -> Vec<Finding> {
    let letter = || {
        let now = clock.now();
        seal.letter(&Event::other(INFO_TYPE, now), now)
    };
    let genuine = verdict::genuine(&sender.send(&letter()).await, places);
    if genuine.is_err() {
        // Nothing can be learnt from the other.
        return vec![("a genuine event", genuine)];
    }
    let forged = verdict::forged(&sender.send(&letter().forged()).await);
    vec![("a genuine event", genuine), ("a wrong signature", forged)]
}

fn tell(session: &mut Session, findings: &[Finding]) -> anyhow::Result<()> {
    for (thing, finding) in findings {
        match finding {
            Ok(told) => session.screen.line(format_args!("ok     {thing}: {told}"))?,
            Err(told) => session.screen.line(format_args!("WRONG  {thing}: {told}"))?,
        }
    }
    session.screen.flush()?;
    anyhow::ensure!(
        findings.iter().all(|(_, finding)| finding.is_ok()),
        "a push of Weixin's would not be received there as it must be"
    );
    Ok(())
}

/// What the daemon's own files make of an event.
fn seal(config: &Config, callback: &Callback) -> anyhow::Result<Seal> {
    let token = secret::callback_token(callback)?;
    let key = secret::aes_key(callback.aes_key_file()?, "callback.aes_key_file")?;
    let key = key.expose().try_into().context("the EncodingAESKey is no key")?;
    Ok(Seal::with_key(token.expose(), key, &config.component.appid))
}
