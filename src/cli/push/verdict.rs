//! What an answer to a push means, and which thing to look at: pure.

use super::send::{Answer, Came, PATIENCE};
use crate::cli::text::clean;

/// How much of somebody's page is shown.
const SHOWN: usize = 80;

/// What a verdict names: where the daemon's side of the matter stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'a> {
    /// `callback.path`.
    pub(super) path: &'a str,
    /// The path of the URL that was pushed to.
    pub(super) pushed_path: &'a str,
    /// The file of the callback token.
    pub(super) token_file: &'a str,
    /// The file of the EncodingAESKey.
    pub(super) key_file: &'a str,
}

/// Judges the answer to a genuine event: what is well, or what is wrong and where to look.
pub(super) fn genuine(came: &Came, places: Places<'_>) -> Result<String, String> {
    match came {
        Came::Answer(answer) if is_success(answer) => {
            Ok(format!("success, after {} ms", answer.taken.as_millis()))
        }
        Came::Answer(answer) => Err(format!("{}: {}", shown(answer), means(answer, places))),
        other => Err(unanswered(other)),
    }
}

/// Judges the answer to a signature that is not right: anything but `success` is right.
pub(super) fn forged(came: &Came) -> Result<String, String> {
    match came {
        Came::Answer(answer) if is_success(answer) => Err(
            "success as well: whatever answers there does not look at the signature, so it is not staticstored; find \
             what answers in its place, a rule of the reverse proxy or another program"
                .to_owned(),
        ),
        Came::Answer(answer) => Ok(format!("refused, HTTP {}", answer.status)),
        other => Err(unanswered(other)),
    }
}

/// Just what Weixin wants to hear.
fn is_success(answer: &Answer) -> bool {
    answer.status == 200 && answer.body == "success"
}

fn shown(answer: &Answer) -> String {
    let body = clean(answer.body.trim());
    let mut start: String = body.chars().take(SHOWN).collect();
    if start.len() < body.len() {
        start.push_str("...");
    }
    match start.is_empty() {
        true => format!("HTTP {}", answer.status),
        false => format!("HTTP {} {start:?}", answer.status),
    }
}

fn means(answer: &Answer, places: Places<'_>) -> String {
    match answer.status {
        200..=299 if answer.body.trim() == "success" => {
            "almost: Weixin wants 200 and the word success alone, so something changes the answer on its way".to_owned()
        }
        200..=299 => "somebody else's page; whatever answers there is not staticstored, so look at which server the \
                      reverse proxy passes this path to"
            .to_owned(),
        300..=399 => {
            let to = answer.location.as_deref().unwrap_or("nowhere");
            format!(
                "a redirect to {}, and Weixin follows none: give Weixin the URL that answers, or take the redirect away",
                clean(to)
            )
        }
        404 if places.path != places.pushed_path => format!(
            "nothing is there; callback.path is {}, the URL's path {}: they differ, so the reverse proxy has to put the one in \
             place of the other",
            places.path, places.pushed_path
        ),
        404 => "nothing is there: the reverse proxy does not pass this path on, or the URL leads to another machine"
            .to_owned(),
        405 => "whatever answers there takes no POST, so it is not staticstored: look at the reverse proxy".to_owned(),
        408 | 429 => {
            "the reverse proxy or the daemon has too much to do, or the network is slow: try again, then look at the log"
                .to_owned()
        }
        413 => "an event of 1 KiB is too large for the reverse proxy: look at its limit of bodies".to_owned(),
        400..=499 => format!(
            "refused: the daemon's callback token, EncodingAESKey or appid differ from those used here; compare {} and {} \
             on both machines with Weixin's console, and component.appid. (If the daemon's log has no warning of this \
             moment, it was the reverse proxy that refused: look at its log.)",
            places.token_file, places.key_file
        ),
        502 | 504 => "the reverse proxy does not reach the daemon: is it running, and is callback.listen the address \
                      that the proxy passes to?"
            .to_owned(),
        503 => "the daemon could not store a push just now, or the reverse proxy has no daemon: `staticstored status`, \
                and the log of both"
            .to_owned(),
        _ => "nothing that staticstored says: look at the log of the reverse proxy".to_owned(),
    }
}

fn unanswered(came: &Came) -> String {
    let patience = PATIENCE.as_secs();
    match came {
        Came::Untrusted(why) => format!(
            "no TLS that can be trusted ({}): Weixin would not push either; look at the certificate, its name, its end and \
             its chain",
            clean(why)
        ),
        Came::Unreachable(why) => format!(
            "no connection ({}): look at the name, the port and the firewall",
            clean(why)
        ),
        Came::TooLate => format!(
            "no answer within {patience} s, and Weixin waits {patience} s: the reverse proxy waits for somebody else, or \
             the daemon for its disk"
        ),
        Came::Broken(why) => format!(
            "the connection broke ({}): look at the log of the reverse proxy",
            clean(why)
        ),
        Came::Answer(answer) => shown(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: Places<'_> = Places {
        path: "/weixin/callback",
        pushed_path: "/weixin/callback",
        token_file: "/etc/t",
        key_file: "/etc/k",
    };

    fn answer(status: u16, body: &str) -> Came {
        Came::Answer(Answer {
            status,
            body: body.to_owned(),
            ..Answer::default()
        })
    }

    #[test]
    fn success_is_well_and_everything_else_says_where_to_look() {
        assert_eq!(
            genuine(&answer(200, "success"), PLACES).unwrap(),
            "success, after 0 ms"
        );
        for (status, body, says) in [
            (200, "success\n", "alone"),
            (
                200,
                "<html>\n<title>Welcome",
                "HTTP 200 \"<html> <title>Welcome\": somebody else",
            ),
            (204, "", "HTTP 204: somebody else"),
            (301, "", "redirect to nowhere"),
            (400, "", "/etc/t and /etc/k"),
            (403, "", "/etc/t and /etc/k"),
            (404, "", "does not pass this path on"),
            (405, "", "no POST"),
            (413, "", "too large"),
            (429, "", "too much"),
            (500, "", "reverse proxy"),
            (502, "", "callback.listen"),
            (503, "", "could not store"),
            (504, "", "callback.listen"),
        ] {
            let told = genuine(&answer(status, body), PLACES).unwrap_err();
            assert!(told.contains(says), "{status}: {told}");
        }
    }

    #[test]
    fn a_404_says_so_when_the_paths_differ_and_a_redirect_where_it_leads() {
        let elsewhere = Places {
            pushed_path: "/other",
            ..PLACES
        };
        let told = genuine(&answer(404, ""), elsewhere).unwrap_err();
        assert!(told.contains("callback.path is /weixin/callback") && told.contains("/other"));
        let redirect = Came::Answer(Answer {
            status: 302,
            location: Some("https://example.com/login\x1b[31m".into()),
            ..Answer::default()
        });
        let told = genuine(&redirect, PLACES).unwrap_err();
        assert!(
            told.contains("https://example.com/login") && !told.contains('\x1b'),
            "{told}"
        );
    }

    #[test]
    fn no_answer_says_why_whatever_was_sent() {
        for (came, says) in [
            (Came::Untrusted("UnknownIssuer".into()), "certificate"),
            (Came::Unreachable("refused".into()), "firewall"),
            (Came::TooLate, "Weixin waits 5 s"),
            (Came::Broken("reset".into()), "(reset)"),
        ] {
            assert!(genuine(&came, PLACES).unwrap_err().contains(says));
            assert!(forged(&came).unwrap_err().contains(says));
        }
    }

    #[test]
    fn a_forged_event_that_is_welcome_tells_of_an_impostor() {
        assert_eq!(forged(&answer(403, "no")).unwrap(), "refused, HTTP 403");
        let told = forged(&answer(200, "success")).unwrap_err();
        assert!(told.contains("it is not staticstored"), "{told}");
    }

    #[test]
    fn of_a_long_page_the_start_is_shown() {
        let told = genuine(&answer(200, &"x".repeat(1000)), PLACES).unwrap_err();
        assert!(told.contains("xxx...\"") && told.len() < 400, "{told}");
    }
}
