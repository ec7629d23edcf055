//! `staticstored push`: what it says of all who may answer in the daemon's place. (The daemon itself answers in `binary`.)

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::thread::JoinHandle;

use super::{Desk, Told, program};

const TOKEN: &str = "canarytoken";
const KEY: &str = "canaryKEYcanaryKEYcanaryKEYcanaryKEYcanaryK";

/// A configuration with a receiver, and its secrets.
fn desk() -> Desk {
    let desk = Desk::bare();
    for (name, content) in [("token", TOKEN), ("key", KEY)] {
        desk.write(name, content);
        std::fs::set_permissions(desk.path(name), Permissions::from_mode(0o600)).unwrap();
    }
    desk.configure(&format!(
        "[callback]\nlisten = \"127.0.0.1:1\"\ntoken_file = {:?}\naes_key_file = {:?}\n",
        desk.path("token"),
        desk.path("key")
    ));
    desk
}

/// Somebody who answers one request after the other with these, and returns what was asked.
fn impostor(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/weixin/callback", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let answer = |text: String| {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            stream.get_mut().write_all(text.as_bytes()).unwrap();
            head + &String::from_utf8(body).unwrap()
        };
        answers.into_iter().map(answer).collect()
    });
    (url, asked)
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn whoever_answers_success_and_refuses_a_wrong_signature_is_well() {
    let desk = desk();
    let (url, asked) = impostor(vec![answer("200 OK", "success"), answer("403 Forbidden", "")]);
    let told = desk.run(&["push", &url]).done();
    let lines: Vec<&str> = told.lines().collect();
    assert!(
        lines[0].starts_with("note   Weixin pushes to the ports 80 and 443"),
        "{told}"
    );
    assert!(
        lines[1].starts_with("ok     a genuine event: success, "),
        "{told}"
    );
    assert_eq!(lines[2], "ok     a wrong signature: refused, HTTP 403");
    let asked = asked.join().unwrap();
    for request in &asked {
        assert!(
            request.starts_with("POST /weixin/callback?signature="),
            "{request}"
        );
        assert!(request.contains("<Encrypt>") && !request.contains("staticstored_test"));
    }
}

#[test]
fn whoever_answers_success_to_a_wrong_signature_is_found_out() {
    let desk = desk();
    let (url, asked) = impostor(vec![answer("200 OK", "success"), answer("200 OK", "success")]);
    let told = desk.run(&["push", &url]);
    assert!(
        told.out.contains("WRONG  a wrong signature: success as well"),
        "{told:?}"
    );
    assert!(told.refused(1).contains("would not be received"));
    asked.join().unwrap();
}

#[test]
fn whoever_does_not_answer_success_is_told_with_what_to_look_at_and_no_secret_is_shown() {
    let desk = desk();
    let redirect = "HTTP/1.1 301 Moved\r\nLocation: https://example.com/\r\nContent-Length: 0\r\n\r\n";
    for (text, says) in [
        (
            answer("403 Forbidden", "no"),
            desk.path("token").display().to_string(),
        ),
        (
            answer("404 Not Found", ""),
            "does not pass this path on".to_owned(),
        ),
        (
            redirect.to_owned(),
            "a redirect to https://example.com/".to_owned(),
        ),
        (
            answer("200 OK", "<html>hello</html>"),
            "somebody else's page".to_owned(),
        ),
        (answer("200 OK", "success\n"), "the word success alone".to_owned()),
        (
            answer("502 Bad Gateway", ""),
            "does not reach the daemon".to_owned(),
        ),
        (
            "SSH-2.0-OpenSSH\r\n".to_owned(),
            "the connection broke".to_owned(),
        ),
    ] {
        let (url, asked) = impostor(vec![text]);
        let mut command = desk.command(&["push", &url]);
        let told: Told = command.env("RUST_LOG", "trace").output().unwrap().into();
        assert!(
            told.out.contains("WRONG  a genuine event: ") && told.out.contains(&says),
            "{says}: {told:?}"
        );
        let all = format!("{}{}", told.out, told.err);
        assert!(!all.contains("canaryt") && !all.contains("canaryK"), "{all}");
        assert_eq!(told.status, 1);
        asked.join().unwrap();
    }
}

#[test]
fn without_a_receiver_or_its_secrets_it_is_a_matter_of_the_configuration() {
    let url = "http://127.0.0.1:1/weixin/callback";
    let told = Desk::bare().run(&["push", url]).refused(78);
    assert!(told.contains("callback.listen is not set"), "{told}");
    let desk = desk();
    std::fs::write(desk.path("key"), "short").unwrap();
    let told = desk.run(&["push", url]).refused(78);
    assert!(
        told.contains("callback.aes_key_file") && !told.contains("short"),
        "{told}"
    );
    std::fs::remove_file(desk.path("token")).unwrap();
    let told = desk.run(&["push", url]).refused(78);
    assert!(told.contains("callback.token_file"), "{told}");
}

#[test]
fn what_is_no_url_to_push_to_is_a_usage_error() {
    for url in [
        "push.example.com",
        "ftp://push.example.com/",
        "https://push.example.com/?a=b",
        "https://me:secret@push.example.com/",
        "https://",
        "",
    ] {
        let told = Told::from(program(&["push", url]).output().unwrap()).refused(2);
        assert!(
            told.contains("an http or https URL without a query"),
            "{url}: {told}"
        );
    }
}
