//! The CHECKs refuse rows that no request can be in, whoever writes them.

use super::client::Database;

const IMPOSSIBLE: [&str; 19] = [
    "UPDATE status SET state = 'done' WHERE env = 'a'",
    "UPDATE status SET state = NULL WHERE env = 'a'",
    "UPDATE status SET state = 'online' WHERE env = 'a'",
    "UPDATE status SET state = 'online', next_attempt_at = NULL, domain = 'd' WHERE env = 'a'",
    "UPDATE status SET state = 'online', next_attempt_at = NULL, finished_at = 'f' WHERE env = 'a'",
    "UPDATE status SET state = 'failed', finished_at = 'f' WHERE env = 'a'",
    "UPDATE status SET state = 'cancelled', next_attempt_at = NULL WHERE env = 'a'",
    "UPDATE status SET state = 'accepted', next_attempt_at = NULL WHERE env = 'a'",
    "UPDATE status SET finished_at = 'f', next_attempt_at = NULL WHERE env = 'a'",
    "UPDATE status SET state = 'opening', finished_at = 'f', next_attempt_at = NULL WHERE env = 'a'",
    "UPDATE status SET state = 'retrying', finished_at = 'f', next_attempt_at = NULL WHERE env = 'a'",
    "UPDATE status SET attempts = -1 WHERE env = 'a'",
    "UPDATE status SET create_sent = 2 WHERE env = 'a'",
    "UPDATE queue SET call = 'delete' WHERE env = 'a'",
    "UPDATE queue SET failures = -1 WHERE env = 'a'",
    "UPDATE queue SET unknowns = -1 WHERE env = 'a'",
    "UPDATE queue SET looks = -1 WHERE env = 'a'",
    "UPDATE service SET state = 'asleep'",
    "INSERT INTO service (id) VALUES (2)",
];

#[tokio::test]
async fn an_impossible_state_cannot_be_written() {
    let mut database = Database::new().await;
    database.execute("INSERT INTO queue (env) VALUES ('a')").await;
    let before = database.snapshot().await;
    for sql in IMPOSSIBLE {
        let error = database.try_execute(sql).await.expect_err(sql);
        assert!(error.contains("constraint failed"), "{sql}: {error}");
    }
    assert_eq!(database.snapshot().await, before);
    assert_eq!(
        database.rows("SELECT id, state FROM service").await,
        ["1|stopped"]
    );
    database.assert_bystander_unchanged().await;
}

#[tokio::test]
async fn every_possible_state_can_be_written() {
    let mut database = Database::new().await;
    database.execute("INSERT INTO queue (env) VALUES ('a')").await;
    for state in ["pending", "opening", "retrying"] {
        database
            .execute(&format!("UPDATE status SET state = '{state}' WHERE env = 'a'"))
            .await;
    }
    for state in ["online", "failed", "accepted", "cancelled"] {
        database
            .execute(&format!(
                "UPDATE status SET state = '{state}', domain = 'd', finished_at = 'f', next_attempt_at = NULL WHERE env = 'a'"
            ))
            .await;
    }
    database.assert_bystander_unchanged().await;
}
