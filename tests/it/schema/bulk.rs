//! Great numbers of rows: every one gets its status, and no trigger reads a table from end to end.

use super::client::{Database, shell, ways};

#[tokio::test]
async fn a_hundred_thousand_rows_in_one_statement_all_have_their_status() {
    for way in ways().filter(|way| !way.recursive_triggers) {
        let mut database = Database::new().await;
        database
            .run(
                way,
                "INSERT INTO queue (env) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
                 SELECT 'env-' || i FROM n",
            )
            .await;
        let complete = database
            .row(
                "SELECT count(*) FROM queue JOIN status USING (env) \
                 WHERE status.request = queue.id AND state = 'pending' AND env <> 'bystander'",
            )
            .await;
        assert_eq!(complete, "100000", "{way:?}");
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn what_a_users_statement_sets_off_finds_its_rows_by_index() {
    if !crate::programs::there("sqlite3") {
        return;
    }
    let database = Database::new().await;
    for sql in [
        "INSERT INTO queue (env, not_before) VALUES ('a', '2031-05-06')",
        "UPDATE queue SET priority = 1, not_before = '2031-05-07' WHERE env = 'bystander'",
        "DELETE FROM queue WHERE env = 'bystander'",
        "DELETE FROM status WHERE env = 'bystander'",
    ] {
        let plan = shell(&database.path, &[".eqp trigger", sql]).unwrap();
        assert!(plan.contains("SEARCH"), "{sql}: {plan}");
        for table in ["queue", "status"] {
            assert!(!plan.contains(&format!("SCAN {table}")), "{sql}: {plan}");
        }
    }
}

#[tokio::test]
async fn a_feeder_that_holds_a_transaction_open_does_not_stop_readers() {
    for way in ways() {
        let mut database = Database::new().await;
        database.execute("BEGIN IMMEDIATE").await;
        database.execute("INSERT INTO queue (env) VALUES ('held')").await;
        assert_eq!(
            database.run(way, "SELECT env FROM queue").await,
            "bystander",
            "{way:?}"
        );
        assert_eq!(
            database.run(way, "SELECT count(*) FROM status").await,
            "1",
            "{way:?}"
        );
        database.execute("COMMIT").await;
        assert_eq!(
            database.run(way, "SELECT count(*) FROM status").await,
            "2",
            "{way:?}"
        );
        database.assert_bystander_unchanged().await;
    }
}
