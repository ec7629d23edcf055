//! Weeks of simulated life, by a seed: nothing is lost, nothing is opened twice, whatever happens in whatever order.
//!
//! Chance decides what happens next: requests, cancellations, outages, dead tokens, lost tickets, crashes, a clock that
//! jumps. After each event the books are compared (`books`): the database with itself, and with the platform's ledger. At the
//! end everything is mended, and everything that is owed must come to its end. `WEEKS_SEEDS=100..2000` runs other
//! seeds than the few that every run takes.

mod books;
mod life;

use std::ops::Range;

use life::Life;

/// What every run takes; as many as are worth the time.
const SEEDS: Range<u64> = 0..6;
/// How many events a life has.
const EVENTS: usize = 60;

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("WEEKS_SEEDS") else {
        return SEEDS;
    };
    let (from, to) = text.split_once("..").expect("WEEKS_SEEDS is written FROM..TO");
    from.parse().unwrap()..to.parse().unwrap()
}

async fn live(seed: u64) {
    let mut life = Life::begin(seed).await;
    for _ in 0..EVENTS {
        life.event().await;
        life.compare_books().await;
    }
    life.mend_everything().await;
    life.compare_books().await;
    life.everything_has_ended().await;
}

/// Half of the seeds, so that two tests share them.
fn half(of: u64) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for seed in seeds().filter(|seed| seed % 2 == of) {
        runtime.block_on(live(seed));
    }
}

#[test]
fn through_weeks_of_faults_nothing_is_lost_and_nothing_opened_twice_by_even_seeds() {
    half(0);
}

#[test]
fn through_weeks_of_faults_nothing_is_lost_and_nothing_opened_twice_by_odd_seeds() {
    half(1);
}
