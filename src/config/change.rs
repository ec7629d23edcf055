//! What a new configuration changes in a running process: what it takes on, and what needs a restart.
//!
//! Most settings are read anew by whoever uses them. What the process holds for its life (who it is, its database, what it
//! listens on) stays as it was, and the new value is told of. There is one place that decides which is which,
//! [`Config::take_on`]; the list of what can be told, `SHOWN`, names every key.

use std::fmt;
use std::path::Path;

use super::{Callback, Config, OwnerUrl, TokenSource, duration_text};

/// A key with the value that it had and the one that it has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `section.key`
    pub key: &'static str,
    from: String,
    to: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, from, to } = self;
        match from == to {
            // Only what is not shown differs: a password.
            true => write!(f, "{key} (its user or password)"),
            false => write!(f, "{key} from {from} to {to}"),
        }
    }
}

/// What a new configuration comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// What holds from now on: the new configuration, but for what needs a restart.
    pub config: Config,
    /// What is taken on.
    pub taken: Vec<Change>,
    /// What needs a restart: from what runs to what the new configuration says.
    pub held: Vec<Change>,
}

impl Config {
    /// Takes on what a running process can of `new`.
    #[must_use]
    pub fn take_on(&self, new: &Self) -> Changes {
        let mut config = new.clone();
        config.component.appid.clone_from(&self.component.appid);
        config.database.clone_from(&self.database);
        config.share.clone_from(&self.share);
        config.token.cache_file.clone_from(&self.token.cache_file);
        if !self.takes_source(&new.token.source) {
            config.token.source.clone_from(&self.token.source);
        }
        config.callback = match (&self.callback, &new.callback) {
            (Some(ours), Some(new)) => Some(Callback {
                listen: ours.listen,
                ..new.clone()
            }),
            (ours, _) => ours.clone(),
        };
        Changes {
            taken: differences(self, &config),
            held: differences(&config, new),
            config,
        }
    }

    /// Whether the token may come from there from now on: not from another kind of source, and not from our own socket.
    fn takes_source(&self, new: &TokenSource) -> bool {
        match (&self.token.source, new) {
            (TokenSource::Component, TokenSource::Component) => true,
            (TokenSource::Url { .. }, TokenSource::Url { url, .. }) => {
                let ours = self.share.as_ref().map(|share| &share.socket);
                !matches!(url, OwnerUrl::Socket(socket) if Some(socket) == ours)
            }
            _ => false,
        }
    }
}

fn differences(from: &Config, to: &Config) -> Vec<Change> {
    let change = |(key, show): &(&'static str, Show)| {
        let (old, new) = (show(from)?, show(to)?);
        let unseen = *key == "api.proxy" && from.api.proxy != to.api.proxy;
        (old != new || unseen).then_some(Change {
            key,
            from: old,
            to: new,
        })
    };
    SHOWN.iter().filter_map(change).collect()
}

/// A value for people; `None` where the key means nothing beside the others.
type Show = fn(&Config) -> Option<String>;

/// Every key, in the order of the contract.
#[rustfmt::skip]
pub(super) const SHOWN: [(&str, Show); 33] = [
    ("component.appid", |c| Some(c.component.appid.clone())),
    ("component.appsecret_file", |c| (!is_guest(c)).then(|| file(c.component.appsecret_file.as_deref()))),
    ("database.url", |c| Some(format!("sqlite:{}", c.database.path.display()))),
    ("token.source", |c| Some(if is_guest(c) { "url" } else { "component" }.to_owned())),
    ("token.url", |c| match &c.token.source {
        TokenSource::Url { url: OwnerUrl::Http(url), .. } => Some(url.to_string()),
        TokenSource::Url { url: OwnerUrl::Socket(path), .. } => Some(format!("unix:{}", path.display())),
        TokenSource::Component => None,
    }),
    ("token.bearer_file", |c| match &c.token.source {
        TokenSource::Url { bearer_file, .. } => Some(file(bearer_file.as_deref())),
        TokenSource::Component => None,
    }),
    ("token.cache_file", |c| Some(c.token.cache_file.display().to_string())),
    ("token.renew_before", |c| Some(duration_text(c.token.renew_before))),
    ("callback.listen", |c| Some(c.callback.as_ref().map_or_else(off, |of| of.listen.to_string()))),
    ("callback.path", |c| c.callback.as_ref().map(|of| of.path.clone())),
    ("callback.token_file", |c| c.callback.as_ref().map(|of| file(of.token_file.as_deref()))),
    ("callback.aes_key_file", |c| c.callback.as_ref().map(|of| file(of.aes_key_file.as_deref()))),
    ("callback.previous_aes_key_file", |c| c.callback.as_ref().map(|of| file(of.previous_aes_key_file.as_deref()))),
    ("share.socket", |c| Some(c.share.as_ref().map_or_else(off, |of| of.socket.display().to_string()))),
    ("share.mode", |c| c.share.as_ref().map(|of| format!("{:04o}", of.mode))),
    ("api.base_url", |c| Some(c.api.base_url.to_string())),
    ("api.proxy", |c| Some(c.api.proxy.as_ref().map_or_else(none, |proxy| {
        let url = proxy.expose();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
    }))),
    ("api.connect_timeout", |c| Some(duration_text(c.api.connect_timeout))),
    ("api.request_timeout", |c| Some(duration_text(c.api.request_timeout))),
    ("api.max_in_flight", |c| Some(c.api.max_in_flight.to_string())),
    ("api.creates_per_second", |c| Some(c.api.creates_per_second.to_string())),
    ("api.describes_per_second", |c| Some(c.api.describes_per_second.to_string())),
    ("retry.initial_backoff", |c| Some(duration_text(c.retry.initial_backoff))),
    ("retry.max_backoff", |c| Some(duration_text(c.retry.max_backoff))),
    ("retry.give_up_after", |c| Some(duration_text(c.retry.give_up_after))),
    ("confirm.enabled", |c| Some(c.confirm.enabled.to_string())),
    ("confirm.initial_interval", |c| Some(duration_text(c.confirm.initial_interval))),
    ("confirm.max_interval", |c| Some(duration_text(c.confirm.max_interval))),
    ("confirm.give_up_after", |c| Some(duration_text(c.confirm.give_up_after))),
    ("retention.attempts", |c| Some(c.retention.attempts.map_or_else(|| "0".to_owned(), duration_text))),
    ("retention.status", |c| Some(c.retention.status.map_or_else(|| "0".to_owned(), duration_text))),
    ("retention.schedule", |c| Some(c.retention.schedule.clone())),
    ("log.level", |c| Some(c.log.level.clone())),
];

/// Whether another program owns the token.
fn is_guest(config: &Config) -> bool {
    config.token.source != TokenSource::Component
}

fn file(path: Option<&Path>) -> String {
    path.map_or_else(none, |path| path.display().to_string())
}

fn none() -> String {
    "none".to_owned()
}

fn off() -> String {
    "off".to_owned()
}
