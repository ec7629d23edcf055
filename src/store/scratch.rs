//! A database of a test's own, and what another program would see in it.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};
use tokio_util::task::TaskTracker;

use super::{Access, Store, Terms, connect};
use crate::clock::{Timestamp, after, parse};
use crate::pulse::Pulse;
use crate::request::{Call, Request};

/// How long the claims of tests hold.
pub(super) const LEASE: Duration = Duration::from_secs(300);

/// When tests claim.
pub(super) fn now() -> Timestamp {
    parse("2026-11-24T10:00:00.000Z").unwrap()
}

/// A claim at this time, of what has come due, too.
pub(super) fn terms_at(now: Timestamp) -> Terms {
    Terms {
        now,
        lease_until: after(now, LEASE),
        make_ready: true,
    }
}

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

    pub(super) async fn claim(&self, call: Call, most: usize) -> Vec<Request> {
        let claimed = self.store.claim(call, most, terms_at(now())).await;
        claimed.unwrap().requests
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
