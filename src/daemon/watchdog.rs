//! systemd's watchdog, fed as long as all loops turn: a daemon that hangs is ended and started anew.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::vitals::notify;
use crate::clock::Stopwatch;
use crate::pulse::Pulse;

/// A loop that waits beats so many times in a watchdog's period; ...
const TICKS: u32 = 8;
/// ... its pulse is felt so many times; ...
const LOOKS: u32 = 4;
/// ... and a loop that has not turned for this part of the period hangs: systemd hears no more of us, and what is left of
/// the period passes.
const HANGS_AFTER: u32 = 2;

pub(super) struct Watchdog {
    period: Option<Duration>,
    pulse: Pulse,
}

impl Watchdog {
    /// The one that systemd asks for (`WatchdogSec=`, sd_watchdog_enabled(3)), if it does; else the loops beat on `pulse`.
    pub(super) fn new(pulse: Option<Pulse>) -> Self {
        let period = sd_notify::watchdog_enabled().filter(|period| !period.is_zero());
        Self {
            period,
            pulse: match period {
                Some(period) => Pulse::new(period / TICKS),
                None => pulse.unwrap_or_default(),
            },
        }
    }

    /// What loops beat on.
    pub(super) fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Feeds it until `end`, the stop included: what is written down then may wait for a disk.
    pub(super) async fn feed(self, end: CancellationToken) {
        let Some(period) = self.period else { return };
        let mut hangs = None;
        let mut late = false;
        loop {
            // A process that was frozen, as a paused virtual machine is, has slept as a whole: no loop hangs for that.
            let oldest = self.pulse.oldest().filter(|_| !late);
            match oldest.filter(|(_, age)| *age >= period / HANGS_AFTER) {
                Some((name, age)) => {
                    if hangs.replace(name) != Some(name) {
                        tracing::error!(
                            r#loop = name,
                            seconds = age.as_secs(),
                            "a loop hangs; systemd is to start us anew"
                        );
                    }
                }
                None => {
                    if let Some(name) = hangs.take() {
                        tracing::warn!(r#loop = name, "the loop turns again");
                    }
                    notify(&[NotifyState::Watchdog]);
                }
            }
            let slept = Stopwatch::start();
            tokio::select! {
                () = end.cancelled() => return,
                () = tokio::time::sleep(period / LOOKS) => {}
            }
            late = slept.elapsed() >= period / HANGS_AFTER;
        }
    }
}
