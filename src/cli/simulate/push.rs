//! The pushes of `staticstored simulate --push`: to whom, with which keys, and what came of each.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::cli::SimulateOptions;
use crate::cli::session::Session;
use crate::cli::text::{clean, input_name, read_input};
use crate::clock;
use crate::config::duration_text;
use crate::simulator::push::{Answer, CALLBACK_TOKEN, ENCODING_AES_KEY, Push, Seal, Target};
use crate::simulator::{Options, Simulator};

/// How much of an answer that is not `success` is shown.
const SHOWN: usize = 60;
/// A push after every other is a flood, not a test.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// Sets who is pushed to; returns lines about it, in which nothing stands that came from a file.
///
/// Weixin stops to push after a push without success. This one goes on at the next interval, for a daemon under test
/// is stopped and started all the time.
pub(super) fn set_up(settings: &mut Options, options: &SimulateOptions) -> anyhow::Result<Vec<String>> {
    let Some(url) = &options.push else {
        return Ok(Vec::new());
    };
    anyhow::ensure!(
        options.push_every >= SHORTEST_INTERVAL,
        "--push-every is at least {}",
        duration_text(SHORTEST_INTERVAL)
    );
    let (token, token_shown) = secret(options.callback_token_file.as_deref(), CALLBACK_TOKEN)?;
    let (key, key_shown) = secret(options.aes_key_file.as_deref(), ENCODING_AES_KEY)?;
    let seal = Seal::new(&token, &key, &settings.appid)
        .with_context(|| format!("the EncodingAESKey ({key_shown}) is none"))?;
    settings.push_to = Some(Target::new(url, seal)?);
    settings.push_interval = options.push_every;
    settings.push_stops = false;
    Ok(vec![
        format!("  callback token  {token_shown}"),
        format!("  EncodingAESKey  {key_shown}"),
        format!(
            "A ticket is pushed to {url} every {}, and when api_start_push_ticket is called.",
            duration_text(options.push_every)
        ),
    ])
}

/// What stands in a file, and the file's name to show; or what is known to everybody.
fn secret(file: Option<&Path>, default: &str) -> anyhow::Result<(String, String)> {
    let Some(file) = file else {
        return Ok((default.to_owned(), default.to_owned()));
    };
    let bytes = read_input(file)?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    anyhow::ensure!(!text.is_empty(), "{} is empty", input_name(file));
    Ok((text, format!("(in {})", input_name(file))))
}

/// Tells of each push as it is made, for ever.
pub(super) async fn tell(session: &mut Session, simulator: &Simulator) -> anyhow::Result<()> {
    let mut told = 0;
    loop {
        simulator.wait_until(|simulator| simulator.pushed() > told).await;
        let pushes = simulator.pushes();
        for push in &pushes[told..] {
            session.screen.line(line(push))?;
        }
        told = pushes.len();
        session.screen.flush()?;
    }
}

fn line(push: &Push) -> String {
    let answer = match &push.answer {
        Ok(answer) if answer.is_success() => "success".to_owned(),
        Ok(answer) => format!("HTTP {} {:?}, not success", answer.status, start(answer)),
        Err(error) => error.clone(),
    };
    format!("{} pushed {}: {answer}", clock::text(push.at), push.info_type)
}

fn start(answer: &Answer) -> String {
    clean(&answer.body).chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_told_in_a_line_that_cannot_steer_a_terminal() {
        let push = |answer| Push {
            at: clock::Timestamp::UNIX_EPOCH,
            info_type: "component_verify_ticket".to_owned(),
            answer,
        };
        let answer = |status, body: &str| {
            Ok(Answer {
                status,
                body: body.to_owned(),
            })
        };
        let start = "1970-01-01T00:00:00.000Z pushed component_verify_ticket: ";
        for (answer, told) in [
            (answer(200, "success"), "success"),
            (answer(403, "\x1b[31mno\n"), "HTTP 403 \" [31mno \", not success"),
            (
                answer(200, &"x".repeat(100)),
                &format!("HTTP 200 {:?}, not success", "x".repeat(SHOWN)),
            ),
            (Err("no answer within 5s".to_owned()), "no answer within 5s"),
        ] {
            assert_eq!(line(&push(answer)), format!("{start}{told}"));
        }
    }
}
