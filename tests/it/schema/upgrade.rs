//! A database that an earlier version filled is brought up to date without loss.

use std::path::Path;

use sqlx::{Connection as _, Row as _, SqliteConnection};
use staticstored::store::{self, Access};

/// What an earlier version left: each state, a claimed row, history, a ticket, a daemon that has run.
const FILLED: &str = "
    INSERT INTO queue (env, priority, not_before) VALUES ('a', 0, NULL), ('b', 7, '2030-01-01T00:00:00Z'), ('c', 0, NULL);
    UPDATE queue SET claim = 5, due_at = '2026-11-23T16:25:07.123Z', call = 'describe' WHERE env = 'a';
    UPDATE status SET state = 'failed', errcode = 85088, next_attempt_at = NULL, finished_at = updated_at WHERE env = 'c';
    DELETE FROM queue WHERE env = 'c';
    INSERT INTO attempt (env, at, call, errcode, latency_ms, outcome)
        VALUES ('c', '2026-11-23T16:25:07.123Z', 'create', 85088, 3, 'failed');
    INSERT INTO ticket (component_verify_ticket) VALUES ('ticket@@@1'), ('ticket@@@2');
    ANALYZE;
    UPDATE service SET state = 'running', version = '0.1.0', pid = 7, paused = 1,
                       push_asked_at = '2026-11-23T16:25:07.123Z' WHERE id = 1;";

/// A database as the first version made it.
async fn first_version(path: &Path) -> SqliteConnection {
    let migrations = tempfile::tempdir().unwrap();
    let name = "0001_queue_and_status.sql";
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("migrations")
        .join(name);
    std::fs::copy(source, migrations.path().join(name)).unwrap();
    let migrator = sqlx::migrate::Migrator::new(migrations.path()).await.unwrap();
    let mut connection = store::connect(path, Access::Create).await.unwrap();
    migrator.run_direct(None, &mut connection, false).await.unwrap();
    connection
}

/// All the rows of a table, as text, without the columns that came later.
async fn rows(
    connection: &mut SqliteConnection,
    table: &str,
    columns: &[String],
) -> Vec<Vec<Option<String>>> {
    let query = format!("SELECT {} FROM {table} ORDER BY 1", columns.join(", "));
    let rows = sqlx::query(sqlx::AssertSqlSafe(query))
        .fetch_all(connection)
        .await
        .unwrap();
    let row = |row: &sqlx::sqlite::SqliteRow| {
        let values = 0..row.len();
        values.map(|i| row.try_get_unchecked(i).unwrap()).collect()
    };
    rows.iter().map(row).collect()
}

async fn columns(connection: &mut SqliteConnection, table: &str) -> Vec<String> {
    let columns = sqlx::query_scalar("SELECT name FROM pragma_table_info(?1)").bind(table);
    columns.fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn every_row_of_an_earlier_version_is_kept_as_it_is() {
    const TABLES: [&str; 5] = ["queue", "status", "attempt", "service", "ticket"];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("queue.db");
    let mut connection = first_version(&path).await;
    sqlx::raw_sql(FILLED).execute(&mut connection).await.unwrap();
    let mut before = Vec::new();
    for table in TABLES {
        let columns = columns(&mut connection, table).await;
        let rows = rows(&mut connection, table, &columns).await;
        assert!(!rows.is_empty(), "{table}");
        before.push((table, columns, rows));
    }
    connection.close().await.unwrap();

    store::migrate(&path).await.unwrap();

    let mut connection = store::connect(&path, Access::Write).await.unwrap();
    for (table, columns, wanted) in before {
        assert_eq!(rows(&mut connection, table, &columns).await, wanted, "{table}");
    }
    let new = columns(&mut connection, "service").await;
    assert_eq!(new.last().unwrap(), "ticket_created_at");
    let created_at: Option<String> = sqlx::query_scalar("SELECT ticket_created_at FROM service")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(created_at, None);
    // Statistics of a queue that was mostly empty are gone.
    let statistics: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(statistics, 0);
    // What users do works on.
    sqlx::raw_sql("INSERT INTO queue (env) VALUES ('c'); DELETE FROM queue WHERE env = 'b'")
        .execute(&mut connection)
        .await
        .unwrap();
    // A second time, nothing is left to do.
    store::migrate(&path).await.unwrap();
}

#[tokio::test]
async fn the_time_of_the_last_push_is_a_time_or_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("queue.db");
    store::migrate(&path).await.unwrap();
    let mut connection = store::connect(&path, Access::Write).await.unwrap();
    for value in [
        "''",
        "'soon'",
        "'2026-02-31T00:00:00.000Z'",
        "'2026-11-23T16:25:07Z'",
    ] {
        let update = format!("UPDATE service SET ticket_created_at = {value}");
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(update))
            .execute(&mut connection)
            .await;
        let complaint = refused.unwrap_err().to_string();
        assert!(
            complaint.contains("service.ticket_created_at must be NULL or a UTC time"),
            "{complaint}"
        );
    }
    sqlx::raw_sql("UPDATE service SET ticket_created_at = '2026-11-23T16:25:07.000Z'")
        .execute(&mut connection)
        .await
        .unwrap();
}

/// The rows that a busy platform has, unfinished for the most part; a thousandth of them are claimed.
const MANY: &str = "
    INSERT INTO queue (env)
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT 'env-' || i FROM n;
    UPDATE queue SET claim = 5, due_at = '2026-11-23T16:25:07.123Z', call = 'describe' WHERE id % 1000 = 0;";

#[tokio::test]
async fn a_large_database_full_of_unfinished_requests_loses_none_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("queue.db");
    let mut connection = first_version(&path).await;
    sqlx::raw_sql(MANY).execute(&mut connection).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..2 {
        for table in ["queue", "status"] {
            let columns = columns(&mut connection, table).await;
            all.push(rows(&mut connection, table, &columns).await);
        }
        store::migrate(&path).await.unwrap();
    }
    assert_eq!(all[0].len(), 100_000);
    assert!(all[..2] == all[2..], "rows of before and after differ");
}

#[tokio::test]
async fn a_row_of_service_that_was_deleted_under_an_earlier_schema_is_back_after_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("queue.db");
    let mut connection = first_version(&path).await;
    sqlx::raw_sql("DELETE FROM service")
        .execute(&mut connection)
        .await
        .unwrap();
    store::migrate(&path).await.unwrap();
    let columns = ["id", "state", "paused"].map(str::to_owned);
    let wanted = [["1", "stopped", "0"].map(|value| Some(value.to_owned())).to_vec()];
    assert_eq!(rows(&mut connection, "service", &columns).await, wanted);
}
