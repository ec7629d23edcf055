//! Every form of INSERT makes a request, and the same env twice is one.

use super::client::{Database, Way, ways};

/// The forms of INSERT; `{}` is where the rows stand.
const FORMS: [&str; 12] = [
    "INSERT INTO queue (env, priority) VALUES {}",
    "INSERT INTO queue (env, priority) SELECT column1, column2 FROM (VALUES {})",
    "INSERT OR ABORT INTO queue (env, priority) VALUES {}",
    "INSERT OR FAIL INTO queue (env, priority) VALUES {}",
    "INSERT OR ROLLBACK INTO queue (env, priority) VALUES {}",
    "INSERT OR IGNORE INTO queue (env, priority) VALUES {}",
    "INSERT OR REPLACE INTO queue (env, priority) VALUES {}",
    "REPLACE INTO queue (env, priority) VALUES {}",
    "INSERT INTO queue (env, priority) VALUES {} ON CONFLICT DO NOTHING",
    "INSERT INTO queue (env, priority) VALUES {} ON CONFLICT (env) DO NOTHING",
    "INSERT INTO queue (env, priority) VALUES {} ON CONFLICT (env) DO UPDATE SET priority = excluded.priority",
    "INSERT INTO queue (env, priority) VALUES {} RETURNING env",
];

/// The statements that insert `rows`, one for each form; `@` in an env becomes the form's number.
fn in_every_form(rows: &str) -> Vec<String> {
    let numbered = |(at, form): (usize, &&str)| form.replace("{}", &rows.replace('@', &at.to_string()));
    FORMS.iter().enumerate().map(numbered).collect()
}

async fn insert_in_every_form(database: &Database, way: Way, rows: &str) {
    let statements = in_every_form(rows);
    for (sql, answer) in statements.iter().zip(database.try_each(way, &statements).await) {
        answer.unwrap_or_else(|error| panic!("{way:?} {sql}: {error}"));
    }
}

#[tokio::test]
async fn every_form_of_insert_makes_a_pending_request() {
    for way in ways() {
        let mut database = Database::new().await;
        insert_in_every_form(&database, way, "('a-@', 0), ('b-@', -2)").await;
        let made = database
            .rows(
                "SELECT substr(env, 1, 1), priority, state, attempts, create_sent, call FROM queue JOIN status USING (env) \
                 WHERE env <> 'bystander' AND status.request = queue.id AND finished_at IS NULL AND claim IS NULL \
                 AND due_at IS NULL AND next_attempt_at = status.requested_at AND updated_at = status.requested_at \
                 AND status.requested_at = queue.requested_at AND length(queue.requested_at) = 24",
            )
            .await;
        assert_eq!(made.len(), 2 * FORMS.len(), "{way:?}");
        assert!(
            made.iter()
                .all(|row| row == "a|0|pending|0|0|create" || row == "b|-2|pending|0|0|create"),
            "{made:?}"
        );
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn the_same_env_twice_is_one_request_of_the_higher_priority() {
    for way in ways() {
        let mut database = Database::new().await;
        insert_in_every_form(&database, way, "('a-@', 1)").await;
        let first = database
            .rows("SELECT id, env, requested_at FROM queue ORDER BY id")
            .await;
        for (priority, wins) in [("0", "1"), ("5", "5"), ("5", "5"), ("-9", "5")] {
            insert_in_every_form(&database, way, &format!("('a-@', {priority})")).await;
            let priorities = database
                .rows("SELECT DISTINCT priority FROM queue WHERE env LIKE 'a-%'")
                .await;
            assert_eq!(priorities, [wins], "{way:?}");
        }
        assert_eq!(
            database
                .rows("SELECT id, env, requested_at FROM queue ORDER BY id")
                .await,
            first,
            "{way:?}"
        );
        assert_eq!(
            database.row("SELECT count(*) FROM status").await,
            (FORMS.len() + 1).to_string()
        );
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn an_env_twice_in_one_statement_is_one_request_and_the_others_are_made() {
    for way in ways() {
        let mut database = Database::new().await;
        insert_in_every_form(
            &database,
            way,
            "('a-@', 1), ('b-@', 0), ('a-@', 4), ('bystander', 2), ('a-@', 2), ('c-@', 0)",
        )
        .await;
        let priorities = database
            .rows("SELECT substr(env, 1, 2), priority, count(*) FROM queue WHERE env <> 'bystander' GROUP BY 1, 2")
            .await;
        assert_eq!(priorities, ["a-|4|12", "b-|0|12", "c-|0|12"], "{way:?}");
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn a_claimed_row_is_not_disturbed_by_its_env_inserted_again() {
    for way in ways() {
        let mut database = Database::new().await;
        insert_in_every_form(&database, way, "('a-@', 0)").await;
        for form in 0..FORMS.len() {
            database.claim(&format!("a-{form}")).await;
        }
        let columns =
            "SELECT id, env, not_before, requested_at, call, claim, due_at, retry_at, failures FROM queue";
        let (rows, status) = (
            database.rows(columns).await,
            database.rows("SELECT * FROM status").await,
        );
        insert_in_every_form(&database, way, "('a-@', 9)").await;
        assert_eq!(database.rows(columns).await, rows, "{way:?}");
        assert_eq!(database.rows("SELECT * FROM status").await, status, "{way:?}");
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn two_connections_that_insert_the_same_env_make_one_request() {
    for way in ways() {
        let mut database = Database::new().await;
        database.execute("BEGIN IMMEDIATE").await;
        database
            .execute("INSERT INTO queue (env, priority) VALUES ('both', 1), ('mine', 0)")
            .await;
        database.execute("COMMIT").await;
        database
            .run(
                way,
                "INSERT INTO queue (env, priority) VALUES ('both', 2), ('theirs', 0)",
            )
            .await;
        database
            .execute("INSERT INTO queue (env, priority) VALUES ('both', 0)")
            .await;
        let rows = database
            .rows("SELECT id, env, priority FROM queue WHERE env <> 'bystander' ORDER BY id")
            .await;
        assert_eq!(rows, ["2|both|2", "3|mine|0", "4|theirs|0"], "{way:?}");
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn returning_names_what_was_made_and_not_what_was_there() {
    for way in ways() {
        let mut database = Database::new().await;
        let printed = database
            .run(
                way,
                "INSERT INTO queue (env) VALUES ('bystander'), ('new') RETURNING id, env",
            )
            .await;
        assert_eq!(printed, "2|new", "{way:?}");
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn a_time_in_any_form_sqlite_reads_is_kept_in_24_characters_of_utc() {
    let forms = [
        ("2031-05-06", "2031-05-06T00:00:00.000Z"),
        ("2031-05-06 07:08", "2031-05-06T07:08:00.000Z"),
        ("2031-05-06 07:08:09", "2031-05-06T07:08:09.000Z"),
        ("2031-05-06T07:08:09.5Z", "2031-05-06T07:08:09.500Z"),
        ("2031-05-06T07:08:09+08:00", "2031-05-05T23:08:09.000Z"),
        // What no calendar has, older libraries would keep as it came, and the daemon could not read it.
        ("2031-02-31", "2031-03-03T00:00:00.000Z"),
        ("2031-05-06 24:00:00", "2031-05-07T00:00:00.000Z"),
    ];
    for way in ways() {
        let mut database = Database::new().await;
        for (at, (written, kept)) in forms.iter().enumerate() {
            database
                .run(
                    way,
                    &format!("INSERT INTO queue (env, not_before) VALUES ('a-{at}', '{written}')"),
                )
                .await;
            let row = database
                .row(&format!("SELECT not_before, due_at, next_attempt_at FROM queue JOIN status USING (env) WHERE env = 'a-{at}'"))
                .await;
            assert_eq!(row, format!("{kept}|{kept}|{kept}"), "{way:?} {written}");
        }
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn not_before_may_be_given_by_the_clients_own_clock() {
    for way in ways() {
        let mut database = Database::new().await;
        database
            .run(
                way,
                "INSERT INTO queue (env, not_before) VALUES ('later', datetime('now', '+1 hour'))",
            )
            .await;
        let kept = database
            .row(
                "SELECT length(not_before), not_before > requested_at, due_at = not_before FROM queue WHERE env = 'later'",
            )
            .await;
        assert_eq!(kept, "24|1|1", "{way:?}");
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn what_is_the_daemons_own_cannot_be_given_by_an_insert() {
    for way in ways() {
        let mut database = Database::new().await;
        database
            .run(
                way,
                "INSERT INTO queue (env, call, claim, due_at, retry_at, failures, unknowns, failing_since, accepted_at, looks) \
                 VALUES ('a', 'describe', 1, 'x', 'x', 1, 1, 'x', 'x', 1)",
            )
            .await;
        let row = database
            .row(
                "SELECT call, claim, due_at, retry_at, failures, unknowns, failing_since, accepted_at, looks \
                 FROM queue WHERE env = 'a'",
            )
            .await;
        assert_eq!(row, "create||||0|0|||0", "{way:?}");
        database.assert_bystander_unchanged().await;
    }
}
