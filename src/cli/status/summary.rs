//! The first lines of `status`: whether the service works, and if not, what to do. Someone who reads only these must
//! not go away believing that all is well.

use std::time::Duration;

use crate::cli::text::{clean, span};
use crate::clock::{self, Timestamp};
use crate::store::desk::{STATES, ServiceRow};

/// A daemon that has not shown itself for longer than this is taken for dead, whatever its last state says.
pub(crate) const STALE: Duration = Duration::from_secs(60);

pub(super) fn lines(service: &ServiceRow, counts: &[(String, i64)], now: Timestamp) -> Vec<String> {
    let mut lines = vec![headline(service, now)];
    if service.paused && service.state != "paused" {
        lines.push("pause asked for: `staticstored resume` goes on".to_owned());
    }
    let errcode = service
        .errcode
        .map(|errcode| format!(" (errcode {errcode})"))
        .unwrap_or_default();
    lines.extend(
        service
            .reason
            .as_ref()
            .map(|reason| format!("reason: {}{errcode}", clean(reason))),
    );
    lines.extend(
        service
            .remedy
            .as_ref()
            .map(|remedy| format!("remedy: {}", clean(remedy))),
    );
    lines.push(tally(counts));
    lines
}

fn headline(service: &ServiceRow, now: Timestamp) -> String {
    let heartbeat = service.heartbeat_at.as_deref().and_then(clock::parse);
    let Some(heartbeat) = heartbeat else {
        return "NOT RUNNING: staticstored has not run on this database yet; start it (systemctl start staticstored)"
            .to_owned();
    };
    let age = clock::between(heartbeat, now);
    if service.state == "stopped" {
        return format!(
            "NOT RUNNING: stopped {} ago; start it (systemctl start staticstored)",
            span(age)
        );
    }
    if age > STALE {
        return format!(
            "NOT RUNNING: no heartbeat for {} (its last state: {}); look at its log (journalctl -u staticstored)",
            span(age),
            service.state
        );
    }
    let version = service.version.as_deref().unwrap_or_default();
    format!(
        "staticstored {version} {}, heartbeat {} ago; {}",
        word(&service.state),
        span(age),
        token(service, now)
    )
}

fn word(state: &str) -> &str {
    match state {
        "waiting_for_ticket" => "is WAITING FOR A TICKET",
        "blocked" => "is BLOCKED",
        "paused" => "is paused (`staticstored resume` goes on)",
        _ => "is running",
    }
}

fn token(service: &ServiceRow, now: Timestamp) -> String {
    match service.token_expires_at.as_deref().and_then(clock::parse) {
        Some(end) if end > now => format!("token for another {}", span(clock::between(now, end))),
        Some(end) => format!("token expired {} ago", span(clock::between(end, now))),
        None => "no token".to_owned(),
    }
}

/// The requests in each state, in words.
pub(super) fn tally(counts: &[(String, i64)]) -> String {
    let of = |state: &&str| counts.iter().find(|(name, _)| name == state);
    let said: Vec<_> = STATES
        .iter()
        .filter_map(of)
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    if said.is_empty() {
        return "no requests yet (`staticstored enqueue ENV` makes one)".to_owned();
    }
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(state: &str, heartbeat_at: Option<&str>) -> ServiceRow {
        ServiceRow {
            state: state.to_owned(),
            reason: None,
            remedy: None,
            errcode: None,
            version: Some("0.1.0".to_owned()),
            pid: Some(1),
            host: None,
            heartbeat_at: heartbeat_at.map(str::to_owned),
            token_expires_at: Some("2026-11-23T13:00:00.000Z".to_owned()),
            paused: false,
        }
    }

    fn said(service: &ServiceRow) -> String {
        lines(service, &[], clock::parse("2026-11-23T12:00:00.000Z").unwrap()).join("\n")
    }

    #[test]
    fn a_daemon_that_shows_itself_is_running_until_its_heartbeat_is_stale() {
        let told = said(&service("running", Some("2026-11-23T11:59:00.000Z")));
        assert!(
            told.starts_with("staticstored 0.1.0 is running, heartbeat 60 s ago; token for another 60 min"),
            "{told}"
        );
        let told = said(&service("running", Some("2026-11-23T11:58:59.999Z")));
        assert!(
            told.starts_with("NOT RUNNING: no heartbeat for 60 s (its last state: running)"),
            "{told}"
        );
    }

    #[test]
    fn a_daemon_that_stopped_or_never_ran_is_said_not_to_run() {
        let told = said(&service("stopped", Some("2026-11-23T11:59:59.000Z")));
        assert!(told.starts_with("NOT RUNNING: stopped 1 s ago"), "{told}");
        assert!(said(&service("stopped", None)).starts_with("NOT RUNNING: staticstored has not run"));
    }

    #[test]
    fn a_blocked_daemon_says_why_and_what_to_do() {
        let mut blocked = service("blocked", Some("2026-11-23T12:00:00.000Z"));
        blocked.reason = Some("the IP\x1b[2J is not listed".to_owned());
        blocked.remedy = Some("list it".to_owned());
        blocked.errcode = Some(61004);
        let told = said(&blocked);
        assert!(told.contains("is BLOCKED"), "{told}");
        assert!(
            told.contains("\nreason: the IP [2J is not listed (errcode 61004)\nremedy: list it\n"),
            "{told}"
        );
    }

    #[test]
    fn a_pause_that_the_daemon_has_not_seen_yet_is_told_all_the_same() {
        let mut paused = service("running", Some("2026-11-23T12:00:00.000Z"));
        paused.paused = true;
        assert!(said(&paused).contains("staticstored resume"));
    }

    #[test]
    fn the_tally_has_what_needs_attention_first() {
        let counts = [("online".to_owned(), 812), ("failed".to_owned(), 1)];
        assert_eq!(tally(&counts), "1 failed, 812 online");
        assert!(tally(&[]).starts_with("no requests yet"));
    }
}
