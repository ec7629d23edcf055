//! Where output goes: a terminal, which has a width and colours, or a pipe, which has neither.

use std::io::{self, IsTerminal as _, Write};

use crate::config::Environment;

/// Standard output, and what it can show.
pub struct Screen {
    out: Box<dyn Write + Send>,
    /// Whether a person looks at it.
    pub terminal: bool,
    /// Whether colour and lines of box characters are wanted: on a terminal, unless `NO_COLOR` is set.
    pub decorated: bool,
    /// Its width in columns: the terminal's, or `COLUMNS`; `None` for a pipe: lines may be of any length.
    pub width: Option<usize>,
}

impl Screen {
    /// Standard output.
    #[must_use]
    pub fn stdout(env: &Environment) -> Self {
        let terminal = io::stdout().is_terminal();
        let no_colour = env.get("NO_COLOR").is_some_and(|value| !value.is_empty());
        let columns = env.get("COLUMNS").and_then(|columns| columns.parse().ok());
        let measured = comfy_table::Table::new().width().map(usize::from);
        Self {
            out: Box::new(io::BufWriter::new(io::stdout())),
            terminal,
            decorated: terminal && !no_colour,
            width: measured
                .filter(|_| terminal)
                .or(columns)
                .filter(|width| *width > 0),
        }
    }

    /// A screen that nobody looks at.
    #[cfg(test)]
    pub(crate) fn sink(decorated: bool, width: Option<usize>) -> Self {
        Self {
            out: Box::new(io::sink()),
            terminal: decorated,
            decorated,
            width,
        }
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn line(&mut self, text: impl std::fmt::Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Shows what was written so far.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
