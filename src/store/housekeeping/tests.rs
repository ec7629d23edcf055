//! What is pruned, piece by piece, and what stays.

use super::*;
use crate::clock::parse;
use crate::store::scratch::Scratch;

fn noon() -> Timestamp {
    parse("2026-11-24T12:00:00.000Z").unwrap()
}

#[tokio::test]
async fn calls_before_the_cutoff_are_deleted_in_pieces_and_those_from_it_on_stay() {
    let scratch = Scratch::new().await;
    scratch
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 501)
             INSERT INTO attempt (env, at, call, latency_ms, outcome)
             SELECT 'a', '2026-11-24T11:59:59.999Z', 'create', 1, 'retry' FROM n;
             INSERT INTO attempt (env, at, call, latency_ms, outcome)
             VALUES ('b', '2026-11-24T12:00:00.000Z', 'create', 1, 'retry')",
        )
        .await;
    let mut pieces = Vec::new();
    for _ in 0..3 {
        pieces.push(scratch.store.prune_attempts(noon()).await.unwrap());
    }
    assert_eq!(pieces, [500, 1, 0]);
    assert_eq!(scratch.rows("SELECT env FROM attempt").await, ["b"]);
}

#[tokio::test]
async fn requests_finished_before_the_cutoff_are_deleted_and_no_others() {
    let scratch = Scratch::new().await;
    scratch
        .execute(
            "INSERT INTO queue (env) VALUES ('again'), ('early'), ('late'), ('open');
             UPDATE status SET state = 'failed', next_attempt_at = NULL,
                               finished_at = iif(env = 'late', '2026-11-24T12:00:00.000Z', '2026-11-24T11:59:59.999Z')
              WHERE env <> 'open';
             DELETE FROM queue WHERE env IN ('early', 'late')",
        )
        .await;
    // Read as finished, it was requested again before it was deleted.
    let next = scratch.store.prune_status(noon(), "").await.unwrap();
    assert_eq!(next.as_deref(), Some("early"));
    assert_eq!(
        scratch.rows("SELECT env FROM status ORDER BY env").await,
        ["again", "late", "open"]
    );
    assert_eq!(scratch.store.prune_status(noon(), "early").await.unwrap(), None);
}

#[tokio::test]
async fn optimizing_shortens_the_wal_file() {
    let scratch = Scratch::new().await;
    scratch.execute("INSERT INTO queue (env) VALUES ('a')").await;
    let wal = scratch.store.path().with_file_name("queue.db-wal");
    assert!(wal.metadata().unwrap().len() > 0);
    scratch.store.optimize().await.unwrap();
    assert_eq!(wal.metadata().unwrap().len(), 0);
}
