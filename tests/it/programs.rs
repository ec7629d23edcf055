//! The other programs that some tests run: where one is missing, those tests are skipped aloud, but never in CI.

use std::process::Command;

/// Whether a program is here.
///
/// # Panics
/// In CI, when it is not: there, nothing is skipped.
pub fn there(program: &str) -> bool {
    let there = Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(
        there || std::env::var_os("CI").is_none(),
        "{program} is missing, and CI skips nothing"
    );
    if !there {
        eprintln!("skipped: no {program} here");
    }
    there
}
