//! A reload: another configuration is read and drawn up first, which may fail and then changes nothing; then it is set.
//!
//! No loop is stopped for it, and no call that is under way is touched: whoever uses a setting reads it at the start of its
//! next step. What the process holds for its life stays, and is told of ([`Config::take_on`]).

use std::fmt;
use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::dials::{Dials, Plan};
use super::secrets::{CallbackSecrets, Secrets};
use super::vitals::notify;
use crate::config::{Change, Changes, Config};
use crate::pulse::Pulse;
use crate::transport::with_causes;

/// What is said to systemd until the next reload.
const REFUSED: &str = "the last reload was refused, the log says why";

/// What is done outside of the daemon once these changes are taken on.
pub type Then = Box<dyn FnOnce(&[Change]) + Send>;

/// What was read anew.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The secrets that it names.
    pub secrets: Secrets,
    /// Sets what is outside of the daemon, once these changes are taken on: what is logged.
    pub then: Then,
}

type Read = dyn Fn() -> Result<Loaded, String> + Send + Sync;

/// How a daemon is asked to reload, and what it reads then. Clones share it.
#[derive(Clone)]
pub struct Reloads(Arc<Asked>);

struct Asked {
    wanted: Notify,
    read: Box<Read>,
}

impl Reloads {
    /// Reloads that read by `read`, which may block; an error is all that is wrong, in words.
    pub fn new(read: impl Fn() -> Result<Loaded, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Asked {
            wanted: Notify::new(),
            read: Box::new(read),
        }))
    }

    /// Asks for a reload. However often this is asked during one, or during the start, one more follows.
    pub fn ask(&self) {
        self.0.wanted.notify_one();
    }
}

impl fmt::Debug for Reloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reloads")
    }
}

/// When a daemon is to end, whether it can be asked to reload, and who sees that it turns.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The end.
    pub stop: CancellationToken,
    /// The reloads.
    pub reloads: Option<Reloads>,
    /// Where the loops beat, for somebody who looks; `None`: only for systemd's watchdog. (Where that looks, it is the only
    /// one.)
    pub pulse: Option<Pulse>,
}

impl From<CancellationToken> for Orders {
    fn from(stop: CancellationToken) -> Self {
        Self {
            stop,
            reloads: None,
            pulse: None,
        }
    }
}

/// The loop that reloads.
pub(super) struct Reload {
    pub(super) reloads: Reloads,
    pub(super) config: Config,
    pub(super) secrets: Secrets,
    pub(super) dials: Dials,
    pub(super) notice: watch::Sender<Option<String>>,
}

impl Reload {
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let asked = self.reloads.0.clone();
        while stop.run_until_cancelled(asked.wanted.notified()).await.is_some() {
            tell_that_it_begins();
            let reader = asked.clone();
            let read = tokio::task::spawn_blocking(move || (reader.read)());
            let Some(read) = stop.run_until_cancelled(read).await else {
                return;
            };
            let read = read.unwrap_or_else(|error| Err(error.to_string()));
            let notice = read.and_then(|loaded| self.take_on(loaded));
            self.notice.send_replace(notice.unwrap_or_else(|reason| {
                tracing::error!(
                    reason = on_one_line(&reason),
                    "the reload is refused; the old settings hold"
                );
                Some(REFUSED.to_owned())
            }));
            // Also where it was refused: the daemon serves on.
            notify(&[NotifyState::Ready]);
        }
    }

    /// Takes it on, or nothing of it; says what is left to be said.
    fn take_on(&mut self, loaded: Loaded) -> Result<Option<String>, String> {
        let Loaded {
            config: new,
            secrets,
            then,
        } = loaded;
        let Changes { config, taken, held } = self.config.take_on(&new);
        let secrets = self.secrets.take_on(secrets, &config, &new);
        let renewed = self.secrets.renewed(&secrets);
        if !taken.is_empty() || !renewed.is_empty() {
            let push = taken.iter().any(|change| change.key.starts_with("callback."))
                || renewed
                    .iter()
                    .any(|secret| CallbackSecrets::NAMES.contains(secret));
            let plan = Plan::draw(&config, secrets.clone()).map_err(|error| with_causes(&error))?;
            self.dials.set(plan, push);
        }
        (self.config, self.secrets) = (config, secrets);
        then(&taken);
        tell_of(&taken, &renewed);
        Ok(tell_of_held(&held))
    }
}

/// sd_notify(3): a service that reloads says since when.
fn tell_that_it_begins() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "systemd could not be told of the reload"),
    }
}

fn tell_of(taken: &[Change], renewed: &[&str]) {
    let changes = taken.iter().map(ToString::to_string);
    let changes: Vec<String> = changes.chain(renewed.iter().map(ToString::to_string)).collect();
    match changes.is_empty() {
        true => tracing::info!("reloaded; nothing that can be changed meanwhile has changed"),
        false => tracing::info!(changes = changes.join(", "), "reloaded"),
    }
}

/// Tells of what needs a restart, in the log, and in short for systemd.
fn tell_of_held(held: &[Change]) -> Option<String> {
    if held.is_empty() {
        return None;
    }
    let list = |name: fn(&Change) -> String| held.iter().map(name).collect::<Vec<_>>().join(", ");
    tracing::warn!(
        changes = list(ToString::to_string),
        "these changes need a restart; until then what runs stays as it is"
    );
    Some(format!(
        "a restart is needed for {}",
        list(|change| change.key.to_owned())
    ))
}

/// Problems come as a list of lines; a line of the log holds them all.
fn on_one_line(reason: &str) -> String {
    let mut lines = reason.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().to_owned();
    let rest: Vec<_> = lines.collect();
    match rest.is_empty() {
        true => first,
        false => format!("{first} {}", rest.join("; ")),
    }
}
