//! The line as its users see it: permits, rates, pauses, and who is woken.

use std::time::Duration;

use super::*;
use crate::outcome::{Effect, StoreRecord};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn limits(max_in_flight: usize, creates_per_second: u32, describes_per_second: u32) -> Limits {
    Limits {
        max_in_flight,
        creates_per_second,
        describes_per_second,
    }
}

fn line(max_in_flight: usize) -> (Line, Clock) {
    let clock = Clock::manual(NOW);
    (Line::new(limits(max_in_flight, 0, 0), clock.clone()), clock)
}

fn fault() -> Fault {
    Fault {
        errcode: Some(61004),
        reason: "client ip".into(),
        remedy: "add it".into(),
    }
}

/// What must come, comes; a minute is how long a test hangs before it says so.
async fn comes<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what)
        .await
        .expect("it never comes")
}

/// Whether somebody who asks now has to wait.
async fn waits(line: &Line, call: Call) -> bool {
    let asks = line.acquire(call, 1);
    tokio::select! {
        biased;
        _ = asks => false,
        // The line was asked once, and answered.
        () = tokio::task::yield_now() => true,
    }
}

#[tokio::test]
async fn permits_are_given_up_to_the_width_and_come_back_when_they_are_dropped() {
    let (line, _) = line(3);
    let mut held = comes(line.acquire(Call::Create, 2)).await;
    assert_eq!(held.len(), 2);
    held.extend(comes(line.acquire(Call::Create, 2)).await);
    assert_eq!(held.len(), 3);
    assert!(waits(&line, Call::Create).await);
    let (permits, ()) =
        comes(async { tokio::join!(line.acquire(Call::Describe, 5), async { held.truncate(1) }) }).await;
    assert_eq!((permits.len(), held.len()), (2, 1));
    // Nobody waits any more: the room is not shared with somebody who has gone.
    drop((permits, held));
    assert_eq!(comes(line.acquire(Call::Create, 9)).await.len(), 3);
}

#[tokio::test]
async fn a_limit_per_second_lets_a_tenth_of_it_burst_and_no_rows_be_claimed_ahead() {
    let line = Line::new(limits(64, 50, 0), Clock::manual(NOW));
    let burst = comes(line.acquire(Call::Create, 64)).await.len();
    assert!((5..50).contains(&burst), "{burst}");
    assert_eq!(comes(line.acquire(Call::Describe, 40)).await.len(), 40);
    assert!(!line.flows(Call::Create));
    assert!(line.flows(Call::Describe));
    // One call a second has a burst of one.
    let slow = Line::new(limits(64, 0, 1), Clock::manual(NOW));
    assert!(comes(slow.acquire(Call::Describe, 64)).await.len() < 10);
}

#[tokio::test]
async fn new_limits_hold_for_whoever_waits_and_one_that_stays_goes_on_counting() {
    let line = Line::new(limits(64, 1, 1), Clock::manual(NOW));
    let limiter = |call: Call| line.0.rates.borrow().limiters[call as usize].clone();
    let before = limiter(Call::Describe).unwrap();
    drop(comes(line.acquire(Call::Create, 64)).await);
    let lift = async { line.set_limits(limits(2, 0, 1)) };
    let (permits, ()) = comes(async { tokio::join!(line.acquire(Call::Create, 64), lift) }).await;
    assert_eq!(permits.len(), 2, "the width is new as well");
    drop(permits);
    assert!(line.flows(Call::Create));
    assert!(Arc::ptr_eq(&before, &limiter(Call::Describe).unwrap()));
    line.set_limits(limits(2, 0, 2));
    assert!(!Arc::ptr_eq(&before, &limiter(Call::Describe).unwrap()));
}

#[tokio::test]
async fn a_paused_line_says_so_and_goes_on_when_it_is_resumed() {
    let (line, _) = line(2);
    let mut condition = line.condition();
    assert_eq!(*condition.borrow_and_update(), Condition::Open);
    line.set_paused(true);
    assert!(condition.has_changed().unwrap());
    assert_eq!(*condition.borrow_and_update(), Condition::Paused);
    assert!(!line.flows(Call::Create));
    line.set_paused(true);
    assert!(!condition.has_changed().unwrap(), "nothing is new");
    let resume = async { line.set_paused(false) };
    let (permits, ()) = comes(async { tokio::join!(line.acquire(Call::Create, 1), resume) }).await;
    assert_eq!(permits.len(), 1);
    assert!(line.flows(Call::Create));
}

#[tokio::test]
async fn a_fault_is_told_at_once_and_leaves_one_probe_when_its_rest_is_over_or_ended() {
    let (line, clock) = line(8);
    let condition = line.condition();
    assert_eq!(line.rest_until(), None);
    // The second is the probe that shows whether it is the fault of one environment.
    for _ in 0..2 {
        for permit in comes(line.acquire(Call::Create, 1)).await {
            permit.report("env", &Verdict::Faulty(fault()));
        }
    }
    assert_eq!(*condition.borrow(), Condition::Blocked(fault()));
    assert!(!line.flows(Call::Create));
    let until = line.rest_until().unwrap();
    assert!(until > NOW);
    assert!(waits(&line, Call::Create).await);

    // Time goes by while somebody waits.
    let (permits, ()) =
        comes(async { tokio::join!(line.acquire(Call::Create, 8), async { clock.set(until) }) }).await;
    assert_eq!(permits.len(), 1);
    permits[0].report("env", &Verdict::Faulty(fault()));
    drop(permits);
    assert!(line.rest_until().unwrap() > until);
    assert!(waits(&line, Call::Create).await);

    // Somebody has mended something.
    let (permits, ()) =
        comes(async { tokio::join!(line.acquire(Call::Create, 8), async { line.end_rest() }) }).await;
    permits[0].report("env", &Verdict::Works);
    drop(permits);
    assert_eq!(*condition.borrow(), Condition::Open);
    assert_eq!(line.rest_until(), None);
}

#[test]
fn a_meaning_shows_of_the_line_what_concerns_all_requests() {
    let of = |meaning: &Meaning| Verdict::of(meaning, Some(61004), "client ip");
    assert_eq!(of(&Meaning::Token), None);
    assert_eq!(of(&Meaning::Line("add it")), Some(Verdict::Faulty(fault())));
    for effect in [Effect::None, Effect::Possible] {
        assert_eq!(
            of(&Meaning::Passes(effect, Load::Busy)),
            Some(Verdict::Busy("client ip".into()))
        );
        assert_eq!(of(&Meaning::Passes(effect, Load::Fine)), Some(Verdict::Works));
    }
    for works in [
        Meaning::Accepted,
        Meaning::Store(None::<StoreRecord>),
        Meaning::Env("look"),
        Meaning::Unknown,
    ] {
        assert_eq!(of(&works), Some(Verdict::Works));
    }
}
