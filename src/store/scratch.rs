//! A database of a test's own, and what another program would see in it.

use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};
use tokio_util::task::TaskTracker;

use super::{Access, Store, connect};
use crate::pulse::Pulse;

pub(super) struct Scratch {
    pub(super) store: Store,
    _directory: tempfile::TempDir,
}

impl Scratch {
    pub(super) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queue.db");
        let store = Store::open(&path, &Pulse::default(), &TaskTracker::new())
            .await
            .unwrap();
        Self {
            store,
            _directory: directory,
        }
    }

    /// Another program's connection.
    pub(super) async fn connection(&self) -> SqliteConnection {
        connect(self.store.path(), Access::Write).await.unwrap()
    }

    /// Another program's statements.
    pub(super) async fn execute(&self, sql: &str) {
        let mut connection = self.connection().await;
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
    }

    /// Each row as a line, its cells with `|` between them.
    pub(super) async fn rows(&self, sql: &str) -> Vec<String> {
        let mut connection = self.connection().await;
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection);
        let line = |row: &sqlx::sqlite::SqliteRow| {
            let cell = |at| row.try_get_unchecked::<Option<String>, _>(at).unwrap();
            let cells: Vec<String> = (0..row.len())
                .map(|at| cell(at).unwrap_or_else(|| "NULL".to_owned()))
                .collect();
            cells.join("|")
        };
        rows.await.unwrap().iter().map(line).collect()
    }
}
