//! A program that inserts requests, one small transaction after the other, as people's own do: a process of its own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection};
use staticstored::clock::Stopwatch;

use super::database::{env, queued};

const WORD: &str = "feed";
/// The feeder's own `busy_timeout`.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many rows it inserts at once, at most.
const BATCH: u64 = 40;
/// How many requests may wait before it holds on, so that it inserts all the while and not all at once.
pub const BACKLOG: u64 = 20_000;
/// How many INSERTs it makes between two looks at that, and how long it then holds on.
const LOOK_EVERY: u64 = 50;
const HOLD: Duration = Duration::from_millis(50);

/// What a feeder is to do.
pub struct Task {
    path: PathBuf,
    first: u64,
    rows: u64,
    /// The longest pause between two INSERTs: it has something else to do as well.
    pause: Duration,
}

/// What it met.
#[derive(Debug, Default)]
pub struct Report {
    /// How many INSERTs were refused by SQLITE_BUSY.
    pub busy: u64,
    /// The longest INSERT.
    pub longest: Duration,
}

/// Starts `count` feeders that share `rows` rows and pause for at most so many milliseconds after each INSERT.
///
/// # Errors
/// When one can't be started.
pub fn start(count: u64, path: &Path, rows: u64, pause: u64) -> Result<Vec<Child>> {
    let each = rows / count;
    let start = |at| {
        Command::new(std::env::current_exe()?)
            .arg(WORD)
            .arg(path)
            .args([at * each, each, pause].map(|number| number.to_string()))
            .stdout(Stdio::piped())
            .spawn()
            .context("a feeder could not be started")
    };
    (0..count).map(start).collect()
}

/// Waits for feeders to end: what they met, together.
///
/// # Errors
/// When one failed.
pub fn end(feeders: Vec<Child>) -> Result<Report> {
    let mut all = Report::default();
    for feeder in feeders {
        let told = feeder.wait_with_output()?;
        ensure!(told.status.success(), "a feeder failed");
        let report = Report::read(&String::from_utf8(told.stdout)?)?;
        all.busy += report.busy;
        all.longest = all.longest.max(report.longest);
    }
    Ok(all)
}

impl Task {
    /// The task of this process, where it is a feeder.
    pub fn from_arguments() -> Option<Self> {
        let mut arguments = std::env::args().skip(1);
        (arguments.next()? == WORD).then_some(())?;
        Some(Self {
            path: arguments.next()?.into(),
            first: arguments.next()?.parse().ok()?,
            rows: arguments.next()?.parse().ok()?,
            pause: Duration::from_millis(arguments.next()?.parse().ok()?),
        })
    }

    /// Inserts everything, and prints the report.
    ///
    /// # Errors
    /// When the database refuses a row for another reason than SQLITE_BUSY.
    pub async fn run(self) -> Result<()> {
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .busy_timeout(PATIENCE);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let mut dice = fastrand::Rng::with_seed(self.first);
        let mut report = Report::default();
        let end = self.first + self.rows;
        let (mut at, mut inserts) = (self.first, 0);
        while at < end {
            let next = (at + dice.u64(1..=BATCH)).min(end);
            let rows: Vec<_> = (at..next).map(|number| format!("('{}')", env(number))).collect();
            let sql = format!("INSERT INTO queue (env) VALUES {}", rows.join(", "));
            let taken = Stopwatch::start();
            let inserted = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
            report.longest = report.longest.max(taken.elapsed());
            match inserted {
                Ok(_) => at = next,
                Err(error) if is_busy(&error) => report.busy += 1,
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(self.pause.mul_f64(dice.f64())).await;
            inserts += 1;
            if inserts % LOOK_EVERY == 0 {
                hold_on(&mut connection).await?;
            }
        }
        println!("{} {}", report.busy, report.longest.as_micros());
        Ok(())
    }
}

/// Waits while there is enough in the queue.
async fn hold_on(connection: &mut SqliteConnection) -> Result<()> {
    while queued(connection).await? > BACKLOG {
        tokio::time::sleep(HOLD).await;
    }
    Ok(())
}

fn is_busy(error: &sqlx::Error) -> bool {
    // The primary result code; an extended one has it in its lowest byte.
    let code = error
        .as_database_error()
        .and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = super::summary::milliseconds(self.longest);
        write!(
            f,
            "SQLITE_BUSY {} times, longest INSERT {longest:.0} ms",
            self.busy
        )
    }
}

impl Report {
    /// Reads what a feeder printed.
    fn read(text: &str) -> Result<Self> {
        let (busy, longest) = text
            .trim()
            .split_once(' ')
            .with_context(|| format!("no report: {text:?}"))?;
        Ok(Self {
            busy: busy.parse()?,
            longest: Duration::from_micros(longest.parse()?),
        })
    }
}
