//! `staticstored enqueue`: requests, from arguments and from a list. One bad line refuses all of them, so that a list
//! is either requested or mended, never half of it.

use std::path::PathBuf;

use clap::Args;

use super::database;
use super::session::Session;
use super::text::{clean, input_name, read_input};
use crate::request::Env;
use crate::store::{Access, desk};

/// `staticstored enqueue`
#[derive(Debug, Args)]
pub struct Options {
    /// Environment IDs: 1 to 128 of A-Z a-z 0-9 - _
    #[arg(value_name = "ENV", value_parser = env_argument, required_unless_present = "file")]
    envs: Vec<Env>,
    /// Also read a list, one ID for each line; blank lines and lines that start with # are skipped; - for standard
    /// input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Higher goes first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    priority: i64,
}

/// How many bad lines are named before the rest are only counted.
const NAMED: usize = 20;

pub(super) async fn run(session: &mut Session, options: &Options) -> anyhow::Result<()> {
    let config = session.config()?;
    let mut envs = options.envs.clone();
    if let Some(file) = &options.file {
        let bytes = read_input(file)?;
        let listed = list(&bytes).map_err(|bad| refusal(&input_name(file), &bad))?;
        envs.extend(listed);
    }
    let mut connection = database::open(&config.database, Access::Write).await?;
    let new = desk::enqueue(&mut connection, &envs, options.priority)
        .await
        .map_err(|error| database::explained(&config.database.path, error))?;
    database::close(connection).await?;
    let already = envs.len() as u64 - new;
    session
        .screen
        .line(format_args!("{new} new, {already} already queued"))?;
    Ok(())
}

/// Takes an argument for an environment ID, but not what was meant as standard input.
pub(super) fn env_argument(text: &str) -> Result<Env, String> {
    if text == "-" {
        return Err("standard input is read with --file -".to_owned());
    }
    Env::parse(text).map_err(|error| error.to_string())
}

/// Reads a list; or all its bad lines, with their numbers.
fn list(bytes: &[u8]) -> Result<Vec<Env>, Vec<String>> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let (mut envs, mut bad) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match Env::parse(line) {
            Ok(env) => envs.push(env),
            Err(error) => bad.push(format!("line {number}: {}", clean(&error.to_string()))),
        }
    }
    if bad.is_empty() { Ok(envs) } else { Err(bad) }
}

fn refusal(file: &str, bad: &[String]) -> anyhow::Error {
    let named = bad
        .iter()
        .take(NAMED)
        .map(|line| format!("\n  {line}"))
        .collect::<String>();
    let more = bad.len().saturating_sub(NAMED);
    let more = if more > 0 {
        format!("\n  and {more} more")
    } else {
        String::new()
    };
    anyhow::anyhow!("nothing was inserted, because of {file}:{named}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_have_blank_lines_comments_carriage_returns_and_a_byte_order_mark() {
        let envs = list("\u{feff}a\r\n\r\n# b\n  c  \n\nd".as_bytes()).unwrap();
        assert_eq!(envs.iter().map(Env::as_str).collect::<Vec<_>>(), ["a", "c", "d"]);
        assert!(list(b"").unwrap().is_empty());
    }

    #[test]
    fn every_bad_line_is_named_with_its_number() {
        let bad = list(b"good\nb ad\n\n#\n\xff\n\x1b[31m\n").unwrap_err();
        assert_eq!(bad.len(), 3);
        assert!(
            bad[0].starts_with("line 2: \"b ad\" is no environment ID"),
            "{bad:?}"
        );
        assert!(
            bad[1].starts_with("line 5: ") && bad[2].starts_with("line 6: "),
            "{bad:?}"
        );
        assert!(bad.iter().all(|line| !line.contains('\x1b')));
    }

    #[test]
    fn a_file_that_is_no_list_does_not_fill_the_screen() {
        let bad: Vec<_> = (0..100).map(|n| format!("line {n}")).collect();
        let told = refusal("F", &bad).to_string();
        assert_eq!(told.lines().count(), NAMED + 2);
        assert!(told.ends_with("and 80 more"));
    }
}
