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
    let mut next = Some(0);
    while let Some(after) = next {
        let (pruned, last) = scratch.store.prune_attempts(noon(), noon(), after).await.unwrap();
        pieces.push(pruned);
        next = last;
    }
    assert_eq!(pieces, [500, 1, 0]);
    assert_eq!(scratch.rows("SELECT env FROM attempt").await, ["b"]);
}

/// A machine without a battery for its clock may have made any number of calls in what it took for the future.
#[tokio::test]
async fn calls_with_a_time_ahead_do_not_keep_older_ones_behind_them_from_being_deleted() {
    for ahead in [1, 499, 500, 501, 1200] {
        let scratch = Scratch::new().await;
        let calls = |count, at| {
            format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
                 INSERT INTO attempt (env, at, call, latency_ms, outcome) SELECT 'a', '{at}', 'create', 1, 'retry' FROM n;"
            )
        };
        scratch.execute(&calls(ahead, "2030-01-01T00:00:00.000Z")).await;
        scratch.execute(&calls(700, "2020-01-01T00:00:00.000Z")).await;
        let (mut next, mut all) = (Some(0), 0);
        while let Some(after) = next {
            let (pruned, last) = scratch.store.prune_attempts(noon(), noon(), after).await.unwrap();
            all += pruned;
            next = last;
        }
        assert_eq!(all, 700, "{ahead}");
        let left = scratch.rows("SELECT count(*) || min(at) FROM attempt").await;
        assert_eq!(left, [format!("{ahead}2030-01-01T00:00:00.000Z")]);
    }
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
