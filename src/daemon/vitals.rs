//! The reporter: how the daemon is, in the `service` row and to systemd; and the way back, `service.paused`.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::dials::Dials;
use crate::clock::{Clock, SET_BACK, Stopwatch, Timestamp, after, between, text};
use crate::line::Condition;
use crate::pulse::{Beat, Pulse};
use crate::store::{Identity, Store, StoreError, Vitals};
use crate::token::{TokenState, Trouble, TroubleKind};
use crate::wake::Wakes;

/// How often `heartbeat_at` is written.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// `service.paused` is obeyed within a second: commits that come closer together than this are one.
const OBEY_SPACING: Duration = Duration::from_millis(200);
/// Counting states may take this share of the time at most: it reads an index of all requests ever made.
const TALLY_SHARE: u32 = 1000;

const BUSY_REASON: &str = "Weixin is busy or out of reach; one call at a time probes until it passes";
const FETCHING_REASON: &str = "there is no token yet; one is being fetched";
const PAUSED_REASON: &str = "service.paused is 1";
const PAUSED_REMEDY: &str =
    "Run `staticstored resume`, or UPDATE service SET paused = 0, when calls may go on.";

/// Tells systemd; without one, nobody.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

#[derive(Clone)]
pub(super) struct Reporter {
    store: Store,
    dials: Dials,
    clock: Clock,
    identity: Identity,
    /// What is to be said of the last reload, for systemd.
    notice: watch::Receiver<Option<String>>,
}

impl Reporter {
    pub(super) fn new(
        store: Store,
        dials: Dials,
        clock: Clock,
        identity: Identity,
        notice: watch::Receiver<Option<String>>,
    ) -> Self {
        Self {
            store,
            dials,
            clock,
            identity,
            notice,
        }
    }

    /// Reports each change and a heartbeat, and obeys `service.paused`, until `stop`.
    pub(super) async fn run(
        self,
        wakes: Wakes,
        pulse: Pulse,
        stop: CancellationToken,
    ) -> Result<(), StoreError> {
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            failed = self.report(pulse.beat("report")) => failed,
            failed = self.obey(wakes, pulse.beat("pause")) => failed,
        }
    }

    async fn report(&self, beat: Beat) -> Result<(), StoreError> {
        let mut condition = self.dials.line.condition();
        let mut token = self.dials.tokens.state();
        let mut notice = self.notice.clone();
        let mut tally = Tally::default();
        let mut seen = self.store.last_heartbeat().await?;
        loop {
            condition.mark_unchanged();
            token.mark_unchanged();
            let vitals = self.vitals();
            if let Some(seen) = seen.replace(vitals.heartbeat_at) {
                beat.during(self.look_at_the_clock(seen, vitals.heartbeat_at))
                    .await?;
            }
            let of_reload = notice.borrow_and_update().clone();
            tell(&vitals, tally.read(&self.store).await?, of_reload.as_deref());
            beat.during(self.store.set_vitals(vitals)).await?;
            let change = beat.during(async {
                tokio::select! {
                    // The senders live as long as the line and the tokens, which we hold.
                    _ = condition.changed() => {}
                    _ = token.changed() => {}
                    Ok(()) = notice.changed() => {}
                    () = self.clock.sleep(HEARTBEAT) => {}
                }
            });
            change.await;
        }
    }

    /// A clock that was set back would let rows wait for times that the old one gave.
    async fn look_at_the_clock(&self, seen: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let back = between(now, seen);
        if back < SET_BACK {
            return Ok(());
        }
        self.dials.set_back();
        let longest = self.dials.rules.borrow().longest_wait();
        let hastened = self.store.hasten(now, after(now, longest)).await?;
        tracing::warn!(
            seconds = back.as_secs(),
            before = text(seen),
            hastened,
            "the clock was set back; what would wait for its old time is tried within the longest wait"
        );
        Ok(())
    }

    async fn obey(&self, mut wakes: Wakes, beat: Beat) -> Result<(), StoreError> {
        // The watch ends only with the daemon.
        while beat.during(wakes.changed()).await.is_ok() {
            tokio::time::sleep(OBEY_SPACING).await;
            wakes.mark_unchanged();
            self.look_at_paused().await?;
        }
        std::future::pending().await
    }

    /// Obeys `service.paused`.
    pub(super) async fn look_at_paused(&self) -> Result<(), StoreError> {
        self.dials.line.set_paused(self.store.paused().await?);
        Ok(())
    }

    /// Says that we have stopped.
    pub(super) async fn stopped(&self) -> Result<(), StoreError> {
        let vitals = Vitals {
            state: "stopped",
            reason: None,
            remedy: None,
            errcode: None,
            ..self.vitals()
        };
        self.store.set_vitals(vitals).await
    }

    fn vitals(&self) -> Vitals {
        let state = self.dials.tokens.state().borrow().clone();
        let live = self.dials.tokens.current();
        let (word, why) = explain(&self.dials.line.condition().borrow(), live.is_some(), &state);
        Vitals {
            identity: self.identity.clone(),
            state: word,
            reason: why.reason,
            remedy: why.remedy,
            errcode: why.errcode,
            token_expires_at: live.as_ref().map(|token| token.expires_at),
            token_refreshed_at: live.as_ref().map(|token| token.obtained_at),
            heartbeat_at: self.clock.now(),
        }
    }
}

#[derive(Default)]
struct Why {
    reason: Option<String>,
    remedy: Option<String>,
    errcode: Option<i64>,
}

/// Names the first thing that is in the way: a pause, then the lack of a token that works, then the line.
fn explain(line: &Condition, has_token: bool, token: &TokenState) -> (&'static str, Why) {
    let because = token.trouble.as_ref().map(Trouble::why).unwrap_or_default();
    let is_blocked = matches!(line, Condition::Blocked(_));
    // One that was rejected is in use as long as calls pass with it.
    let works = has_token && !(is_blocked && token.rejection.is_some());
    let trouble = token.trouble.as_ref().map(|trouble| trouble.kind);
    match (line, works, trouble) {
        (Condition::Paused, ..) => (
            "paused",
            Why {
                reason: Some(PAUSED_REASON.into()),
                remedy: Some(PAUSED_REMEDY.into()),
                errcode: None,
            },
        ),
        (_, false, Some(TroubleKind::Ticket)) => ("waiting_for_ticket", because),
        (_, false, Some(TroubleKind::Blocked | TroubleKind::Passing)) => ("blocked", because),
        (Condition::Blocked(fault), ..) => (
            "blocked",
            Why {
                reason: Some(fault.reason.clone()),
                remedy: Some(fault.remedy.clone()),
                errcode: fault.errcode,
            },
        ),
        (_, false, None) => (
            "blocked",
            Why {
                reason: Some(FETCHING_REASON.into()),
                ..Why::default()
            },
        ),
        (Condition::Busy(met), true, _) => {
            let reason = format!("{BUSY_REASON}; the last one: {met}");
            (
                "running",
                Why {
                    reason: Some(reason),
                    ..Why::default()
                },
            )
        }
        // Running, and yet somebody should know: no new token, or one that was rejected.
        (_, true, None) => {
            let rejected = token.rejection.as_ref().map(ToString::to_string);
            (
                "running",
                Why {
                    reason: rejected,
                    ..Why::default()
                },
            )
        }
        (_, true, Some(_)) => ("running", because),
    }
}

impl Trouble {
    fn why(&self) -> Why {
        Why {
            reason: Some(self.reason.clone()),
            remedy: self.remedy.clone(),
            errcode: self.errcode,
        }
    }
}

/// The line that `systemctl status` shows.
fn tell(vitals: &Vitals, tally: &str, of_reload: Option<&str>) {
    let token = match vitals.token_expires_at {
        Some(at) => format!("token until {}", at.with_timezone(&chrono::Local).format("%H:%M")),
        None => "no token".to_owned(),
    };
    let also = |text: Option<&str>| text.map(|text| format!("; {text}")).unwrap_or_default();
    let (reason, of_reload) = (also(vitals.reason.as_deref()), also(of_reload));
    let state = if vitals.state == "running" {
        String::new()
    } else {
        format!("{}: ", vitals.state)
    };
    notify(&[NotifyState::Status(&format!(
        "{state}{tally}; {token}{reason}{of_reload}"
    ))]);
}

/// The number of requests in each state, counted anew only as often as that is cheap.
#[derive(Default)]
struct Tally {
    text: String,
    due: Option<(Stopwatch, Duration)>,
}

impl Tally {
    async fn read(&mut self, store: &Store) -> Result<&str, StoreError> {
        if self
            .due
            .as_ref()
            .is_none_or(|(since, wait)| since.elapsed() >= *wait)
        {
            let watch = Stopwatch::start();
            let counts = store.tally().await?;
            let count = |(state, n): &(String, u64)| format!("{state} {n}");
            self.text = counts.iter().map(count).collect::<Vec<_>>().join(", ");
            if self.text.is_empty() {
                self.text = "no requests".to_owned();
            }
            self.due = Some((Stopwatch::start(), watch.elapsed() * TALLY_SHARE));
        }
        Ok(&self.text)
    }
}
