//! When the next token is due, and what comes of each try, with a source that answers as it is told.

use std::collections::VecDeque;

use super::*;
use crate::clock::Clock;
use crate::owner::{self, Address, Owner};
use crate::pulse::Pulse;
use crate::token::{Rejected, Rejector, TokenState};

const START: Timestamp = Timestamp::UNIX_EPOCH;
const HOUR: u64 = 3600;

/// A source that answers as it is told.
#[derive(Default)]
struct Script {
    /// What the next tries bring.
    brings: VecDeque<Fetched>,
    /// What was current and what was rejected at each try.
    asked: Vec<(Option<String>, Option<String>)>,
    /// Whether it stirs, and whether that is news.
    stirs: Option<bool>,
    sets: usize,
}

impl Fetch for Script {
    const BLOCKED: Backoff = Backoff {
        initial: Duration::from_secs(7),
        max: Duration::from_secs(20),
    };
    const SHORT_LIVES: Backoff = Backoff {
        initial: Duration::from_secs(3),
        max: Duration::from_secs(9),
    };
    const REVOKED_REMEDY: &'static str = "let one of them go";

    fn set(&mut self, _: Source) {
        self.sets += 1;
    }

    async fn fetch(&mut self, previous: Previous<'_>) -> Result<Fetched, StoreError> {
        let name = |token: Option<&Token>| token.map(|token| token.expose().to_owned());
        self.asked.push((name(previous.current), name(previous.rejected)));
        Ok(self.brings.pop_front().expect("one try too many"))
    }

    async fn stirred(&mut self) {
        if self.stirs.is_none() {
            std::future::pending::<()>().await;
        }
    }

    async fn has_news(&mut self, _: Option<TroubleKind>) -> Result<bool, StoreError> {
        Ok(self.stirs.take().unwrap_or_default())
    }
}

fn at(seconds: u64) -> Timestamp {
    after(START, Duration::from_secs(seconds))
}

fn token(name: &str, obtained: u64, expires: u64) -> Token {
    Token::new(name, at(obtained), at(expires)).unwrap()
}

fn trouble(kind: TroubleKind) -> Trouble {
    Trouble {
        kind,
        reason: "no".into(),
        remedy: None,
        errcode: Some(-1),
    }
}

fn settings(home: &str) -> Settings {
    let owner = Owner::new(&owner::Settings {
        address: Address::Socket("/nobody/listens/here".into()),
        bearer: None,
        connect_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_secs(1),
    });
    Settings {
        source: Source::Owner(owner.unwrap()),
        home: home.into(),
        renew_before: Duration::from_secs(600),
    }
}

fn tokens() -> (Tokens, Clock) {
    let clock = Clock::manual(START);
    (Tokens::new(settings("here"), clock.clone()), clock)
}

fn renewal() -> (Renewal<Script>, Tokens, Clock) {
    let (tokens, clock) = tokens();
    let settings = tokens.0.settings.subscribe();
    let renewal = Renewal::new(tokens.clone(), settings, Script::default());
    (renewal, tokens, clock)
}

impl Renewal<Script> {
    /// One try, which brings this.
    async fn try_once(&mut self, brings: Fetched) {
        self.source.brings.push_back(brings);
        self.fetch().await.unwrap();
    }
}

/// What must come, comes; a minute is how long a test hangs before it says so.
async fn comes<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what)
        .await
        .expect("it never comes")
}

fn env(name: &str) -> Rejector {
    Rejector::Environment(name.to_owned())
}

#[tokio::test]
async fn a_token_is_due_at_once_or_ahead_of_its_end_and_a_short_one_half_way() {
    let (mut renewal, _, _) = renewal();
    assert_eq!(renewal.next(), START);
    for (obtained, expires, due) in [(0, 2 * HOUR, 2 * HOUR - 600), (0, 1000, 500), (100, 1100, 600)] {
        renewal
            .try_once(Fetched::New(token("a", obtained, expires)))
            .await;
        assert_eq!(renewal.next(), at(due), "{obtained} to {expires}");
    }
    renewal.not_before = Some(at(5000));
    assert_eq!(renewal.next(), at(5000));
}

#[tokio::test]
async fn tokens_of_a_short_life_are_fetched_ever_more_slowly_until_one_lives() {
    let (mut renewal, _, _) = renewal();
    // Half of its life, or 3, 6, 9 seconds at least.
    for (life, due) in [(1, 3), (1, 6), (59, 29), (0, 9), (60, 30), (2, 3)] {
        renewal.try_once(Fetched::New(token("a", 0, life))).await;
        assert_eq!(renewal.next().timestamp(), due, "{life}");
    }
}

#[tokio::test]
async fn a_token_lives_until_the_moment_it_ends() {
    let (mut renewal, tokens, clock) = renewal();
    renewal.try_once(Fetched::New(token("a", 0, HOUR))).await;
    clock.set(at(HOUR - 1));
    assert!(tokens.current().unwrap().is(&token("a", 0, HOUR)));
    clock.set(at(HOUR));
    assert!(tokens.current().is_none());
    // It stays the one that the next try is counted from.
    assert!(tokens.held().is_some());
}

#[tokio::test]
async fn a_source_is_told_the_current_token_and_the_last_rejected_one() {
    let (mut renewal, tokens, _) = renewal();
    let first = token("a", 0, HOUR);
    renewal.try_once(Fetched::New(token("a", 0, HOUR))).await;
    renewal.try_once(Fetched::Same).await;
    tokens.reject(&first, &env("e"));
    renewal.try_once(Fetched::New(token("b", 0, HOUR))).await;
    renewal.try_once(Fetched::Same).await;
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(
        renewal.source.asked,
        [
            (None, None),
            (name("a"), None),
            (name("a"), name("a")),
            (name("b"), name("a"))
        ]
    );
}

#[tokio::test]
async fn without_a_token_what_passes_is_tried_again_ever_later() {
    let (mut renewal, tokens, _) = renewal();
    for bound in [1, 2, 4, 8, 16, 32, 60, 60] {
        renewal
            .try_once(Fetched::Nothing(trouble(TroubleKind::Passing)))
            .await;
        let wait = between(START, renewal.next());
        let bound = Duration::from_secs(bound);
        assert!(wait >= bound / 2 && wait <= bound, "{wait:?} of {bound:?}");
    }
    assert_eq!(tokens.trouble(), Some(TroubleKind::Passing));
    // A token ends it all.
    renewal.try_once(Fetched::New(token("a", 0, 1000))).await;
    assert_eq!((renewal.next(), tokens.trouble()), (at(500), None));
    renewal.not_before = None;
    renewal.tokens.forget();
    renewal
        .try_once(Fetched::Nothing(trouble(TroubleKind::Passing)))
        .await;
    assert!(between(START, renewal.next()) <= Duration::from_secs(1));
}

#[tokio::test]
async fn without_a_token_somebodys_help_is_waited_for_by_the_sources_backoff_and_a_ticket_for_five_minutes() {
    let (mut renewal, _, _) = renewal();
    for seconds in [7, 14, 20, 20] {
        renewal
            .try_once(Fetched::Nothing(trouble(TroubleKind::Blocked)))
            .await;
        assert_eq!(renewal.next(), at(seconds));
    }
    renewal
        .try_once(Fetched::Nothing(trouble(TroubleKind::Ticket)))
        .await;
    assert_eq!(renewal.next(), at(300));
}

#[tokio::test]
async fn with_a_live_token_the_next_try_comes_after_a_quarter_of_what_is_left_but_no_sooner_than_five_seconds()
 {
    let kinds = [TroubleKind::Passing, TroubleKind::Ticket, TroubleKind::Blocked];
    let tries = kinds
        .map(|kind| Fetched::Nothing(trouble(kind)))
        .into_iter()
        .chain([Fetched::Same]);
    for brings in tries {
        let (mut renewal, tokens, clock) = renewal();
        renewal.try_once(Fetched::New(token("a", 0, 1000))).await;
        clock.set(at(600));
        renewal.try_once(brings).await;
        assert_eq!(renewal.next(), at(700));
        assert!(tokens.current().is_some());
        clock.set(at(990));
        renewal
            .try_once(Fetched::Nothing(trouble(TroubleKind::Passing)))
            .await;
        assert_eq!(renewal.next(), at(995));
    }
}

#[tokio::test]
async fn an_expired_token_that_stays_the_same_is_asked_for_again_at_once() {
    let (mut renewal, _, clock) = renewal();
    renewal.try_once(Fetched::New(token("a", 0, 1000))).await;
    clock.set(at(1000));
    renewal.not_before = Some(at(2000));
    renewal.try_once(Fetched::Same).await;
    assert!(renewal.next() <= at(1000));
}

/// The rejected token's replacement is due after so many seconds.
#[track_caller]
fn cooldown(rejected: &Rejected, tokens: &Tokens) -> i64 {
    match rejected {
        Rejected::Cooldown(until) => (*until - tokens.now()).num_seconds(),
        Rejected::Refreshing => 0,
        Rejected::Use(_) => panic!("it was the current one"),
    }
}

#[tokio::test]
async fn a_rejected_token_is_replaced_at_once_and_early_revoked_ones_ever_later_and_it_stays_in_use() {
    let (mut renewal, tokens, clock) = renewal();
    let mut now = 0;
    for (forced, wait) in [0, 5, 10, 20].into_iter().enumerate() {
        let name = format!("t{forced}");
        renewal
            .try_once(Fetched::New(token(&name, now, now + HOUR)))
            .await;
        now += 1;
        clock.set(at(now));
        // What is told is the first who rejected it; whoever comes later changes nothing.
        for by in ["first", "second"] {
            let rejected = tokens.reject(&tokens.held().unwrap(), &env(by));
            assert_eq!(cooldown(&rejected, &tokens), i64::try_from(wait).unwrap());
        }
        assert_eq!(renewal.next(), at(now + wait));
        assert_eq!(tokens.current().unwrap().expose(), name);
        let rejection = tokens.state().borrow().rejection.clone().unwrap();
        assert_eq!(rejection.by, env("first"));
        assert_eq!((rejection.at, rejection.refresh_at), (at(now), at(now + wait)));
        assert_eq!(usize::try_from(rejection.forced).unwrap(), forced);
        now += wait;
        clock.set(at(now));
    }
    // One that lived is replaced at once.
    renewal
        .try_once(Fetched::New(token("old", now, now + HOUR)))
        .await;
    clock.set(at(now + 600));
    let rejected = tokens.reject(&tokens.held().unwrap(), &env("e"));
    assert_eq!(cooldown(&rejected, &tokens), 0);
}

#[tokio::test]
async fn a_rejected_token_that_cannot_be_replaced_is_tried_for_as_often_as_none() {
    let (mut renewal, tokens, _) = renewal();
    let first = token("a", 0, HOUR);
    renewal.try_once(Fetched::New(token("a", 0, HOUR))).await;
    tokens.reject(&first, &env("e"));
    for seconds in [7, 14, 20] {
        renewal
            .try_once(Fetched::Nothing(trouble(TroubleKind::Blocked)))
            .await;
        assert_eq!(renewal.next(), at(seconds));
        assert!(tokens.current().unwrap().is(&first), "it stays in use");
    }
}

#[tokio::test]
async fn a_call_that_passes_ends_the_rejection_and_the_next_one_waits_for_another_such_call() {
    let (mut renewal, tokens, clock) = renewal();
    let first = token("a", 0, HOUR);
    renewal.try_once(Fetched::New(token("a", 0, HOUR))).await;
    let due = renewal.next();
    clock.set(at(100));
    assert_eq!(cooldown(&tokens.reject(&first, &env("e")), &tokens), 0);
    // A call that was begun before it, and one with another token, show nothing.
    for (name, begun) in [("a", 99), ("a", 100), ("b", 101)] {
        tokens.works(&token(name, 0, HOUR), at(begun));
        assert!(tokens.refresh_at().is_some(), "{name} {begun}");
    }
    tokens.works(&first, at(101));
    assert_eq!((tokens.refresh_at(), renewal.next()), (None, due));
    // From now on others are asked first, however old the token is.
    for now in [101, 2000] {
        clock.set(at(now));
        let told = tokens.state();
        assert_eq!(cooldown(&tokens.reject(&first, &env("e")), &tokens), 5);
        assert_eq!(renewal.next(), at(now + 5));
        tokens.works(&first, at(now + 1));
        assert!(told.has_changed().unwrap());
        // Until the cooldown is over a rejection is not even told.
        let told = tokens.state();
        assert_eq!(cooldown(&tokens.reject(&first, &env("e")), &tokens), 5);
        assert!(!told.has_changed().unwrap());
        assert_eq!(renewal.next(), due);
    }
    // And where no call passes, it is replaced.
    clock.set(at(2005));
    tokens.reject(&first, &env("e"));
    assert_eq!(renewal.next(), at(2010));
}

#[tokio::test]
async fn who_comes_late_with_an_older_token_gets_the_current_one_and_ends_nothing() {
    let (mut renewal, tokens, _) = renewal();
    renewal.try_once(Fetched::New(token("b", 0, HOUR))).await;
    match tokens.reject(&token("a", 0, HOUR), &env("e")) {
        Rejected::Use(current) => assert_eq!(current.expose(), "b"),
        other => panic!("{other:?}"),
    }
    assert_eq!(tokens.current().unwrap().expose(), "b");
    assert!(tokens.rejected().is_none() && tokens.refresh_at().is_none());
}

#[tokio::test]
async fn a_replacement_is_waited_for_until_it_comes_for_twenty_seconds_or_until_none_will_come() {
    let (mut renewal, tokens, clock) = renewal();
    let first = token("a", 0, HOUR);
    renewal.try_once(Fetched::New(token("a", 0, HOUR))).await;
    renewal
        .try_once(Fetched::Nothing(trouble(TroubleKind::Passing)))
        .await;
    tokens.reject(&first, &env("e"));
    // It was about a renewal that had time.
    assert!(tokens.trouble().is_none());
    let (got, _) = comes(async {
        tokio::join!(tokens.replacement(&first), async {
            tokens.publish(token("b", 0, HOUR))
        })
    })
    .await;
    assert_eq!(got.unwrap().expose(), "b");

    let second = token("b", 0, HOUR);
    for end in [
        (|_, clock| clock.set(at(20))) as fn(&Tokens, &Clock),
        |tokens, _| tokens.works(&token("b", 0, HOUR), at(21)),
        |tokens, _| tokens.complain(trouble(TroubleKind::Blocked)),
        |tokens, _| tokens.0.ended.cancel(),
    ] {
        tokens.0.state.send_modify(|state| state.trouble = None);
        tokens.reject(&second, &env("e"));
        assert!(tokens.refresh_at().is_some());
        let (got, ()) =
            comes(async { tokio::join!(tokens.replacement(&second), async { end(&tokens, &clock) }) }).await;
        assert!(got.is_none());
    }
}

#[tokio::test]
async fn of_another_home_no_token_is_kept_and_of_the_same_one_it_is() {
    let (mut renewal, tokens, clock) = renewal();
    renewal.try_once(Fetched::New(token("a", 0, HOUR))).await;
    tokens.set(settings("here"));
    assert!(tokens.current().is_some());
    tokens.reject(&token("a", 0, HOUR), &env("e"));
    renewal.failures = 3;
    renewal.not_before = Some(at(100));
    renewal.set();
    assert_eq!((renewal.failures, renewal.not_before), (0, None));
    assert_eq!((tokens.refresh_at(), renewal.source.sets), (Some(START), 1));
    assert!(tokens.current().is_some());

    clock.set(at(1));
    tokens.set(settings("there"));
    assert!(tokens.held().is_none() && tokens.refresh_at().is_none());
    // What was under way meanwhile came from the old home.
    tokens.publish(token("late", 0, HOUR));
    renewal.set();
    assert!(tokens.held().is_none() && tokens.rejected().is_none());
    assert_eq!(renewal.next(), at(1));
    renewal.try_once(Fetched::New(token("b", 1, HOUR))).await;
    renewal.set();
    assert!(tokens.current().is_some());
}

#[tokio::test]
async fn the_same_trouble_is_told_once() {
    let (tokens, _) = tokens();
    let mut state = tokens.state();
    tokens.complain(trouble(TroubleKind::Passing));
    assert!(state.has_changed().unwrap());
    state.mark_unchanged();
    tokens.complain(trouble(TroubleKind::Passing));
    assert!(!state.has_changed().unwrap());
    tokens.complain(trouble(TroubleKind::Ticket));
    assert!(state.has_changed().unwrap());
}

/// Runs the loop until it has done `what`.
async fn run_until(renewal: Renewal<Script>, what: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let beat = Pulse::new(Duration::from_secs(1)).beat("token");
    comes(async {
        let (ran, ()) = tokio::join!(renewal.run(beat, stop.clone()), async {
            what.await;
            stop.cancel();
        });
        ran.unwrap();
    })
    .await;
}

/// Waits until somebody is told of a token by this name.
async fn token_named(tokens: &Tokens, name: &str) {
    let mut state = tokens.state();
    let there = |state: &TokenState| state.token.as_ref().is_some_and(|token| token.expose() == name);
    state.wait_for(there).await.unwrap();
}

/// Lets the loop come to rest; it has nothing to wait for but time and events.
async fn rest() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_loop_fetches_when_it_is_due_and_when_a_token_is_refused() {
    let (mut renewal, tokens, clock) = renewal();
    let new = |name: &str, obtained: u64| Fetched::New(token(name, obtained, obtained + 1000));
    renewal.source.brings = [new("a", 0), new("b", 500), new("c", 501)].into();
    run_until(renewal, async {
        token_named(&tokens, "a").await;
        clock.set(at(499));
        rest().await;
        assert!(tokens.held().unwrap().is(&token("a", 0, 1000)));
        clock.set(at(500));
        token_named(&tokens, "b").await;
        clock.set(at(501));
        tokens.reject(&token("b", 500, 1500), &env("e"));
        let got = tokens.replacement(&token("b", 500, 1500)).await;
        assert_eq!(got.unwrap().expose(), "c");
    })
    .await;
}

#[tokio::test]
async fn the_loop_tries_at_once_by_news_by_other_settings_and_when_the_clock_was_set_back_and_else_waits() {
    let blocked = || Fetched::Nothing(trouble(TroubleKind::Ticket));
    for (stirs, tries) in [(None, false), (Some(false), false), (Some(true), true)] {
        let (mut renewal, tokens, _) = renewal();
        renewal.source.stirs = stirs;
        renewal.source.brings = [blocked(), Fetched::New(token("a", 0, 1000))].into();
        run_until(renewal, async {
            if tries {
                token_named(&tokens, "a").await;
            } else {
                rest().await;
                assert!(tokens.held().is_none(), "{stirs:?}");
            }
        })
        .await;
    }
    for set_back in [true, false] {
        let (mut renewal, tokens, _) = renewal();
        renewal.source.brings = [blocked(), Fetched::New(token("a", 0, 1000))].into();
        run_until(renewal, async {
            rest().await;
            assert!(tokens.held().is_none());
            if set_back {
                tokens.end_wait();
            } else {
                tokens.set(settings("here"));
            }
            token_named(&tokens, "a").await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_cooldown_is_no_longer_than_the_longest_when_the_clock_was_set_back() {
    let (mut renewal, tokens, clock) = renewal();
    clock.set(at(9000));
    renewal
        .try_once(Fetched::New(token("a", 8999, 8999 + HOUR)))
        .await;
    tokens.reject(&token("a", 8999, 8999 + HOUR), &env("e"));
    renewal
        .try_once(Fetched::New(token("b", 8999, 8999 + HOUR)))
        .await;
    tokens.reject(&token("b", 8999, 8999 + HOUR), &env("e"));
    renewal.source.brings = [Fetched::New(token("c", 600, 2000))].into();
    clock.set(START);
    run_until(renewal, async {
        tokens.end_wait();
        rest().await;
        clock.set(at(599));
        rest().await;
        assert_eq!(tokens.held().unwrap().expose(), "b");
        clock.set(at(600));
        token_named(&tokens, "c").await;
    })
    .await;
}
