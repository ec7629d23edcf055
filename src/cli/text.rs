//! Words for people: ages, wrapped lines, and text from outside that cannot steer a terminal.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

/// The largest file that is read as input: some hundred thousand environment IDs.
const LARGEST_INPUT: u64 = 64 * 1024 * 1024;

/// Reads a file, or standard input for `-`.
pub(super) fn read_input(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(LARGEST_INPUT + 1)
            .read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|input| input.take(LARGEST_INPUT + 1).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("{} cannot be read", input_name(file)))?;
    anyhow::ensure!(
        bytes.len() as u64 <= LARGEST_INPUT,
        "{} is larger than 64 MiB: split it",
        file.display()
    );
    Ok(bytes)
}

/// What an input is called in a message.
pub(super) fn input_name(file: &Path) -> String {
    if file == Path::new("-") {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    }
}

/// An error with its causes. Many say their cause themselves; that is not said twice.
pub fn message(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.ends_with(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

/// Takes out what could steer a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A time that has passed, or is to come, as people say it: in its largest unit.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Breaks a text into lines of at most `width` characters, between words where there are some.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if !line.is_empty() && line.chars().count() + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
        }
        while word.len() > width {
            lines.push(word.drain(..width).collect());
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_span_is_said_in_its_largest_unit() {
        for (seconds, said) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7200, "2 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), said);
        }
    }

    #[test]
    fn a_cause_that_an_error_says_itself_is_not_said_twice() {
        let error = anyhow::anyhow!("no space")
            .context("cannot write: no space")
            .context("saving");
        assert_eq!(message(&error), "saving: cannot write: no space");
        assert_eq!(message(&anyhow::anyhow!("b").context("a")), "a: b");
    }

    #[test]
    fn text_from_outside_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[31mb\r\nc\u{9b}d"), "a [31mb  c d");
    }

    proptest! {
        #[test]
        fn wrapping_keeps_every_word_and_the_width(text in "[a-z ]{0,200}", width in 1usize..60) {
            let lines = wrap(&text, width);
            prop_assert!(lines.iter().all(|line| !line.is_empty() && line.chars().count() <= width));
            let letters = |text: &str| text.replace(' ', "");
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
