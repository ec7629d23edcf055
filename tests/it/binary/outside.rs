//! `staticstored push` asks the daemon itself, without a proxy between them.

use super::{Station, private, told};
use crate::world::PUSH_PATH;

/// What a person sees who asks with these files and this environment, and the exit status.
async fn asked(station: &Station, url: &str, variables: &[(&str, String)]) -> (i32, String) {
    let mut command = station.command(&["push", url]);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let output = told(command, "").await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn the_daemon_answers_success_to_what_its_own_files_seal_and_says_why_to_anything_else() {
    let mut station = Station::new().await;
    let port = station.receives();
    station.variables.push(("RUST_LOG", "trace".to_owned()));
    station.started().await;
    let url = format!("http://127.0.0.1:{port}{PUSH_PATH}");
    let tickets = station.world.rows("SELECT * FROM ticket").await;

    let (status, text) = asked(&station, &url, &[]).await;
    assert_eq!(status, 0, "{text}");
    assert!(
        text.contains("ok     a wrong signature: refused, HTTP 403\n"),
        "{text}"
    );
    station.wait_for_log("staticstored_test").await;

    let other = |name: &str, content: &str| {
        let file = station.write(name, content);
        private(&file);
        file.display().to_string()
    };
    let (token, key) = (
        other("other-token", "canaryOfAnotherToken"),
        other("other-key", "canaryOfAnotherKeyAAAAAAAAAAAAAAAAAAAAAAAAA"),
    );
    for (variable, value) in [
        ("STATICSTORED_CALLBACK__TOKEN_FILE", &token),
        ("STATICSTORED_CALLBACK__AES_KEY_FILE", &key),
        ("STATICSTORED_COMPONENT__APPID", &"wx9999999999999999".to_owned()),
    ] {
        let (status, text) = asked(&station, &url, &[(variable, value.clone())]).await;
        assert_eq!(status, 1, "{text}");
        assert!(text.contains("WRONG  a genuine event: HTTP 403 "), "{text}");
        assert!(text.contains("component.appid"), "{text}");
        assert!(
            !value.starts_with('/') || text.contains(value.as_str()),
            "{value}: {text}"
        );
        assert!(!text.contains("canaryOf"), "{text}");
    }
    let (status, text) = asked(&station, &format!("http://127.0.0.1:{port}/other"), &[]).await;
    assert_eq!(status, 1, "{text}");
    assert!(
        text.contains("HTTP 404") && text.contains("callback.path is /weixin/callback"),
        "{text}"
    );
    // It is of no consequence.
    assert_eq!(station.world.rows("SELECT * FROM ticket").await, tickets);
    station.stop().await;
    assert!(!station.log().contains("canaryOf"));
}
