//! DELETE cancels; an env inserted again starts afresh, and is looked at first if a create may have been sent.

use super::client::{Database, Way, ways};

const STATUS: &str = "SELECT state, coalesce(remedy, '-'), next_attempt_at IS NULL, length(finished_at), length(updated_at) \
                      FROM status WHERE env = 'a'";

async fn with_a_row(way: Way) -> Database {
    let database = Database::new().await;
    database.run(way, "INSERT INTO queue (env) VALUES ('a')").await;
    database
}

async fn cancelled_with(database: &mut Database, way: Way) -> String {
    database.run(way, "DELETE FROM queue WHERE env = 'a'").await;
    assert_eq!(
        database.row("SELECT count(*) FROM queue WHERE env = 'a'").await,
        "0"
    );
    let status = database.row(STATUS).await;
    let remedy = status
        .strip_prefix("cancelled|")
        .and_then(|rest| rest.strip_suffix("|1|24|24"));
    remedy.unwrap_or_else(|| panic!("{way:?}: {status}")).to_owned()
}

#[tokio::test]
async fn deleting_a_request_that_was_never_sent_leaves_nothing_to_do() {
    for way in ways() {
        let mut database = with_a_row(way).await;
        assert_eq!(cancelled_with(&mut database, way).await, "-", "{way:?}");
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn deleting_a_request_whose_create_was_sent_says_that_it_may_open_all_the_same() {
    for way in ways() {
        let mut database = with_a_row(way).await;
        database.claim("a").await;
        let remedy = cancelled_with(&mut database, way).await;
        assert!(
            remedy.starts_with("A create call had already been sent"),
            "{way:?}: {remedy}"
        );
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn deleting_a_request_that_weixin_accepted_says_that_it_opens_all_the_same() {
    for way in ways() {
        let mut database = with_a_row(way).await;
        database.claim("a").await;
        database
            .execute(
                "UPDATE queue SET claim = NULL, accepted_at = '2026-01-01T00:00:00.000Z' WHERE env = 'a'",
            )
            .await;
        let remedy = cancelled_with(&mut database, way).await;
        assert!(
            remedy.starts_with("Weixin had already accepted this request"),
            "{way:?}: {remedy}"
        );
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn a_delete_without_where_cancels_all_that_is_unfinished() {
    for way in ways() {
        let mut database = with_a_row(way).await;
        database.run(way, "INSERT INTO queue (env) VALUES ('done')").await;
        database.claim("done").await;
        database.finish("done").await;
        let done = database.row("SELECT * FROM status WHERE env = 'done'").await;
        database.run(way, "DELETE FROM queue").await;
        let states = database.rows("SELECT env, state FROM status ORDER BY env").await;
        assert_eq!(
            states,
            ["a|cancelled", "bystander|cancelled", "done|online"],
            "{way:?}"
        );
        assert_eq!(database.row("SELECT count(*) FROM queue").await, "0");
        assert_eq!(
            database.row("SELECT * FROM status WHERE env = 'done'").await,
            done,
            "{way:?}"
        );
    }
}

#[tokio::test]
async fn a_finished_env_inserted_again_starts_afresh_and_is_described_first() {
    for form in ["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE"] {
        for way in ways() {
            let mut database = with_a_row(way).await;
            database.claim("a").await;
            database.finish("a").await;
            database
                .run(way, &format!("{form} INTO queue (env, priority) VALUES ('a', 4)"))
                .await;
            let row = database
                .row(
                    "SELECT state, attempts, errcode, errmsg, rid, remedy, domain, bucket, region, finished_at, \
                     next_attempt_at = s.requested_at, s.requested_at = q.requested_at, request = id, create_sent, call, \
                     priority FROM status AS s JOIN queue AS q USING (env) WHERE env = 'a'",
                )
                .await;
            assert_eq!(row, "pending|0|||||||||1|1|1|1|describe|4", "{way:?} {form}");
            database.assert_bystander_unchanged().await;
        }
    }
}

#[tokio::test]
async fn a_create_once_sent_is_remembered_through_any_number_of_cancelled_requests() {
    let again = ["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE"].map(|form| {
        [
            "DELETE FROM queue WHERE env = 'a'".to_owned(),
            format!("{form} INTO queue (env) VALUES ('a') RETURNING id"),
        ]
    });
    for way in ways() {
        let mut database = with_a_row(way).await;
        database.claim("a").await;
        let answers = database.try_each(way, &again.concat()).await;
        assert_eq!(
            answers,
            ["", "3", "", "4", "", "5"].map(|printed| Ok(printed.to_owned())),
            "{way:?}"
        );
        let row = database
            .row("SELECT id, call, create_sent, state, attempts FROM queue JOIN status USING (env) WHERE env = 'a'")
            .await;
        assert_eq!(row, "5|describe|1|pending|0", "{way:?}");
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn an_env_that_was_never_sent_is_created_at_once_when_it_is_inserted_again() {
    for way in ways() {
        let mut database = with_a_row(way).await;
        database.run(way, "DELETE FROM queue WHERE env = 'a'").await;
        database.run(way, "INSERT INTO queue (env) VALUES ('a')").await;
        let row = database
            .row("SELECT call, create_sent, state FROM queue JOIN status USING (env) WHERE env = 'a'")
            .await;
        assert_eq!(row, "create|0|pending", "{way:?}");
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn an_id_is_never_used_twice() {
    for way in ways() {
        let mut database = with_a_row(way).await;
        for id in 3..6 {
            database.run(way, "DELETE FROM queue WHERE env = 'a'").await;
            database
                .run(way, "INSERT OR REPLACE INTO queue (env) VALUES ('a')")
                .await;
            assert_eq!(
                database.row("SELECT id FROM queue WHERE env = 'a'").await,
                id.to_string(),
                "{way:?}"
            );
        }
        for form in ["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE"] {
            for id in [1, 2, 5, 9] {
                let error = database
                    .refused(way, &format!("{form} INTO queue (id, env) VALUES ({id}, 'b')"))
                    .await;
                assert!(
                    error.contains("queue.id is assigned by the database"),
                    "{way:?} {form}: {error}"
                );
            }
        }
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn a_cancelled_request_is_not_revived_by_its_old_id() {
    for way in ways() {
        let mut database = with_a_row(way).await;
        database.run(way, "DELETE FROM queue WHERE env = 'a'").await;
        let before = database.snapshot().await;
        for form in ["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE"] {
            let error = database
                .refused(way, &format!("{form} INTO queue (id, env) VALUES (2, 'a')"))
                .await;
            assert!(
                error.contains("queue.id is assigned by the database"),
                "{way:?} {form}: {error}"
            );
        }
        assert_eq!(database.snapshot().await, before, "{way:?}");
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn the_daemon_takes_back_a_request_that_was_cancelled_during_its_call() {
    let mut database = with_a_row(ways().next().unwrap()).await;
    database.claim("a").await;
    database.execute("DELETE FROM queue WHERE env = 'a'").await;
    let back = "INSERT INTO queue (id, env, call) VALUES (2, 'a', 'describe')";
    let error = database.refused(ways().next().unwrap(), back).await;
    assert!(error.contains("queue.id is assigned"), "finished: {error}");
    // As a settlement does, before it takes the row back.
    database
        .execute("UPDATE status SET state = 'opening', finished_at = NULL WHERE env = 'a'")
        .await;
    let status = database.row("SELECT * FROM status WHERE env = 'a'").await;
    database
        .execute("INSERT INTO queue (id, env, call, accepted_at) VALUES (2, 'a', 'describe', '2026-01-01T00:00:00.000Z')")
        .await;
    let row = database
        .row("SELECT id, call, accepted_at FROM queue WHERE env = 'a'")
        .await;
    assert_eq!(row, "2|describe|2026-01-01T00:00:00.000Z");
    assert_eq!(database.row("SELECT * FROM status WHERE env = 'a'").await, status);
    database.assert_bystander_unchanged().await;
}

#[tokio::test]
async fn the_status_of_an_unfinished_request_cannot_be_deleted() {
    for way in ways() {
        let mut database = with_a_row(way).await;
        database.run(way, "INSERT INTO queue (env) VALUES ('done')").await;
        database.claim("done").await;
        database.finish("done").await;
        let before = database.snapshot().await;
        for sql in ["DELETE FROM status WHERE env = 'a'", "DELETE FROM status"] {
            let error = database.refused(way, sql).await;
            assert!(
                error.contains("this request is not finished: DELETE it FROM queue first"),
                "{way:?} {sql}: {error}"
            );
        }
        assert_eq!(database.snapshot().await, before, "{way:?}");
        database.run(way, "DELETE FROM status WHERE env = 'done'").await;
        assert_eq!(database.row("SELECT count(*) FROM status").await, "2", "{way:?}");
        database.assert_bystander_unchanged().await;
    }
}
