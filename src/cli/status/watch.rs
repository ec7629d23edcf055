//! `status --watch`: the same numbers each second, as bars where a person looks, else as a line when they change.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use sqlx::SqliteConnection;

use super::summary;
use crate::cli::session::Session;
use crate::cli::text::wrap;
use crate::clock::Stopwatch;
use crate::store::desk;

/// The time between two looks.
const EVERY: Duration = Duration::from_secs(1);

const FINAL: [&str; 4] = ["online", "failed", "accepted", "cancelled"];

/// What is shown.
struct Look {
    finished: u64,
    all: u64,
    tally: String,
    service: Vec<String>,
}

/// When to stop to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Until {
    /// Ctrl-C.
    Interrupted,
    /// Every request is finished, or Ctrl-C.
    Finished,
}

/// Shows the progress; returns whether every request is finished.
pub(in crate::cli) async fn run(
    session: &mut Session,
    connection: &mut SqliteConnection,
    until: Until,
) -> anyhow::Result<bool> {
    let mut view = if session.screen.terminal {
        View::Bars(Bars::new(session.screen.decorated))
    } else {
        View::Lines(None)
    };
    // One listener for all the time: a signal that comes during a look must not be lost.
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    loop {
        let look = look(session, connection).await?;
        view.show(session, &look)?;
        let finished = look.finished == look.all;
        if finished && until == Until::Finished {
            view.leave();
            return Ok(true);
        }
        tokio::select! {
            biased;
            stopped = &mut stop => {
                view.leave();
                stopped?;
                return Ok(finished);
            }
            () = session.clock.sleep(EVERY) => {}
        }
    }
}

async fn look(session: &Session, connection: &mut SqliteConnection) -> anyhow::Result<Look> {
    let counts = desk::counts(connection).await?;
    let service = desk::service(connection).await?;
    let sum = |of: &dyn Fn(&str) -> bool| {
        let total: i64 = counts
            .iter()
            .filter(|(state, _)| of(state))
            .map(|(_, count)| count)
            .sum();
        total.unsigned_abs()
    };
    let mut lines = summary::lines(&service, &counts, session.clock.now());
    let tally = lines.pop().unwrap_or_default();
    Ok(Look {
        finished: sum(&|state| FINAL.contains(&state)),
        all: sum(&|_| true),
        tally,
        service: lines,
    })
}

enum View {
    Bars(Bars),
    /// The line that was printed last.
    Lines(Option<String>),
}

impl View {
    fn show(&mut self, session: &mut Session, look: &Look) -> std::io::Result<()> {
        match self {
            Self::Bars(bars) => {
                bars.show(look, session.screen.width);
                Ok(())
            }
            Self::Lines(last) => {
                let line = format!("{} of {} finished: {}", look.finished, look.all, look.tally);
                if last.as_ref() != Some(&line) {
                    session.screen.line(&line)?;
                    session.screen.flush()?;
                    *last = Some(line);
                }
                Ok(())
            }
        }
    }

    fn leave(&self) {
        if let Self::Bars(bars) = self {
            bars.leave();
        }
    }
}

struct Bars {
    _all: MultiProgress,
    service: ProgressBar,
    finished: ProgressBar,
    tally: ProgressBar,
    since: Stopwatch,
    at_start: Option<u64>,
}

impl Bars {
    fn new(decorated: bool) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let line = |template: &str| {
            let style = ProgressStyle::with_template(template).expect("a template of ours");
            let bar = ProgressBar::new(0).with_style(if decorated {
                style
            } else {
                style.progress_chars("#>.")
            });
            all.add(bar)
        };
        let (service, finished) = (line("{msg}"), line("{bar:24} {pos}/{len} finished {msg}"));
        let tally = line("{msg}");
        Self {
            _all: all,
            service,
            finished,
            tally,
            since: Stopwatch::start(),
            at_start: None,
        }
    }

    fn show(&mut self, look: &Look, width: Option<usize>) {
        let at_start = *self.at_start.get_or_insert(look.finished);
        let minutes = self.since.elapsed().as_secs_f64() / 60.0;
        let rate = look.finished.saturating_sub(at_start) as f64 / minutes.max(1.0 / 60.0);
        let lines = |text: &String| wrap(text, width.unwrap_or(usize::MAX)).join("\n");
        self.service
            .set_message(look.service.iter().map(lines).collect::<Vec<_>>().join("\n"));
        self.finished.set_length(look.all);
        self.finished.set_position(look.finished);
        self.finished.set_message(format!("({rate:.0}/min)"));
        self.tally.set_message(lines(&look.tally));
    }

    /// Leaves the last numbers on the screen.
    fn leave(&self) {
        for bar in [&self.service, &self.finished, &self.tally] {
            bar.abandon();
        }
    }
}
