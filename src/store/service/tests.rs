//! The row of `service`, as it is written and as it is read.

use super::*;
use crate::store::scratch::Scratch;

#[tokio::test]
async fn the_vitals_are_written_as_they_are_and_leave_the_rest() {
    let scratch = Scratch::new().await;
    let at = |text: &str| parse(text).unwrap();
    scratch
        .execute(
            "UPDATE service SET paused = 1;
             INSERT INTO ticket (component_verify_ticket, received_at) VALUES ('t', '2026-11-24T11:00:00.000Z')",
        )
        .await;
    let vitals = Vitals {
        identity: Identity {
            version: "1.2.3",
            pid: 17,
            host: "here".into(),
            started_at: at("2026-11-24T10:00:00.000Z"),
        },
        state: "blocked",
        reason: Some("why".into()),
        remedy: Some("help".into()),
        errcode: Some(61004),
        token_expires_at: Some(at("2026-11-24T13:00:00.000Z")),
        token_refreshed_at: Some(at("2026-11-24T11:30:00.000Z")),
        heartbeat_at: at("2026-11-24T12:00:00.000Z"),
    };
    assert_eq!(scratch.store.last_heartbeat().await.unwrap(), None);
    scratch.store.set_vitals(vitals).await.unwrap();
    assert_eq!(
        scratch
            .rows(
                "SELECT state, reason, remedy, errcode, version, pid, host, started_at, heartbeat_at, token_expires_at,
                        token_refreshed_at, ticket_received_at, paused FROM service"
            )
            .await,
        ["blocked|why|help|61004|1.2.3|17|here|2026-11-24T10:00:00.000Z|2026-11-24T12:00:00.000Z|\
          2026-11-24T13:00:00.000Z|2026-11-24T11:30:00.000Z|2026-11-24T11:00:00.000Z|1"]
    );
    assert_eq!(
        scratch.store.last_heartbeat().await.unwrap(),
        Some(at("2026-11-24T12:00:00.000Z"))
    );
}

#[tokio::test]
async fn what_others_set_and_what_an_earlier_process_wrote_is_read() {
    let scratch = Scratch::new().await;
    let store = &scratch.store;
    assert!(!store.paused().await.unwrap());
    scratch.execute("UPDATE service SET paused = 1").await;
    assert!(store.paused().await.unwrap());

    assert_eq!(store.push_asked_at().await.unwrap(), None);
    let at = parse("2026-11-24T12:00:00.000Z").unwrap();
    store.set_push_asked(at).await.unwrap();
    assert_eq!(store.push_asked_at().await.unwrap(), Some(at));

    assert_eq!(store.tally().await.unwrap(), []);
    scratch
        .execute("INSERT INTO queue (env) VALUES ('a'), ('b'), ('c'); DELETE FROM queue WHERE env = 'c'")
        .await;
    let mut tally = store.tally().await.unwrap();
    tally.sort();
    assert_eq!(tally, [("cancelled".to_owned(), 1), ("pending".to_owned(), 2)]);
}
