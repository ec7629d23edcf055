//! One request with all its columns, and the last calls about it.

use std::io;

use crate::cli::Screen;
use crate::cli::text::{clean, wrap};
use crate::store::desk::{AttemptRow, StatusRow};

/// How many calls are shown.
pub(super) const ATTEMPTS: i64 = 10;

/// The width of the longest name of a column, and two more.
const INDENT: usize = 17;

pub(super) fn show(screen: &mut Screen, row: &StatusRow, attempts: &[AttemptRow]) -> io::Result<()> {
    screen.line("")?;
    let attempts_made = row.attempts.to_string();
    let errcode = row.errcode.map(|errcode| errcode.to_string());
    let columns = [
        ("env", Some(&row.env)),
        ("state", Some(&row.state)),
        ("attempts", Some(&attempts_made)),
        ("errcode", errcode.as_ref()),
        ("errmsg", row.errmsg.as_ref()),
        ("rid", row.rid.as_ref()),
        ("remedy", row.remedy.as_ref()),
        ("domain", row.domain.as_ref()),
        ("bucket", row.bucket.as_ref()),
        ("region", row.region.as_ref()),
        ("requested_at", Some(&row.requested_at)),
        ("updated_at", Some(&row.updated_at)),
        ("next_attempt_at", row.next_attempt_at.as_ref()),
        ("finished_at", row.finished_at.as_ref()),
    ];
    for (name, value) in columns {
        column(screen, name, value.map_or("-", String::as_str))?;
    }
    history(screen, attempts)
}

fn column(screen: &mut Screen, name: &str, value: &str) -> io::Result<()> {
    let value = clean(value);
    let lines = match screen.width {
        Some(width) => wrap(&value, width.saturating_sub(INDENT)),
        None => vec![value],
    };
    for (number, line) in lines.iter().enumerate() {
        let name = if number == 0 { name } else { "" };
        screen.line(format_args!("{name:INDENT$}{line}"))?;
    }
    Ok(())
}

fn history(screen: &mut Screen, attempts: &[AttemptRow]) -> io::Result<()> {
    if attempts.is_empty() {
        return screen.line("\nno calls yet");
    }
    screen.line("\nthe last calls, newest first")?;
    let width = screen.width;
    for attempt in attempts {
        super::table::wrapped(screen, &told(attempt), width)?;
    }
    Ok(())
}

fn told(attempt: &AttemptRow) -> String {
    let number =
        |name: &str, value: Option<i64>| value.map(|value| format!("  {name} {value}")).unwrap_or_default();
    let errmsg = attempt
        .errmsg
        .as_deref()
        .map(|errmsg| format!("  {}", clean(errmsg)))
        .unwrap_or_default();
    format!(
        "{}  {}  {}  {} ms{}{}{errmsg}",
        attempt.at,
        attempt.call,
        attempt.outcome,
        attempt.latency_ms,
        number("http", attempt.http_status),
        number("errcode", attempt.errcode),
    )
}
