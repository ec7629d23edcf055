//! Weeks of simulated life, by a seed: nothing is lost, nothing is opened twice, whatever happens in whatever order.
//!
//! Chance decides what happens next (`events`, `ends`): requests, cancellations, outages, dead tokens, lost tickets, crashes, a
//! clock that jumps. After each event the books are compared (`books`): the database with itself, and with the platform's
//! ledger. At the end everything is mended, and everything that is owed must come to its end. One thing happens after the other
//! (`order`), so that a seed is one life: the last test here lives some twice. `WEEKS_SEEDS=1000..3000` runs other seeds
//! than those of every run.

mod books;
mod ends;
mod events;
mod life;
mod order;
mod process;

use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::thread;

use life::Life;

/// What every run takes.
const SEEDS: Range<u64> = 0..200;
/// How many events a life has.
const EVENTS: usize = 8;
/// How many lives are lived side by side: a life often waits.
const SIDE_BY_SIDE: u64 = 4;

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("WEEKS_SEEDS") else {
        return SEEDS;
    };
    let (from, to) = text.split_once("..").expect("WEEKS_SEEDS is written FROM..TO");
    from.parse().unwrap()..to.parse().unwrap()
}

/// Lives a life to its end.
async fn live(seed: u64) -> Life {
    let mut life = Life::begin(seed).await;
    for _ in 0..EVENTS {
        life.event().await;
        life.compare_books().await;
    }
    life.mend_everything().await;
    life.compare_books().await;
    life.everything_has_ended().await;
    life
}

fn on_a_thread_of_its_own<T>(of: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(of)
}

#[test]
fn through_weeks_of_faults_nothing_is_lost_and_nothing_opened_twice() {
    let (next, minutes) = (AtomicU64::new(seeds().start), AtomicI64::new(0));
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if !seeds().contains(&seed) {
                        return;
                    }
                    let life = on_a_thread_of_its_own(live(seed));
                    minutes.fetch_add(life.lasted().num_minutes(), Relaxed);
                }
            });
        }
    });
    eprintln!(
        "{} lives of {} days together",
        seeds().count(),
        minutes.into_inner() / (24 * 60)
    );
}

#[test]
fn a_life_that_is_lived_again_is_the_same_in_every_call_and_every_row() {
    for seed in seeds().take(6) {
        let [one, two] = [(); 2].map(|()| on_a_thread_of_its_own(async { live(seed).await.all().await }));
        same(seed, &one, &two);
    }
}

/// Shows what came before the first difference, where there is one.
fn same(seed: u64, one: &[String], two: &[String]) {
    let Some(first) = (0..one.len().max(two.len())).find(|i| one.get(*i) != two.get(*i)) else {
        return;
    };
    let around = |all: &[String]| {
        let all = all.iter().enumerate();
        let near = all.filter(|(i, _)| i.abs_diff(first) < 15);
        let lines = near.map(|(_, line)| format!("\n  {line}"));
        lines.collect::<String>()
    };
    panic!(
        "seed {seed} was lived in two ways:{}\nand{}",
        around(one),
        around(two)
    );
}
