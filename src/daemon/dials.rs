//! What can be set anew while the daemon runs: drawn up from a configuration first, which may fail, then set, which may
//! not. Start and reload draw up the same plan, so what a start refuses a reload refuses too.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::parts::DaemonError;
use super::secrets::{CallbackSecrets, Secrets};
use crate::callback::Callback;
use crate::clock::Clock;
use crate::config::{self, Config, OwnerUrl, TokenSource};
use crate::credential::{AppSecret, Bearer};
use crate::housekeeping::Retention;
use crate::line::{Limits, Line};
use crate::outcome::{Backoff, Confirm, Policy};
use crate::owner::{self, Owner};
use crate::provisioner::Rules;
use crate::reception;
use crate::token::{self, Cache, Tokens};
use crate::weixin::{self, Weixin};

/// What each part is to go by.
pub(super) struct Plan {
    rules: Arc<Rules>,
    limits: Limits,
    token: token::Settings,
    retention: Retention,
    /// `None`: the receiver is off.
    reception: Option<Arc<reception::Settings>>,
}

impl Plan {
    /// Makes it of a configuration and the secrets that go with it; nothing is sent.
    pub(super) fn draw(config: &Config, secrets: Secrets) -> Result<Self, DaemonError> {
        let Secrets {
            appsecret,
            bearer,
            callback,
        } = secrets;
        let rules = rules(config)?;
        let api = &config.api;
        Ok(Self {
            limits: Limits {
                max_in_flight: rules.max_in_flight,
                creates_per_second: api.creates_per_second,
                describes_per_second: api.describes_per_second,
            },
            token: token::Settings {
                source: source(config, appsecret, bearer, &rules.weixin)?,
                home: home(config),
                renew_before: config.token.renew_before,
            },
            retention: Retention {
                attempts: config.retention.attempts,
                status: config.retention.status,
                schedule: config.retention.schedule.clone(),
            },
            reception: config
                .callback
                .as_ref()
                .zip(callback)
                .map(|(settings, secrets)| Arc::new(reception(config, settings, secrets))),
            rules: Arc::new(rules),
        })
    }
}

/// The parts' settings, where they can be reached. Clones share them.
#[derive(Clone)]
pub(super) struct Dials {
    pub(super) line: Line,
    pub(super) tokens: Tokens,
    pub(super) rules: watch::Sender<Arc<Rules>>,
    pub(super) retention: watch::Sender<Retention>,
    pub(super) reception: Option<watch::Sender<Arc<reception::Settings>>>,
}

impl Dials {
    pub(super) fn new(plan: Plan, clock: &Clock) -> Self {
        Self {
            line: Line::new(plan.limits, clock.clone()),
            tokens: Tokens::new(plan.token, clock.clone()),
            rules: watch::Sender::new(plan.rules),
            retention: watch::Sender::new(plan.retention),
            reception: plan.reception.map(watch::Sender::new),
        }
    }

    /// Lets all parts go by another plan. `push`: whether it is another one for the receiver, too.
    pub(super) fn set(&self, plan: Plan, push: bool) {
        // First, so that a token which is fetched from now on comes from where the calls go.
        self.rules.send_replace(plan.rules);
        self.tokens.set(plan.token);
        self.line.set_limits(plan.limits);
        self.retention.send_replace(plan.retention);
        if let (true, Some(dial), Some(settings)) = (push, &self.reception, plan.reception) {
            dial.send_replace(settings);
        }
    }

    /// The clock was set back: what rests until a time that the old one gave is tried at once.
    pub(super) fn set_back(&self) {
        self.line.end_rest();
        self.tokens.end_wait();
    }

    /// How long a call may take.
    pub(super) fn request_timeout(&self) -> Duration {
        self.rules.borrow().request_timeout
    }
}

fn rules(config: &Config) -> Result<Rules, DaemonError> {
    let api = &config.api;
    let max_in_flight = api.max_in_flight as usize;
    let weixin = Weixin::new(&weixin::Settings {
        base_url: api.base_url.clone(),
        proxy: api.proxy.as_ref().map(|proxy| proxy.expose().clone()),
        connect_timeout: api.connect_timeout,
        request_timeout: api.request_timeout,
        connections: max_in_flight,
    })?;
    Ok(Rules {
        weixin,
        request_timeout: api.request_timeout,
        policy: policy(config),
        max_in_flight,
    })
}

fn reception(config: &Config, settings: &config::Callback, secrets: CallbackSecrets) -> reception::Settings {
    let callback = Callback::new(
        config.component.appid.clone(),
        secrets.token,
        secrets.aes_key,
        secrets.previous_aes_key,
    );
    reception::Settings::new(settings.path.clone(), callback)
}

/// Where the token comes from.
fn source(
    config: &Config,
    appsecret: Option<AppSecret>,
    bearer: Option<Bearer>,
    weixin: &Weixin,
) -> Result<token::Source, DaemonError> {
    Ok(match &config.token.source {
        TokenSource::Component => token::Source::Component(Box::new(token::Component {
            weixin: weixin.clone(),
            appid: config.component.appid.clone(),
            secret: appsecret.ok_or(DaemonError::NoSecret)?,
            cache: cache(config),
        })),
        TokenSource::Url { url, .. } => {
            token::Source::Owner(Owner::new(&owner_settings(config, url, bearer))?)
        }
    })
}

/// Whose the token is: a guest's owner may be of another platform than the one before.
fn home(config: &Config) -> String {
    let owner = match &config.token.source {
        TokenSource::Component => String::new(),
        TokenSource::Url { url, .. } => format!(" of {url:?}"),
    };
    format!("{} at {}{owner}", config.component.appid, config.api.base_url)
}

/// Where the token outlives a restart.
#[must_use]
pub fn cache(config: &Config) -> Cache {
    Cache {
        file: config.token.cache_file.clone(),
        appid: config.component.appid.clone(),
        api: config.api.base_url.to_string(),
    }
}

/// How the program that owns the token is asked.
#[must_use]
pub fn owner_settings(config: &Config, url: &OwnerUrl, bearer: Option<Bearer>) -> owner::Settings {
    owner::Settings {
        address: match url {
            OwnerUrl::Http(url) => owner::Address::Http(url.clone()),
            OwnerUrl::Socket(path) => owner::Address::Socket(path.clone()),
        },
        bearer,
        connect_timeout: config.api.connect_timeout,
        request_timeout: config.api.request_timeout,
    }
}

fn policy(config: &Config) -> Policy {
    Policy {
        retry: Backoff {
            initial: config.retry.initial_backoff,
            max: config.retry.max_backoff,
        },
        give_up_after: config.retry.give_up_after,
        confirm: config.confirm.enabled.then_some(Confirm {
            interval: Backoff {
                initial: config.confirm.initial_interval,
                max: config.confirm.max_interval,
            },
            give_up_after: config.confirm.give_up_after,
        }),
    }
}
