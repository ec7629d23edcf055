//! What the README shows for PHP, Python and the shell, as it stands there.

use std::process::Command;

use super::super::told;
use super::sharer;
use crate::docs::{README, fenced};

/// The socket that the README names.
const SOCKET: &str = "/run/staticstored/token.sock";

struct Language {
    /// As it is fenced.
    name: &'static str,
    program: [&'static str; 2],
    before: &'static str,
    /// What it takes, to be skipped where that is missing; nothing for the shell, which is everywhere.
    needs: Option<&'static str>,
    /// Shows the token.
    after: &'static str,
}

const LANGUAGES: [Language; 3] = [
    Language {
        name: "sh",
        program: ["sh", "-c"],
        before: "set -eu\n",
        needs: None,
        after: "\nprintf %s \"$token\"",
    },
    Language {
        name: "python",
        program: ["python3", "-c"],
        before: "",
        needs: Some("pass"),
        after: "\nprint(token, end='')",
    },
    Language {
        name: "php",
        program: ["php", "-r"],
        before: "",
        needs: Some("curl_version();"),
        after: "\necho $token;",
    },
];

/// The blocks about the token, for a socket elsewhere: how to get it, how to hand it back.
fn blocks(language: &str, socket: &str) -> Vec<String> {
    let blocks = fenced(README, language).into_iter();
    blocks
        .filter(|block| block.contains("component_access_token"))
        .map(|block| block.replace(SOCKET, socket))
        .collect()
}

#[tokio::test]
async fn three_lines_get_the_token_in_each_language_and_the_next_ones_hand_it_back() {
    if !crate::programs::there("curl") {
        return;
    }
    for language in LANGUAGES {
        // One for each: a second token in a row that dies young is not replaced at once.
        let (mut station, _) = sharer().await;
        let simulator = station.world.simulator.clone();
        let socket = station.path("token.sock").display().to_string();
        let blocks = blocks(language.name, &socket);
        assert_eq!(blocks.len(), 2, "{}: {blocks:?}", language.name);
        let lines = blocks[0]
            .lines()
            .filter(|line| !line.starts_with("import "))
            .count();
        assert_eq!(lines, 3, "{}", blocks[0]);
        let (program, option) = (language.program[0], language.program[1]);
        if let Some(needs) = language.needs
            && !crate::programs::works(program, &[option, needs])
        {
            continue;
        }
        let mut code = language.before.to_owned();
        for block in &blocks {
            let before = simulator.current_token().unwrap();
            if code.len() > language.before.len() {
                simulator.revoke_token();
            }
            code = format!("{code}{block}\n");
            let mut command = Command::new(program);
            command.arg(option).arg(format!("{code}{}", language.after));
            let output = told(command, "").await;
            assert!(output.status.success(), "{} {output:?}\n{code}", language.name);
            let token = String::from_utf8(output.stdout).unwrap();
            assert_eq!(token, simulator.current_token().unwrap(), "{}", language.name);
            if block != &blocks[0] {
                assert_ne!(token, before);
            }
        }
        station.stop().await;
    }
}
