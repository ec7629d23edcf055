//! One table: what each errcode means and what somebody can do about it (CONTRACT 2; weixin-api.md 6).

use crate::outcome::{Effect, Load, Meaning};

/// What an errcode leads to when it answers a call about an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Accepted,
    Passes(Effect, Load),
    Token,
    Env,
    Line,
    /// Never seen in answer to such a call.
    NotHere,
}

/// What an errcode leads to when it answers api_component_token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExchangeClass {
    /// It passes.
    Passes,
    /// The ticket is no longer good: a new one is needed.
    Ticket,
    /// Somebody must help.
    Blocked,
}

struct Entry {
    code: i64,
    meaning: &'static str,
    class: Class,
    exchange: ExchangeClass,
    remedy: &'static str,
}

const fn row(code: i64, class: Class, meaning: &'static str, remedy: &'static str) -> Entry {
    Entry {
        code,
        meaning,
        class,
        exchange: ExchangeClass::Blocked,
        remedy,
    }
}

const fn passing(mut entry: Entry) -> Entry {
    entry.exchange = ExchangeClass::Passes;
    entry
}

const fn ticket(mut entry: Entry) -> Entry {
    entry.exchange = ExchangeClass::Ticket;
    entry
}

const WAIT: &str = "Nothing: staticstored tries again by itself.";
const RENEW: &str = "Nothing for a call: staticstored uses the current token, or fetches a new one.";
const OWN_BUG: &str = "This is staticstored's own fault: report it with the rid. It goes on by itself once Weixin answers again.";

/// Refused before it did anything.
const REFUSED: Effect = Effect::None;
/// `-1` and its kin do not say whether the call took effect (weixin-api.md 5).
const UNSURE: Effect = Effect::Possible;

#[rustfmt::skip]
const TABLE: &[Entry] = &[
    row(0, Class::Accepted, "ok", "Nothing."),

    passing(row(-1, Class::Passes(UNSURE, Load::Busy), "Weixin is busy", WAIT)),
    passing(row(-1000, Class::Passes(UNSURE, Load::Busy), "system error at Weixin", WAIT)),
    passing(row(45011, Class::Passes(REFUSED, Load::Busy), "too many calls in this minute", WAIT)),
    passing(row(9402202, Class::Passes(REFUSED, Load::Busy), "too many calls at the same time", WAIT)),
    passing(row(-501002, Class::Passes(UNSURE, Load::Busy), "the cloud did not answer Weixin in time", WAIT)),
    row(-501003, Class::Passes(REFUSED, Load::Fine), "this environment's quota of requests is used up", WAIT),
    row(-501004, Class::Passes(REFUSED, Load::Fine), "this environment's quota of concurrent requests is used up", WAIT),
    passing(row(-601001, Class::Passes(UNSURE, Load::Busy), "error in Weixin's back end", WAIT)),
    passing(row(-601003, Class::Passes(UNSURE, Load::Busy), "network error inside Weixin", WAIT)),

    row(40001, Class::Token, "the credential is wrong, or the token is not the latest",
        "Nothing for a call: staticstored uses the current token, or fetches a new one. In answer to api_component_token: the appsecret is wrong; put the right one into the file and restart."),
    row(40014, Class::Token, "the access_token is not valid", RENEW),
    row(42001, Class::Token, "the access_token has expired", RENEW),
    row(42006, Class::Token, "the component_access_token has expired", RENEW),

    row(40097, Class::Env, "an argument is wrong",
        "Check that this environment ID exists and belongs to this platform, then run `staticstored retry` for it."),
    row(40101, Class::Env, "an argument is missing",
        "Check that this environment ID exists and belongs to this platform, then run `staticstored retry` for it."),
    row(85088, Class::Env, "cloud development is not opened for this environment's account",
        "Open cloud development for the account (it has no qbase privilege), then run `staticstored retry` for it."),
    row(-501005, Class::Env, "the environment's state is abnormal",
        "Look at the environment in the console (it may be halted or in arrears) and mend it, then run `staticstored retry` for it."),
    row(-501007, Class::Env, "a parameter is wrong",
        "Check that this environment ID exists and belongs to this platform, then run `staticstored retry` for it."),
    row(-501009, Class::Env, "the resource is illegal or missing",
        "Check in the console that the environment still exists, then run `staticstored retry` for it."),
    row(-501018, Class::Env, "the resource is not available",
        "Look at the environment in the console; when it is available again, run `staticstored retry` for it."),
    row(-501020, Class::Env, "a parameter is unknown",
        "Check that this environment ID exists and belongs to this platform, then run `staticstored retry` for it."),
    row(-501021, Class::Env, "not supported for this environment",
        "Static websites need a pay-as-you-go environment: change its plan in the console, then run `staticstored retry` for it."),

    row(41001, Class::Line, "the access_token is missing from the call", OWN_BUG),
    row(43002, Class::Line, "the call must be a POST", OWN_BUG),
    row(44002, Class::Line, "the call had no body", OWN_BUG),
    row(47001, Class::Line, "the call's data could not be read", OWN_BUG),
    row(45009, Class::Line, "the daily quota of calls is used up",
        "Wait for the next day, or reset it with component/clear_quota/v2 (ten times a month)."),
    row(48001, Class::Line, "the platform is not authorised for this API",
        "Have the API granted to the third-party platform in the Weixin Open Platform console."),
    row(50002, Class::Line, "the account is limited",
        "Look at the platform's account in the Weixin Open Platform console: it is limited or frozen."),
    row(61004, Class::Line, "this machine's IP address is not registered with Weixin",
        "Add the IP address named in errmsg (requestIP) to the platform's list in the Weixin Open Platform console; use its \"modify\" entry, which takes effect at once."),
    row(61007, Class::Line, "the API is not authorised to this platform",
        "Have the API's permission set granted to the third-party platform in the Weixin Open Platform console."),

    row(40013, Class::NotHere, "the appid is not valid", "Put the platform's own appid into component.appid."),
    row(40125, Class::NotHere, "the appsecret is not valid",
        "The appsecret is wrong or was reset: put the new one into component.appsecret_file and restart."),
    row(41004, Class::NotHere, "the appsecret is missing", "Put the appsecret into component.appsecret_file and restart."),
    ticket(row(61005, Class::NotHere, "the component_verify_ticket has expired",
        "Weixin pushes a new ticket every ten minutes: check that what receives it answers `success` and inserts it into the ticket table.")),
    ticket(row(61006, Class::NotHere, "the component_verify_ticket is not valid",
        "Check that the ticket in the ticket table is this platform's latest; the next one that arrives is tried at once.")),
    row(61011, Class::NotHere, "the component is not valid", "Check component.appid, and that the platform is still active in the console."),
];

/// What `staticstored explain` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The errcode.
    pub code: i64,
    /// What it says.
    pub meaning: &'static str,
    /// What staticstored does about it, in words.
    pub class: &'static str,
    /// What somebody can do about it.
    pub remedy: &'static str,
}

fn find(code: i64) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.code == code)
}

/// Gives the meaning of an errcode that answered a call about an environment.
#[must_use]
pub fn meaning(code: i64) -> Meaning {
    match find(code).map(|entry| (entry.class, entry.remedy)) {
        Some((Class::Accepted, _)) => Meaning::Accepted,
        Some((Class::Passes(effect, load), _)) => Meaning::Passes(effect, load),
        Some((Class::Token, _)) => Meaning::Token,
        Some((Class::Env, remedy)) => Meaning::Env(remedy),
        Some((Class::Line, remedy)) => Meaning::Line(remedy),
        Some((Class::NotHere, _)) | None => Meaning::Unknown,
    }
}

/// Gives the class of an errcode that answered api_component_token, and the remedy.
pub(crate) fn exchange(code: i64) -> (ExchangeClass, &'static str) {
    const UNKNOWN: &str = "Weixin refuses the exchange with a code that staticstored does not know: look it up by \
         errcode and rid, or ask Weixin's support.";
    find(code).map_or((ExchangeClass::Blocked, UNKNOWN), |entry| {
        (entry.exchange, entry.remedy)
    })
}

/// Explains an errcode; `None` for one that the table does not know.
#[must_use]
pub fn explain(code: i64) -> Option<Explanation> {
    let entry = find(code)?;
    let class = match (entry.class, entry.exchange) {
        (Class::Accepted, _) => "accepted: the website is looked at until it is online",
        (Class::Passes(Effect::None, _), _) => "passes: tried again with backoff",
        (Class::Passes(Effect::Possible, _), _) => {
            "passes: looked at, then tried again with backoff, since the call may have taken effect"
        }
        (Class::Token, _) => "token: at most one new token, and the request goes on with it at once",
        (Class::Env, _) => "this environment: the request fails at once",
        (Class::Line, _) => {
            "whole line: no request fails, calls stop, and go on by themselves when it passes"
        }
        (Class::NotHere, ExchangeClass::Ticket) => "ticket: staticstored waits for a new ticket",
        (Class::NotHere, _) => "the token exchange: blocked until somebody helps, requests wait untouched",
    };
    Some(Explanation {
        code,
        meaning: entry.meaning,
        class,
        remedy: entry.remedy,
    })
}

/// Every errcode in the table, in its order.
pub fn known() -> impl Iterator<Item = i64> {
    TABLE.iter().map(|entry| entry.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(code: i64) -> &'static str {
        match meaning(code) {
            Meaning::Accepted => "accepted",
            Meaning::Passes(..) => "passes",
            Meaning::Token => "token",
            Meaning::Env(_) => "env",
            Meaning::Line(_) => "line",
            Meaning::Unknown => "unknown",
            Meaning::Store(_) | Meaning::Alone(_) => unreachable!("no errcode means that"),
        }
    }

    #[test]
    fn each_errcode_is_in_the_class_that_the_contract_gives_it() {
        let contract: &[(&str, &[i64])] = &[
            ("accepted", &[0]),
            (
                "passes",
                &[
                    -1, -1000, 45011, 9402202, -501002, -501003, -501004, -601001, -601003,
                ],
            ),
            ("token", &[40001, 40014, 42001, 42006]),
            (
                "env",
                &[
                    40097, 40101, 85088, -501005, -501007, -501009, -501018, -501020, -501021,
                ],
            ),
            (
                "line",
                &[41001, 43002, 44002, 47001, 45009, 48001, 50002, 61004, 61007],
            ),
            ("unknown", &[89249, 61005, 40013, -501001, 12345]),
        ];
        for (wanted, codes) in contract {
            for code in *codes {
                assert_eq!(class(*code), *wanted, "{code}");
            }
        }
    }

    #[test]
    fn the_exchange_waits_for_a_ticket_is_blocked_or_passes_as_the_contract_says() {
        for code in [61005, 61006] {
            assert_eq!(exchange(code).0, ExchangeClass::Ticket, "{code}");
        }
        for code in [40001, 40013, 40125, 41004, 61011, 48001, 61004, 45009, 12345] {
            assert_eq!(exchange(code).0, ExchangeClass::Blocked, "{code}");
        }
        assert_eq!(exchange(-1).0, ExchangeClass::Passes);
    }

    #[test]
    fn of_what_passes_the_codes_that_mean_too_many_refused_the_call_and_the_quotas_of_one_env_slow_nobody_down()
     {
        let of = |effect, load| {
            known()
                .filter(|code| meaning(*code) == Meaning::Passes(effect, load))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(Effect::None, Load::Busy), [45011, 9402202]);
        assert_eq!(of(Effect::None, Load::Fine), [-501003, -501004]);
        assert_eq!(
            of(Effect::Possible, Load::Busy),
            [-1, -1000, -501002, -601001, -601003]
        );
        assert_eq!(of(Effect::Possible, Load::Fine), Vec::<i64>::new());
    }

    #[test]
    fn an_explanation_says_what_is_done_about_each_class() {
        for (code, class) in [
            (0, "accepted"),
            (45011, "passes: tried again"),
            (-1, "passes: looked at"),
            (42001, "token:"),
            (40097, "this environment:"),
            (61004, "whole line:"),
            (61005, "ticket:"),
            (40013, "the token exchange:"),
        ] {
            let told = explain(code).unwrap();
            assert!(told.class.starts_with(class), "{told:?}");
            assert_eq!(told.code, code);
        }
        assert_eq!(explain(12345), None);
        assert!(explain(61004).unwrap().remedy.contains("requestIP"));
        assert!(exchange(40125).1.contains("appsecret") && exchange(12345).1.contains("does not know"));
    }

    #[test]
    fn no_code_stands_twice_and_each_has_a_meaning_and_a_remedy_that_ends_as_a_sentence() {
        let mut seen = std::collections::HashSet::new();
        for code in known() {
            assert!(seen.insert(code), "{code} stands twice");
            let explanation = explain(code).unwrap();
            assert!(!explanation.meaning.is_empty());
            assert!(
                explanation.remedy.ends_with('.'),
                "{code}: {}",
                explanation.remedy
            );
        }
    }
}
