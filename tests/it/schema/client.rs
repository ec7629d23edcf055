//! A migrated database file, and the three kinds of program that write to it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, Row};

use crate::programs::there;

/// What a statement printed, or the error that it failed with.
pub(super) type Answer = Result<String, String>;

/// Runs each statement of a JSON array on one connection; prints a JSON array of `[ok, text]`.
const PYTHON: &str = r#"
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=5, isolation_level=None)
answers = []
for sql in sys.argv[2:]:
    try:
        rows = db.execute(sql).fetchall()
        answers.append([True, "\n".join("|".join(str(value) for value in row) for row in rows)])
    except sqlite3.Error as error:
        answers.append([False, str(error)])
print(json.dumps(answers))
"#;

/// A program that writes to the database.
#[derive(Clone, Copy, Debug)]
pub(super) enum Client {
    /// The `sqlite3` shell of the system.
    Shell,
    /// Python's `sqlite3` module.
    Python,
    /// The library that the daemon is built with.
    Bundled,
}

/// A client and the one of its settings that changes which triggers fire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) client: Client,
    pub(super) recursive_triggers: bool,
}

/// Every client that is here, with and without recursive triggers.
pub(super) fn ways() -> impl Iterator<Item = Way> {
    static HERE: LazyLock<Vec<Client>> = LazyLock::new(|| {
        let mut here = vec![Client::Bundled];
        here.extend(there("sqlite3").then_some(Client::Shell));
        here.extend(there("python3").then_some(Client::Python));
        here
    });
    HERE.iter().copied().flat_map(|client| {
        [false, true].into_iter().map(move |recursive_triggers| Way {
            client,
            recursive_triggers,
        })
    })
}

/// A database in a directory of its own, with a row for `bystander` that no test writes to.
pub(super) struct Database {
    pub(super) path: PathBuf,
    connection: SqliteConnection,
    bystander: Vec<String>,
    _directory: tempfile::TempDir,
}

const BYSTANDER: &str =
    "SELECT q.*, s.* FROM queue AS q JOIN status AS s USING (env) WHERE env = 'bystander'";

impl Database {
    pub(super) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queue.db");
        let mut connection = open(&path).await;
        sqlx::migrate!().run(&mut connection).await.unwrap();
        let mut database = Self {
            path,
            connection,
            bystander: Vec::new(),
            _directory: directory,
        };
        database
            .execute("INSERT INTO queue (env, priority) VALUES ('bystander', 3)")
            .await;
        database.bystander = database.rows(BYSTANDER).await;
        assert_eq!(database.bystander.len(), 1);
        database
    }

    /// Runs each statement by itself, all on one connection of the client's own.
    pub(super) async fn try_each(&self, way: Way, statements: &[impl AsRef<str>]) -> Vec<Answer> {
        let pragma = format!("PRAGMA recursive_triggers = {}", u8::from(way.recursive_triggers));
        match way.client {
            Client::Shell => statements
                .iter()
                .map(|sql| shell(&self.path, &[&pragma, sql.as_ref()]))
                .collect(),
            Client::Python => {
                let all: Vec<&str> = std::iter::once(pragma.as_str())
                    .chain(statements.iter().map(AsRef::as_ref))
                    .collect();
                python(&self.path, &all).split_off(1)
            }
            Client::Bundled => {
                let mut connection = open(&self.path).await;
                fetch(&mut connection, &pragma).await.unwrap();
                let mut answers = Vec::new();
                for sql in statements {
                    answers.push(
                        fetch(&mut connection, sql.as_ref())
                            .await
                            .map(|rows| rows.join("\n")),
                    );
                }
                connection.close().await.unwrap();
                answers
            }
        }
    }

    /// Runs a statement that must be taken; returns what it printed.
    pub(super) async fn run(&self, way: Way, sql: &str) -> String {
        let answer = self.try_each(way, &[sql]).await.remove(0);
        answer.unwrap_or_else(|error| panic!("{way:?} {sql}: {error}"))
    }

    /// Runs a statement that must fail; returns the error.
    pub(super) async fn refused(&self, way: Way, sql: &str) -> String {
        match self.try_each(way, &[sql]).await.remove(0) {
            Ok(printed) => panic!("{way:?} {sql}: taken, with {printed:?}"),
            Err(error) => error,
        }
    }

    /// What the daemon would do, or the test itself.
    pub(super) async fn execute(&mut self, sql: &str) {
        fetch(&mut self.connection, sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Runs a statement on the test's own connection, as it may be.
    pub(super) async fn try_execute(&mut self, sql: &str) -> Answer {
        fetch(&mut self.connection, sql).await.map(|rows| rows.join("\n"))
    }

    /// The rows of a query, columns parted by `|`, NULL as nothing.
    pub(super) async fn rows(&mut self, sql: &str) -> Vec<String> {
        fetch(&mut self.connection, sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The one row of a query.
    pub(super) async fn row(&mut self, sql: &str) -> String {
        let mut rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows.remove(0)
    }

    /// Everything in both tables, to be compared.
    pub(super) async fn snapshot(&mut self) -> Vec<String> {
        let mut all = self.rows("SELECT * FROM queue ORDER BY id").await;
        all.extend(self.rows("SELECT * FROM status ORDER BY env").await);
        all
    }

    /// The row beside the others is what it was.
    pub(super) async fn assert_bystander_unchanged(&mut self) {
        let now = self.rows(BYSTANDER).await;
        assert_eq!(now, self.bystander);
    }

    /// What the daemon's claim of a row to create it writes.
    pub(super) async fn claim(&mut self, env: &str) {
        self.execute(&format!(
            "UPDATE queue SET claim = 7, call = 'describe', due_at = '2026-01-01T00:01:00.000Z' WHERE env = '{env}'"
        ))
        .await;
        self.execute(&format!(
            "UPDATE status SET state = 'opening', attempts = attempts + 1, create_sent = 1 WHERE env = '{env}'"
        ))
        .await;
    }

    /// What the daemon's last word on a claimed row writes.
    pub(super) async fn finish(&mut self, env: &str) {
        self.execute(&format!(
            "UPDATE status SET state = 'online', domain = 'd.example', errcode = 0, errmsg = 'ok', rid = 'r', \
             remedy = 'none', bucket = 'b', region = 'ap', next_attempt_at = NULL, \
             finished_at = '2026-01-01T00:00:30.000Z' WHERE env = '{env}'"
        ))
        .await;
        self.execute(&format!("DELETE FROM queue WHERE env = '{env}'"))
            .await;
    }
}

async fn open(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Off);
    SqliteConnection::connect_with(&options).await.unwrap()
}

async fn fetch(connection: &mut SqliteConnection, sql: &str) -> Result<Vec<String>, String> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await;
    rows.map(|rows| rows.iter().map(joined).collect())
        .map_err(|error| error.to_string())
}

fn joined(row: &SqliteRow) -> String {
    let cells: Vec<String> = (0..row.len())
        .map(|at| row.get_unchecked::<Option<String>, _>(at).unwrap_or_default())
        .collect();
    cells.join("|")
}

/// Runs statements in the `sqlite3` shell until one fails.
pub(super) fn shell(path: &Path, statements: &[&str]) -> Answer {
    let mut command = Command::new("sqlite3");
    command
        .args(["-batch", "-bail", "-cmd", ".timeout 5000"])
        .arg(path)
        .args(statements);
    let output = finished(&mut command);
    let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() && error.is_empty() {
        Ok(printed(&output))
    } else {
        Err(error)
    }
}

/// Runs each statement in one Python process (without `site`, to start in half the time).
fn python(path: &Path, statements: &[&str]) -> Vec<Answer> {
    let output = finished(
        Command::new("python3")
            .args(["-ISc", PYTHON])
            .arg(path)
            .args(statements),
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answers: Vec<(bool, String)> = serde_json::from_slice(&output.stdout).unwrap();
    answers
        .into_iter()
        .map(|(taken, text)| if taken { Ok(text) } else { Err(text) })
        .collect()
}

/// Runs one statement in Python with one bound value, written as a Python expression.
pub(super) fn python_bound(path: &Path, sql: &str, value: &str) -> Answer {
    let script = format!(
        "import sqlite3, sys\n\
         db = sqlite3.connect(sys.argv[1], timeout=5, isolation_level=None)\n\
         try: db.execute(sys.argv[2], ({value},))\n\
         except sqlite3.Error as error: sys.exit(str(error))"
    );
    let output = finished(Command::new("python3").args(["-ISc", &script]).arg(path).arg(sql));
    let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() {
        Ok(printed(&output))
    } else {
        Err(error)
    }
}

fn finished(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{:?} must be installed: {error}", command.get_program()))
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}
