//! Each on a database in a file, with a second row that must not change.

use super::*;
use crate::store::{Access, connect, migrate};

struct Desk {
    connection: SqliteConnection,
    directory: tempfile::TempDir,
}

async fn desk() -> Desk {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("queue.db");
    migrate(&path).await.unwrap();
    Desk {
        connection: connect(&path, Access::Write).await.unwrap(),
        directory,
    }
}

fn envs(names: &[&str]) -> Vec<Env> {
    names.iter().map(|name| Env::parse(name).unwrap()).collect()
}

impl Desk {
    async fn run(&mut self, sql: &'static str) {
        sqlx::query(sql).execute(&mut self.connection).await.unwrap();
    }

    async fn fail(&mut self, env: &str) {
        sqlx::query(
            "UPDATE status SET state = 'failed', finished_at = updated_at, next_attempt_at = NULL WHERE env = ?1",
        )
        .bind(env)
        .execute(&mut self.connection)
        .await
        .unwrap();
        sqlx::query("DELETE FROM queue WHERE env = ?1")
            .bind(env)
            .execute(&mut self.connection)
            .await
            .unwrap();
    }

    async fn queued(&mut self) -> Vec<(String, i64)> {
        let rows = sqlx::query_as("SELECT env, priority FROM queue ORDER BY id");
        rows.fetch_all(&mut self.connection).await.unwrap()
    }
}

#[tokio::test]
async fn enqueue_counts_only_what_was_not_queued_and_keeps_the_order() {
    let mut desk = desk().await;
    assert_eq!(
        enqueue(&mut desk.connection, &envs(&["b", "a"]), 0)
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        enqueue(&mut desk.connection, &envs(&["a", "c", "c"]), 7)
            .await
            .unwrap(),
        1
    );
    let queued = [("b".to_owned(), 0), ("a".to_owned(), 7), ("c".to_owned(), 7)];
    assert_eq!(desk.queued().await, queued);
}

#[tokio::test]
async fn enqueue_takes_more_than_one_batch() {
    let mut desk = desk().await;
    let names: Vec<Env> = (0..2 * BATCH + 1)
        .map(|n| Env::parse(&format!("env-{n}")).unwrap())
        .collect();
    assert_eq!(
        enqueue(&mut desk.connection, &names, 0).await.unwrap(),
        names.len() as u64
    );
    assert_eq!(
        counts(&mut desk.connection).await.unwrap(),
        [("pending".to_owned(), 2 * BATCH as i64 + 1)]
    );
}

#[tokio::test]
async fn retry_requests_only_what_failed() {
    let mut desk = desk().await;
    enqueue(&mut desk.connection, &envs(&["a", "b", "c"]), 0)
        .await
        .unwrap();
    desk.fail("a").await;
    desk.fail("c").await;
    assert_eq!(
        retry(&mut desk.connection, &envs(&["a", "b", "never"]))
            .await
            .unwrap(),
        1
    );
    assert_eq!(desk.queued().await, [("b".to_owned(), 0), ("a".to_owned(), 0)]);
    assert_eq!(
        of_envs(&mut desk.connection, &envs(&["c", "a"])).await.unwrap()[0].state,
        "failed"
    );
}

#[tokio::test]
async fn retry_failed_takes_all_that_failed_however_many() {
    let mut desk = desk().await;
    let names: Vec<Env> = (0..BATCH + 5)
        .map(|n| Env::parse(&format!("env-{n}")).unwrap())
        .collect();
    enqueue(&mut desk.connection, &names, 0).await.unwrap();
    enqueue(&mut desk.connection, &envs(&["online"]), 0)
        .await
        .unwrap();
    desk.run("UPDATE status SET state = 'failed', finished_at = updated_at, next_attempt_at = NULL")
        .await;
    desk.run("UPDATE status SET state = 'online', domain = 'd' WHERE env = 'online'")
        .await;
    desk.run("DELETE FROM queue").await;
    assert_eq!(
        retry_failed(&mut desk.connection).await.unwrap(),
        BATCH as u64 + 5
    );
    assert_eq!(desk.queued().await.len(), BATCH + 5);
    assert_eq!(
        of_envs(&mut desk.connection, &envs(&["online"])).await.unwrap()[0].state,
        "online"
    );
}

#[tokio::test]
async fn rows_come_in_a_stable_order_and_no_more_than_wanted() {
    let mut desk = desk().await;
    enqueue(&mut desk.connection, &envs(&["a", "b", "c"]), 0)
        .await
        .unwrap();
    desk.run("UPDATE status SET updated_at = '2026-01-01T00:00:00.000Z' WHERE env <> 'b'")
        .await;
    let names = |rows: Vec<StatusRow>| rows.into_iter().map(|row| row.env).collect::<Vec<_>>();
    assert_eq!(
        names(in_state(&mut desk.connection, "pending", -1).await.unwrap()),
        ["b", "a", "c"]
    );
    assert_eq!(
        names(in_state(&mut desk.connection, "pending", 2).await.unwrap()),
        ["b", "a"]
    );
    assert!(
        in_state(&mut desk.connection, "failed", -1)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        names(
            of_envs(&mut desk.connection, &envs(&["c", "never", "a"]))
                .await
                .unwrap()
        ),
        ["c", "a"]
    );
}

#[tokio::test]
async fn the_last_attempts_of_one_environment_come_newest_first() {
    let mut desk = desk().await;
    for env in ["a", "b", "a", "a"] {
        sqlx::query("INSERT INTO attempt (env, at, call, latency_ms, outcome) VALUES (?1, 't', 'create', (SELECT count(*) FROM attempt), 'retry')")
            .bind(env)
            .execute(&mut desk.connection)
            .await
            .unwrap();
    }
    let rows = attempts(&mut desk.connection, &Env::parse("a").unwrap(), 2)
        .await
        .unwrap();
    assert_eq!(rows.iter().map(|row| row.latency_ms).collect::<Vec<_>>(), [3, 2]);
}

#[tokio::test]
async fn a_pause_and_a_ticket_are_written_down() {
    let mut desk = desk().await;
    assert_eq!(ticket_received_at(&mut desk.connection).await.unwrap(), None);
    insert_ticket(&mut desk.connection, &Ticket::parse("ticket@@@x").unwrap())
        .await
        .unwrap();
    assert_eq!(
        ticket_received_at(&mut desk.connection)
            .await
            .unwrap()
            .unwrap()
            .len(),
        24
    );
    for paused in [true, false] {
        set_paused(&mut desk.connection, paused).await.unwrap();
        assert_eq!(service(&mut desk.connection).await.unwrap().paused, paused);
    }
}

#[tokio::test]
async fn the_schema_is_told_apart_from_none() {
    let mut desk = desk().await;
    let ours = schema(&mut desk.connection).await.unwrap();
    assert_eq!(ours.found, Some(ours.known));
    try_write(&mut desk.connection).await.unwrap();
    let empty = tempfile::NamedTempFile::new().unwrap();
    let mut foreign = connect(empty.path(), Access::Write).await.unwrap();
    assert_eq!(schema(&mut foreign).await.unwrap().found, None);
}

#[tokio::test]
async fn whether_this_user_may_write_is_tried_and_taken_back() {
    let mut desk = desk().await;
    desk.run("UPDATE service SET paused = 1").await;
    try_write(&mut desk.connection).await.unwrap();
    assert!(service(&mut desk.connection).await.unwrap().paused);
    let path = desk.directory.path().join("queue.db");
    let mut reader = connect(&path, Access::Read).await.unwrap();
    assert!(
        try_write(&mut reader)
            .await
            .unwrap_err()
            .to_string()
            .contains("readonly")
    );
}

#[tokio::test]
async fn the_library_is_named_by_its_version() {
    let mut desk = desk().await;
    let version = sqlite_version(&mut desk.connection).await.unwrap();
    assert!(!crate::store::is_old(&version), "{version}");
}
