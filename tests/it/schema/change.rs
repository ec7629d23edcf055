//! A user's UPDATE moves a row that nobody holds, never one whose call is under way.

use super::client::{Database, Way, ways};

async fn due(database: &mut Database, env: &str) -> String {
    database
        .row(&format!(
            "SELECT q.not_before, q.due_at, s.next_attempt_at FROM queue AS q JOIN status AS s USING (env) WHERE env = '{env}'"
        ))
        .await
}

async fn with_a_row(way: Way) -> Database {
    let mut database = Database::new().await;
    database
        .run(
            way,
            "INSERT INTO queue (env, requested_at) VALUES ('a', '2026-01-01T00:00:00.000Z')",
        )
        .await;
    assert_eq!(due(&mut database, "a").await, "||2026-01-01T00:00:00.000Z");
    database
}

#[tokio::test]
async fn not_before_moves_a_waiting_row_and_null_makes_it_ready() {
    for way in ways() {
        let mut database = with_a_row(way).await;
        database
            .run(
                way,
                "UPDATE queue SET not_before = '2031-05-06 07:08' WHERE env = 'a'",
            )
            .await;
        let at = "2031-05-06T07:08:00.000Z";
        assert_eq!(
            due(&mut database, "a").await,
            format!("{at}|{at}|{at}"),
            "{way:?}"
        );
        database
            .run(
                way,
                "UPDATE OR REPLACE queue SET not_before = '2031-02-31' WHERE env = 'a'",
            )
            .await;
        let at = "2031-03-03T00:00:00.000Z";
        assert_eq!(
            due(&mut database, "a").await,
            format!("{at}|{at}|{at}"),
            "{way:?}"
        );
        database
            .run(way, "UPDATE queue SET not_before = NULL WHERE env = 'a'")
            .await;
        assert_eq!(
            due(&mut database, "a").await,
            "||2026-01-01T00:00:00.000Z",
            "{way:?}"
        );
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn not_before_never_brings_a_retry_forward() {
    for way in ways() {
        let mut database = with_a_row(way).await;
        let retry = "2031-06-01T00:00:00.000Z";
        database
            .execute(&format!(
                "UPDATE queue SET retry_at = '{retry}', due_at = '{retry}', failures = 1 WHERE env = 'a'"
            ))
            .await;
        database
            .execute(&format!(
                "UPDATE status SET state = 'retrying', next_attempt_at = '{retry}' WHERE env = 'a'"
            ))
            .await;
        let (sooner, later) = ("2031-05-01T00:00:00.000Z", "2031-07-01T00:00:00.000Z");
        for (given, due_at) in [(sooner, retry), (later, later)] {
            database
                .run(
                    way,
                    &format!("UPDATE queue SET not_before = '{given}' WHERE env = 'a'"),
                )
                .await;
            assert_eq!(
                due(&mut database, "a").await,
                format!("{given}|{due_at}|{due_at}"),
                "{way:?}"
            );
        }
        database
            .run(way, "UPDATE queue SET not_before = NULL WHERE env = 'a'")
            .await;
        assert_eq!(
            due(&mut database, "a").await,
            format!("|{retry}|{retry}"),
            "{way:?}"
        );
        assert_eq!(
            database.row("SELECT state FROM status WHERE env = 'a'").await,
            "retrying"
        );
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn an_update_does_not_disturb_a_claimed_row() {
    for way in ways() {
        let mut database = with_a_row(way).await;
        database.claim("a").await;
        let held = "SELECT call, claim, due_at, retry_at, failures FROM queue WHERE env = 'a'";
        let (before, status) = (
            database.row(held).await,
            database.row("SELECT * FROM status WHERE env = 'a'").await,
        );
        database
            .run(
                way,
                "UPDATE queue SET priority = 9, not_before = '2031-05-06' WHERE env = 'a'",
            )
            .await;
        assert_eq!(database.row(held).await, before, "{way:?}");
        assert_eq!(
            database.row("SELECT * FROM status WHERE env = 'a'").await,
            status,
            "{way:?}"
        );
        let asked = database
            .row("SELECT priority, not_before FROM queue WHERE env = 'a'")
            .await;
        assert_eq!(asked, "9|2031-05-06T00:00:00.000Z", "{way:?}");
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn priority_goes_up_and_down_and_moves_nothing_else() {
    for way in ways() {
        let mut database = with_a_row(way).await;
        let status = database.row("SELECT * FROM status WHERE env = 'a'").await;
        for priority in [7, -7] {
            database
                .run(
                    way,
                    &format!("UPDATE queue SET priority = {priority} WHERE env = 'a'"),
                )
                .await;
            let row = database
                .row("SELECT priority, due_at, claim FROM queue WHERE env = 'a'")
                .await;
            assert_eq!(row, format!("{priority}||"), "{way:?}");
        }
        assert_eq!(
            database.row("SELECT * FROM status WHERE env = 'a'").await,
            status,
            "{way:?}"
        );
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn an_update_that_makes_no_sense_is_refused_and_changes_nothing() {
    let fixed = "queue.id and queue.env cannot be changed";
    let not_before = "queue.not_before must be NULL or a UTC time";
    let cases = [
        ("UPDATE queue SET env = 'b' WHERE env = 'a'", fixed),
        ("UPDATE queue SET id = 99 WHERE env = 'a'", fixed),
        ("UPDATE queue SET id = -1 WHERE env = 'a'", fixed),
        (
            "UPDATE OR REPLACE queue SET env = 'bystander' WHERE env = 'a'",
            fixed,
        ),
        ("UPDATE OR REPLACE queue SET id = 1 WHERE env = 'a'", fixed),
        (
            "UPDATE OR IGNORE queue SET env = 'bystander' WHERE env = 'a'",
            fixed,
        ),
        // Each of these SQLite itself cannot read.
        (
            "UPDATE queue SET not_before = '2031-06-01T12:00:00+0800'",
            not_before,
        ),
        (
            "UPDATE OR IGNORE queue SET not_before = '2031-06-01T12:00:00+0800'",
            not_before,
        ),
        ("UPDATE queue SET not_before = '2026-13-01'", not_before),
        ("UPDATE queue SET not_before = '2026-11-26T25:00Z'", not_before),
        (
            "UPDATE queue SET not_before = '2026-11-26T10:00:00 UTC'",
            not_before,
        ),
        ("UPDATE queue SET not_before = '2026-11-26t10:00:00Z'", not_before),
        ("UPDATE queue SET not_before = ''", not_before),
        ("DELETE FROM service", "the row of service belongs to the daemon"),
        ("UPDATE queue SET not_before = 'soon'", not_before),
        ("UPDATE queue SET not_before = 'now'", not_before),
        (
            "UPDATE queue SET not_before = '0000-01-01T00:00:00+05:00'",
            not_before,
        ),
        (
            "UPDATE queue SET requested_at = 'now'",
            "queue.requested_at must be a UTC time",
        ),
        (
            "UPDATE queue SET requested_at = '2026-02-31T00:00:00.000Z'",
            "queue.requested_at must be a UTC time",
        ),
        (
            "UPDATE queue SET priority = 'high'",
            "cannot store TEXT value in INTEGER column queue.priority",
        ),
        (
            "UPDATE queue SET priority = NULL",
            "NOT NULL constraint failed: queue.priority",
        ),
        ("UPDATE service SET paused = 2", "service.paused must be 0 or 1"),
        (
            "UPDATE service SET paused = 'yes'",
            "cannot store TEXT value in INTEGER column service.paused",
        ),
    ];
    for way in ways() {
        let mut database = with_a_row(way).await;
        let before = database.snapshot().await;
        for ((sql, says), answer) in cases
            .iter()
            .zip(database.try_each(way, &cases.map(|(sql, _)| sql)).await)
        {
            let error = answer.expect_err(sql);
            assert!(error.contains(says), "{way:?} {sql}: {error}");
        }
        assert_eq!(database.snapshot().await, before, "{way:?}");
        assert_eq!(database.row("SELECT paused FROM service").await, "0");
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn of_the_same_environment_twice_the_earlier_not_before_wins_and_null_is_the_earliest() {
    let early = "2031-01-01T00:00:00.000Z";
    let late = "2032-01-01T00:00:00.000Z";
    for way in ways() {
        for (first, second, wins) in [
            (Some(late), Some(early), Some(early)),
            (Some(early), Some(late), Some(early)),
            (Some(late), None, None),
            (None, Some(late), None),
            (Some(late), Some("2031-01-01T08:00:00+08:00"), Some(early)),
        ] {
            let text = |time: Option<&str>| time.map_or("NULL".to_owned(), |time| format!("'{time}'"));
            let mut database = with_a_row(way).await;
            for time in [first, second] {
                let insert = format!(
                    "INSERT INTO queue (env, not_before) VALUES ('twice', {})",
                    text(time)
                );
                database.run(way, &insert).await;
            }
            let row = database
                .row("SELECT not_before, due_at FROM queue WHERE env = 'twice'")
                .await;
            let wins = wins.unwrap_or_default();
            assert_eq!(row, format!("{wins}|{wins}"), "{way:?} {first:?} {second:?}");
            database.assert_bystander_unchanged().await;
        }
    }
}
