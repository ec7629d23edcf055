//! Requests as a table: with lines and colours on a terminal; bare columns, one line for each request, in a pipe;
//! a few short lines for each where a table would not be readable.

use std::io;

use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use comfy_table::{Cell, Color, ContentArrangement, Table};

use crate::cli::Screen;
use crate::cli::text::{clean, wrap};
use crate::store::desk::StatusRow;

/// A table in fewer columns than these breaks every cell in pieces.
const NARROW: usize = 72;

const HEADER: [&str; 6] = [
    "env",
    "state",
    "attempts",
    "errcode",
    "next/finished",
    "domain/remedy",
];

pub(in crate::cli) fn show(screen: &mut Screen, rows: &[StatusRow]) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    match screen.width {
        Some(width) if width < NARROW => rows.iter().try_for_each(|row| block(screen, row, width)),
        _ => screen.line(table(screen, rows).trim_fmt()),
    }
}

/// Writes a line, broken where the screen ends.
pub(super) fn wrapped(screen: &mut Screen, text: &str, width: Option<usize>) -> io::Result<()> {
    match width {
        Some(width) => wrap(text, width).iter().try_for_each(|line| screen.line(line)),
        None => screen.line(text),
    }
}

fn table(screen: &Screen, rows: &[StatusRow]) -> Table {
    let mut table = Table::new();
    table
        .set_header(HEADER)
        .add_rows(rows.iter().map(|row| cells(row, screen.decorated)));
    if screen.decorated {
        table.load_style(UTF8_FULL_CONDENSED).enforce_styling();
    } else {
        table.load_style(NOTHING).force_no_tty();
        table.column_iter_mut().for_each(|column| {
            column.set_padding((0, 2));
        });
    }
    match screen.width {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    table
}

fn cells(row: &StatusRow, colour: bool) -> Vec<Cell> {
    let mut state = Cell::new(&row.state);
    if let Some(shade) = shade(&row.state).filter(|_| colour) {
        state = state.fg(shade);
    }
    let errcode = row.errcode.map_or("-".to_owned(), |errcode| errcode.to_string());
    vec![
        Cell::new(&row.env),
        state,
        Cell::new(row.attempts),
        Cell::new(errcode),
        Cell::new(when(row)),
        Cell::new(word(row)),
    ]
}

fn shade(state: &str) -> Option<Color> {
    match state {
        "failed" => Some(Color::Red),
        "retrying" => Some(Color::Yellow),
        "online" | "accepted" => Some(Color::Green),
        _ => None,
    }
}

/// The time that matters, to the second.
fn when(row: &StatusRow) -> String {
    let time = row
        .finished_at
        .as_deref()
        .or(row.next_attempt_at.as_deref())
        .unwrap_or("-");
    time.split('.').next().unwrap_or("-").to_owned()
}

/// What to do about it, or where it is, or else what Weixin said.
fn word(row: &StatusRow) -> String {
    let word = row
        .remedy
        .as_deref()
        .or(row.domain.as_deref())
        .or(row.errmsg.as_deref());
    clean(word.unwrap_or("-"))
}

fn block(screen: &mut Screen, row: &StatusRow, width: usize) -> io::Result<()> {
    wrapped(screen, &format!("{} {}", row.state, row.env), Some(width))?;
    let errcode = row
        .errcode
        .map(|errcode| format!(", errcode {errcode}"))
        .unwrap_or_default();
    let tried = format!("{} tries{errcode}, {}", row.attempts, when(row));
    for text in [tried, word(row)].iter().filter(|text| *text != "-") {
        for line in wrap(text, width.saturating_sub(2)) {
            screen.line(format_args!("  {line}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> StatusRow {
        StatusRow {
            env: "test-env1".to_owned(),
            state: "failed".to_owned(),
            attempts: 3,
            errcode: Some(-501005),
            errmsg: Some("bad state\x1b[2J".to_owned()),
            rid: None,
            remedy: None,
            domain: None,
            bucket: None,
            region: None,
            requested_at: "2026-11-23T12:00:00.000Z".to_owned(),
            updated_at: "2026-11-23T12:00:01.000Z".to_owned(),
            next_attempt_at: None,
            finished_at: Some("2026-11-23T12:00:01.000Z".to_owned()),
        }
    }

    #[test]
    fn a_terminal_gets_lines_and_colours() {
        let told = table(&Screen::sink(true, Some(120)), &[row()]).to_string();
        assert!(told.contains('│') && told.contains("\x1b["), "{told}");
        assert!(told.lines().count() > 3, "{told}");
    }

    #[test]
    fn without_decoration_there_is_one_plain_line_for_each_request() {
        let told = table(&Screen::sink(false, None), &[row(), row()]).trim_fmt();
        assert_eq!(told.lines().count(), 3, "{told}");
        assert!(told.is_ascii() && !told.contains('\x1b'), "{told}");
        assert!(
            told.contains("test-env1  failed  3         -501005  2026-11-23T12:00:01  bad state [2J"),
            "{told}"
        );
    }
}
