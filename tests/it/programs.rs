//! The other programs that some tests run: where one is missing, those tests are skipped aloud, but never in CI.

use std::process::Command;

/// Whether a program is here.
///
/// # Panics
/// In CI, when it is not: there, nothing is skipped.
pub fn there(program: &str) -> bool {
    answers(program, "--version")
}

/// The same for a program that says its version in another way.
///
/// # Panics
/// In CI, when it is not: there, nothing is skipped.
pub fn answers(program: &str, argument: &str) -> bool {
    let there = runs(program, argument);
    assert!(
        there || std::env::var_os("CI").is_none(),
        "{program} is missing, and CI skips nothing"
    );
    there
}

/// Whether a program is here that may be missing in CI too, since it is large.
pub fn may_be_missing(program: &str, argument: &str) -> bool {
    runs(program, argument)
}

fn runs(program: &str, argument: &str) -> bool {
    let output = Command::new(program).arg(argument).output();
    let there = output.is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: no {program} here");
    }
    there
}
