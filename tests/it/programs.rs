//! The other programs that some tests run: where one is missing, those tests are skipped aloud, but never in CI.

use std::process::Command;

/// Whether a program is here.
///
/// # Panics
/// In CI, when it is not: there, nothing is skipped.
pub fn there(program: &str) -> bool {
    works(program, &["--version"])
}

/// Whether a program is here and does this.
///
/// # Panics
/// In CI, when it does not: there, nothing is skipped.
pub fn works(program: &str, arguments: &[&str]) -> bool {
    let works = may_be_missing(program, arguments);
    assert!(
        works || std::env::var_os("CI").is_none(),
        "{program} {arguments:?} does not work, and CI skips nothing"
    );
    works
}

/// Whether a program is here and does this; it may be missing in CI too, since it is large.
pub fn may_be_missing(program: &str, arguments: &[&str]) -> bool {
    let works = Command::new(program)
        .args(arguments)
        .output()
        .is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("skipped: {program} {arguments:?} does not work here");
    }
    works
}
