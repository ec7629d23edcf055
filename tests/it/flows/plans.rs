//! No statement reads a whole table: with 100 000 rows each of them still touches only its own.
//!
//! Plans are made on a database that was empty when it was opened, as a daemon's is that has just been set up: without
//! statistics, SQLite must still come to the index by itself.

use std::path::Path;

use sqlx::Row;

use crate::world::World;

/// Reads that walk a table or an index on purpose, by a piece of their text.
const WALKS: [(&str, &str); 5] = [
    (
        "GROUP BY state",
        "counts all requests, over the index of their states, as rarely as that is dear",
    ),
    (
        "due_at = not_before WHERE claim IS NOT NULL",
        "lets claims go at start-up: its index holds nothing but claimed rows",
    ),
    (
        "FROM ticket ORDER BY id DESC LIMIT 1",
        "the newest ticket: the end of the primary key",
    ),
    ("SET state = ?1, reason = ?2", "the newest ticket, likewise"),
    (
        "WHERE request = ?1 AND finished_at IS NULL",
        "the request of a row that was brought past the constraints: it bears another env than its status",
    ),
];

/// Every statement that is checked when the crate is compiled; one string may hold several.
fn statements() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let mut statements = Vec::new();
    for file in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let description: serde_json::Value = serde_json::from_str(&text).unwrap();
        let string = description["query"].as_str().unwrap();
        statements.extend(string.split(';').map(str::to_owned));
    }
    statements
}

async fn plan(world: &World, statement: &str) -> Vec<String> {
    let mut connection = world.connection().await;
    let explain = format!("EXPLAIN QUERY PLAN {statement}");
    let steps = sqlx::query(sqlx::AssertSqlSafe(explain))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    steps.iter().map(|step| step.get("detail")).collect()
}

/// Whether a step reads all of something that grows.
fn walks(step: &str) -> bool {
    let bounded = ["VIRTUAL TABLE", "CONSTANT ROW", "(subquery-"];
    step.contains("AUTOMATIC")
        || (step.starts_with("SCAN") && !bounded.iter().any(|what| step.contains(what)))
}

#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index() {
    let world = World::new().await;
    world.execute("DELETE FROM ticket").await;
    let statements = statements();
    assert!(statements.len() > 15, "{}", statements.len());
    for statement in statements {
        let plan = plan(&world, &statement).await;
        let on_purpose = WALKS.iter().any(|(piece, _)| statement.contains(piece));
        let walk = plan.iter().find(|step| walks(step));
        assert_eq!(walk.is_some(), on_purpose, "{statement}\n{plan:#?}");
    }
}

#[tokio::test]
async fn a_batch_is_the_outer_loop_and_the_table_is_searched_for_each_of_its_rows() {
    let world = World::new().await;
    for statement in statements()
        .iter()
        .filter(|text| text.contains("json_each") || text.contains("jsonb_each"))
    {
        let plan = plan(&world, statement).await;
        let place = |what: &str| plan.iter().position(|step| step.contains(what));
        let batch = place("VIRTUAL TABLE").unwrap();
        // A batch that only leaves rows out is looked into, and joins nothing.
        let leaves_out = statement.contains("NOT IN (SELECT value FROM json_each");
        let joins =
            !leaves_out && (statement.contains("FROM (SELECT") || statement.contains("CROSS JOIN status"));
        if joins {
            assert_eq!(batch, 0, "{statement}\n{plan:#?}");
        }
        let searched = plan.iter().any(|step| step.starts_with("SEARCH"));
        assert!(
            searched || statement.contains("INSERT INTO attempt"),
            "{statement}\n{plan:#?}"
        );
    }
}

/// Any program's ANALYZE may write that no row is claimed; the index of the claimed ones then looks like the cheapest way.
#[tokio::test]
async fn a_settlement_searches_its_rows_by_their_key_whatever_is_known_of_the_claimed_ones() {
    let statistics = [
        "('queue', 'queue_claimed', '0 0')",
        "('queue', 'queue_claimed', '0 0'), ('queue', 'queue_ready', '100000 50000 50000 1 1')",
        "('queue', 'queue_claimed', '1 1'), ('queue', 'sqlite_autoindex_queue_1', '100000 1')",
    ];
    let world = World::new().await;
    world.execute("ANALYZE").await;
    for rows in statistics {
        world
            .execute(&format!(
                "DELETE FROM sqlite_stat1; INSERT INTO sqlite_stat1 VALUES {rows}"
            ))
            .await;
        let statements = statements();
        let settling = statements.iter().filter(|text| text.contains("NOT INDEXED"));
        assert_eq!(settling.clone().count(), 3);
        for statement in settling {
            let plan = plan(&world, statement).await;
            let walk = plan.iter().find(|step| step.contains("queue_claimed"));
            assert_eq!(walk, None, "{rows}: {statement}\n{plan:#?}");
        }
    }
}

/// Statistics that an earlier version or another program left are those of another queue.
#[tokio::test]
async fn a_start_forgets_statistics_and_a_stop_writes_none() {
    let mut world = World::new().await;
    world
        .execute("INSERT INTO queue (env) VALUES ('a'); ANALYZE")
        .await;
    world.start();
    world.wait_for_state("a", "online").await;
    world.stop().await.unwrap();
    let left = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'sqlite_stat%'";
    assert_eq!(world.row(left).await, "0");
}
