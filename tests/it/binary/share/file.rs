//! The socket's file.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::super::{GROUP, Station, by_somebody_in, ended, next_with, told};

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket())
}

#[tokio::test]
async fn its_mode_is_the_configured_one_under_whatever_umask() {
    for (umask, mode) in [("077", None), ("000", None), ("022", Some("0600"))] {
        let mut station = Station::new().await;
        let path = station.share();
        if let Some(mode) = mode {
            station.world.set("share.mode", mode);
        }
        let systemd = station.listen();
        station.set_umask(umask);
        station.start();
        next_with(&systemd, "READY=1").await;
        let about = std::fs::metadata(&path).unwrap();
        let wanted = if mode.is_some() { 0o600 } else { 0o660 };
        assert_eq!(about.permissions().mode() & 0o7777, wanted, "umask {umask}");
        station.has_token().await;
        station.stop().await;
        assert!(!path.exists(), "removed at the stop");
    }
}

#[tokio::test]
async fn a_member_of_the_directorys_group_gets_the_token_and_nobody_else_connects() {
    if !crate::programs::there("curl") {
        return;
    }
    let mut station = Station::new().await;
    let path = station.share();
    if !station.give_to_group() {
        return;
    }
    let systemd = station.listen();
    station.set_umask("077");
    station.start();
    next_with(&systemd, "READY=1").await;
    assert_eq!(std::fs::metadata(&path).unwrap().gid().to_string(), GROUP);
    station.has_token().await;
    let ask = |group: &str| {
        let mut command = by_somebody_in(group);
        command.args(["curl", "-sS", "--unix-socket"]).arg(&path);
        command.arg("http://localhost/component_access_token");
        command
    };
    let member = told(ask(GROUP), "").await;
    let token = station.world.simulator.current_token().unwrap();
    assert!(
        String::from_utf8_lossy(&member.stdout).contains(&token),
        "{member:?}"
    );
    // Also in a directory that everybody may enter.
    for mode in [0o2770, 0o2775] {
        std::fs::set_permissions(
            station.world.directory.path(),
            std::fs::Permissions::from_mode(mode),
        )
        .unwrap();
        let stranger = told(ask("54323"), "").await;
        assert!(
            !stranger.status.success() && stranger.stdout.is_empty(),
            "{stranger:?}"
        );
    }
    station.stop().await;
}

/// Starts a daemon that can't share; returns its exit status and what it said.
async fn refused(station: &Station) -> (Option<i32>, String) {
    let log = std::fs::File::create(station.log_file()).unwrap();
    let mut daemon = station.command(&["run"]).stderr(log).spawn().unwrap();
    (ended(&mut daemon).await.code(), station.log())
}

#[tokio::test]
async fn one_that_a_crash_left_is_replaced_and_a_live_one_is_an_error_that_names_it() {
    let (mut station, _) = super::sharer().await;
    let path = station.path("token.sock");
    station.kill();
    assert!(is_socket(&path), "a kill leaves it behind");
    station.started().await;
    let socket = super::Socket::at(&path);
    station.has_token().await;
    let token = socket.get().await.token().to_owned();

    // Another daemon, with a database of its own.
    let mut other = Station::new().await;
    other.world.set("share.socket", path.to_str().unwrap());
    let check = told(other.command(&["check"]), "").await;
    let line = format!(
        "sharing: {}, mode 0660; a daemon shares its token there",
        path.display()
    );
    assert!(
        String::from_utf8_lossy(&check.stdout).contains(&line),
        "{check:?}"
    );
    let (status, said) = refused(&other).await;
    assert_eq!(status, Some(75), "{said}");
    assert!(
        said.contains(path.to_str().unwrap()) && said.contains("in use"),
        "{said}"
    );
    assert_eq!(other.world.simulator.exchanges(), 0);
    assert_eq!(socket.get().await.token(), token);
    station.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn what_is_no_socket_is_never_removed_and_a_missing_directory_is_named() {
    let mut station = Station::new().await;
    let path = station.share();
    let elsewhere = station.path("elsewhere");
    let _listener = std::os::unix::net::UnixListener::bind(&elsewhere).unwrap();
    let make: [fn(&Path, &Path); 3] = [
        |path, _| std::fs::write(path, "somebody's").unwrap(),
        |path, _| std::fs::create_dir(path).unwrap(),
        |path, elsewhere| std::os::unix::fs::symlink(elsewhere, path).unwrap(),
    ];
    for make in make {
        make(&path, &elsewhere);
        let before = std::fs::symlink_metadata(&path).unwrap().ino();
        let (status, said) = refused(&station).await;
        assert_eq!(status, Some(78), "{said}");
        assert!(
            said.contains(path.to_str().unwrap()) && said.contains("is no socket"),
            "{said}"
        );
        assert_eq!(std::fs::symlink_metadata(&path).unwrap().ino(), before);
        if path.is_dir() {
            std::fs::remove_dir(&path).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
    }
    let missing = station.path("missing");
    station
        .world
        .set("share.socket", missing.join("token.sock").to_str().unwrap());
    let (status, said) = refused(&station).await;
    assert_eq!(status, Some(78), "{said}");
    assert!(
        said.contains(missing.to_str().unwrap()) && said.contains("share.socket"),
        "{said}"
    );
}

#[tokio::test]
async fn one_that_is_no_longer_ours_is_not_removed_at_the_stop() {
    let (mut station, _) = super::sharer().await;
    let path = station.path("token.sock");
    std::fs::remove_file(&path).unwrap();
    let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    station.stop().await;
    assert!(is_socket(&path));
    let check = told(station.command(&["check"]), "").await;
    let line = format!("another program than staticstored listens on {}", path.display());
    assert!(
        String::from_utf8_lossy(&check.stdout).contains(&line),
        "{check:?}"
    );
}
