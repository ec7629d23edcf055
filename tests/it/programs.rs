//! The other programs that some tests run: where one is missing, those tests are skipped aloud, but never in CI.

use std::os::unix::fs::MetadataExt as _;
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

/// Whether we may trace the daemon: its memory is closed to everybody but root, even to its own user.
///
/// # Panics
/// In CI, when we may not: there, nothing is skipped.
pub fn may_trace() -> bool {
    or_skipped(
        std::fs::metadata("/proc/self").unwrap().uid() == 0,
        "only root may trace the daemon",
    )
}

/// Whether something can be tried here; where it cannot, says why.
///
/// # Panics
/// In CI, when it cannot: there, nothing is skipped.
pub fn or_skipped(can: bool, why: &str) -> bool {
    assert!(
        can || std::env::var_os("CI").is_none(),
        "{why}, and CI skips nothing"
    );
    if !can {
        eprintln!("skipped: {why}");
    }
    can
}
