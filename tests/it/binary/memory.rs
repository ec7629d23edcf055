//! What is in the daemon's memory stays there, also when it crashes.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use super::{Station, ended};
use crate::programs::or_skipped;

/// A shell that lets a program leave a core file of any size, in a directory of its own.
const ALLOW: &str = "ulimit -c unlimited && cd \"$0\" && exec \"$@\"";

/// What becomes of a program that leaves a core file where it can.
async fn crash(directory: &Path) -> Option<ExitStatus> {
    let mut shell = Command::new("sh");
    shell.args(["-c", ALLOW]).arg(directory);
    shell
        .args(["sh", "-c", "kill -s ABRT $$"])
        .stderr(Stdio::null())
        .process_group(0);
    Some(ended(&mut shell.spawn().ok()?).await)
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}

#[tokio::test]
async fn a_daemon_that_crashes_leaves_no_core_file_whatever_it_is_allowed() {
    let elsewhere = tempfile::tempdir().unwrap();
    let dumps = crash(elsewhere.path())
        .await
        .is_some_and(|status| status.core_dumped());
    if !or_skipped(dumps, "this machine makes no core files") {
        return;
    }
    // As the watchdog does it, and as a fault of the processor does. (Rust handles SIGSEGV, and looks what it is about.)
    for signal in ["ABRT", "ILL"] {
        let mut station = Station::new().await;
        let here = tempfile::tempdir().unwrap();
        station.under = ["sh", "-c", ALLOW].map(str::to_owned).to_vec();
        station.under.push(here.path().display().to_string());
        station.started().await;
        station.has_token().await;
        station.signal(signal);
        let status = station.ended().await;
        assert!(
            status.signal().is_some() && !status.core_dumped(),
            "{signal}: {status}"
        );
        assert!(is_empty(here.path()), "{signal}");
    }
}
