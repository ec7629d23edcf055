//! What is no request fails aloud in every form of INSERT, says what is allowed, and changes nothing.

use super::client::{Database, python_bound, ways};

const FORMS: [&str; 4] = ["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE", "REPLACE"];

const ENV: &str = "queue.env must be 1 to 128 characters of A-Z a-z 0-9 - _";
const PRIORITY: &str = "queue.priority must be an integer";
const NOT_BEFORE: &str = "queue.not_before must be NULL or a UTC time such as 2026-11-23T16:25:07.123Z";
const REQUESTED_AT: &str = "queue.requested_at must be a UTC time such as 2026-11-23T16:25:07.123Z";
const ID: &str = "queue.id is assigned by the database: leave it out";

/// Columns and values that are refused, and what the error says.
fn refused() -> Vec<(String, &'static str)> {
    let long = format!("'{}'", "x".repeat(129));
    let envs = [
        "''",
        &long,
        "'a b'",
        "'a '",
        "'env/1'",
        "'é'",
        "'环境'",
        "'a' || char(10)",
        "'a' || char(0) || 'b'",
        "NULL",
        "1.5",
    ];
    let times = [
        "''",
        "'now'",
        "'tomorrow'",
        "5",
        "2461368.5",
        "'16:25'",
        "'2026-13-01'",
        "'2026-11-23T16:25:07.123'' OR 1'",
        "'2026-11-23T25:00:00Z'",
        "'9999-12-31T23:00:00-05:00'",
        "'0000-01-01T00:00:00+05:00'",
    ];
    let requested = [
        "''",
        "'now'",
        "NULL",
        "'2026-11-23'",
        "'2026-11-23 16:25:07'",
        "'2026-11-23T16:25:07Z'",
        "'2026-02-31T00:00:00.000Z'",
        "'-001-12-31T19:00:00.000Z'",
    ];
    let mut all: Vec<(String, &str)> = Vec::new();
    all.extend(envs.iter().map(|env| (format!("(env) VALUES ({env})"), ENV)));
    all.push((
        "(env) VALUES (x'6161')".into(),
        "cannot store BLOB value in TEXT column queue.env",
    ));
    for env in ["new", "bystander"] {
        all.extend(
            times
                .iter()
                .map(|at| (format!("(env, not_before) VALUES ('{env}', {at})"), NOT_BEFORE)),
        );
        all.extend(requested.iter().map(|at| {
            (
                format!("(env, requested_at) VALUES ('{env}', {at})"),
                REQUESTED_AT,
            )
        }));
        all.push((format!("(env, priority) VALUES ('{env}', NULL)"), PRIORITY));
        all.push((
            format!("(env, priority) VALUES ('{env}', 'high')"),
            "cannot store TEXT value in INTEGER column",
        ));
        all.push((
            format!("(env, priority) VALUES ('{env}', 1.5)"),
            "cannot store REAL value in INTEGER column",
        ));
    }
    all.extend([1, 0, -1, -5, 77, i64::MAX].map(|id| (format!("(id, env) VALUES ({id}, 'new')"), ID)));
    all
}

#[tokio::test]
async fn what_is_no_request_is_refused_aloud_and_changes_nothing() {
    for way in ways() {
        let mut database = Database::new().await;
        let before = database.snapshot().await;
        let cases: Vec<(String, &str)> = refused()
            .into_iter()
            .flat_map(|(rest, says)| FORMS.map(|form| (format!("{form} INTO queue {rest}"), says)))
            .collect();
        let statements: Vec<&str> = cases.iter().map(|(sql, _)| sql.as_str()).collect();
        for ((sql, says), answer) in cases.iter().zip(database.try_each(way, &statements).await) {
            let error = answer.expect_err(&format!("{way:?} {sql}"));
            assert!(error.contains(says), "{way:?} {sql}: {error}");
        }
        assert_eq!(database.snapshot().await, before, "{way:?}");
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn one_bad_row_takes_the_whole_statement_with_it() {
    for way in ways() {
        let mut database = Database::new().await;
        for form in FORMS {
            let error = database
                .refused(
                    way,
                    &format!("{form} INTO queue (env) VALUES ('good'), ('not good'), ('fine')"),
                )
                .await;
            assert!(error.contains(ENV), "{way:?} {form}: {error}");
        }
        assert_eq!(database.row("SELECT count(*) FROM queue").await, "1", "{way:?}");
        assert_eq!(database.row("SELECT count(*) FROM status").await, "1", "{way:?}");
        database.assert_bystander_unchanged().await;
    }
}

#[tokio::test]
async fn a_bound_value_is_judged_like_a_written_one() {
    if !crate::programs::there("python3") {
        return;
    }
    let mut database = Database::new().await;
    for form in FORMS {
        let sql = format!("{form} INTO queue (env) VALUES (?)");
        for (value, says) in [
            ("'a\\0b'", ENV),
            ("'a\\0'", ENV),
            ("'x' * 129", ENV),
            ("None", ENV),
            ("b'aa'", "cannot store BLOB value in TEXT column queue.env"),
        ] {
            let error = python_bound(&database.path, &sql, value).expect_err(value);
            assert!(error.contains(says), "{form} {value}: {error}");
        }
    }
    python_bound(&database.path, "INSERT INTO queue (env) VALUES (?)", "42").unwrap();
    python_bound(
        &database.path,
        "INSERT INTO queue (env) VALUES (?)",
        "'Aa-_9' * 25 + 'xyz'",
    )
    .unwrap();
    let rows = database
        .rows("SELECT typeof(env), length(env) FROM queue WHERE env <> 'bystander' ORDER BY id")
        .await;
    assert_eq!(rows, ["text|2", "text|128"]);
    database.assert_bystander_unchanged().await;
}

#[tokio::test]
async fn a_ticket_that_is_none_is_refused() {
    for way in ways() {
        let mut database = Database::new().await;
        database
            .run(
                way,
                "INSERT INTO ticket (component_verify_ticket) VALUES ('ticket@@@abc')",
            )
            .await;
        for ticket in [
            "''",
            "'a b'",
            "'a' || char(10)",
            "'é'",
            "x'61'",
            "NULL",
            "printf('%.513c', 'x')",
        ] {
            database
                .refused(
                    way,
                    &format!("INSERT INTO ticket (component_verify_ticket) VALUES ({ticket})"),
                )
                .await;
        }
        let error = database
            .refused(
                way,
                "INSERT INTO ticket (component_verify_ticket, received_at) VALUES ('t', 'yesterday')",
            )
            .await;
        assert!(error.contains("ticket.received_at must be a UTC time"), "{error}");
        let kept = database
            .row("SELECT component_verify_ticket, length(received_at) FROM ticket")
            .await;
        assert_eq!(kept, "ticket@@@abc|24", "{way:?}");
    }
}
