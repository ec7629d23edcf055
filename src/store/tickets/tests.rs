//! Which tickets are kept, in which order they may come, and what a wrong clock does.

use tokio_util::task::TaskTracker;

use super::*;
use crate::store::scratch::Scratch;

const HOUR: Duration = Duration::from_secs(3600);

impl Scratch {
    async fn push(&self, ticket: &str, created_at: &str, received_at: &str) -> bool {
        let pushed = PushedTicket {
            ticket: Ticket::parse(ticket).unwrap(),
            created_at: parse(created_at).unwrap(),
            received_at: parse(received_at).unwrap(),
        };
        self.store.receive_ticket(pushed).await.unwrap()
    }

    async fn newest(&self) -> String {
        let newest = self.store.newest_ticket().await.unwrap().unwrap();
        newest.ticket.expose().to_owned()
    }
}

#[tokio::test]
async fn a_newer_ticket_is_kept_and_an_older_or_repeated_one_is_not() {
    let tickets = Scratch::new().await;
    let now = "2026-11-23T12:00:00.000Z";
    assert!(tickets.push("first", "2026-11-23T11:50:00.000Z", now).await);
    assert!(tickets.push("second", "2026-11-23T12:00:00.000Z", now).await);
    for (ticket, created_at) in [
        ("second", "2026-11-23T12:00:00.000Z"),
        ("first", "2026-11-23T11:50:00.000Z"),
        ("between", "2026-11-23T11:59:59.000Z"),
        ("in the same second", "2026-11-23T12:00:00.000Z"),
    ] {
        assert!(!tickets.push(&ticket.replace(' ', "-"), created_at, now).await);
        assert_eq!(tickets.newest().await, "second");
    }
    let at = tickets.store.ticket_created_at().await.unwrap().unwrap();
    assert_eq!(text(at), "2026-11-23T12:00:00.000Z");
}

#[tokio::test]
async fn the_order_outlives_the_tickets_and_those_inserted_by_hand() {
    let tickets = Scratch::new().await;
    let now = "2026-11-23T12:00:00.000Z";
    assert!(tickets.push("pushed", "2026-11-23T11:50:00.000Z", now).await);
    tickets
        .execute("DELETE FROM ticket; INSERT INTO ticket (component_verify_ticket) VALUES ('by-hand')")
        .await;
    assert!(!tickets.push("pushed", "2026-11-23T11:50:00.000Z", now).await);
    assert!(!tickets.push("older", "2026-11-23T11:40:00.000Z", now).await);
    assert_eq!(tickets.newest().await, "by-hand");
    assert!(tickets.push("newer", "2026-11-23T11:50:01.000Z", now).await);
    assert_eq!(tickets.newest().await, "newer");
}

#[tokio::test]
async fn a_create_time_that_cannot_be_shuts_nothing_out_and_replaces_nothing_fresh() {
    for absurd in ["9999-12-31T23:59:59.000Z", "2014-10-13T09:30:05.000Z"] {
        let tickets = Scratch::new().await;
        // Better than none.
        assert!(tickets.push("absurd", absurd, "2026-11-23T12:00:00.000Z").await);
        assert_eq!(tickets.store.ticket_created_at().await.unwrap(), None);
        let (at, good) = ("2026-11-23T12:00:01.000Z", "2026-11-23T12:00:00.000Z");
        assert!(tickets.push("good", good, at).await);
        assert!(!tickets.push("absurd", absurd, "2026-11-23T13:00:00.000Z").await);
        assert_eq!(tickets.newest().await, "good");
    }
}

#[tokio::test]
async fn with_a_clock_that_is_far_behind_a_ticket_is_still_kept_every_hour() {
    let tickets = Scratch::new().await;
    let mut ours = parse("2026-11-20T00:00:00.000Z").unwrap();
    let mut kept = Vec::new();
    for n in 0..30 {
        let created_at = text(ours + 48 * HOUR);
        let ticket = format!("ticket-{n}");
        if tickets.push(&ticket, &created_at, &text(ours)).await {
            kept.push(n);
        }
        ours += Duration::from_secs(600);
    }
    assert_eq!(kept, [0, 6, 12, 18, 24]);
    // As soon as the clock is right, each one is kept again.
    let right = text(ours + 48 * HOUR);
    assert!(tickets.push("right", &right, &right).await);
}

#[test]
fn a_few_minutes_ahead_and_hours_behind_are_no_wrong_clock() {
    let received_at = parse("2026-11-23T12:00:00.000Z").unwrap();
    let dated = |created_at: &str| {
        let pushed = PushedTicket {
            ticket: Ticket::parse("t").unwrap(),
            created_at: parse(created_at).unwrap(),
            received_at,
        };
        pushed.is_dated()
    };
    assert!(dated("2026-11-23T12:05:00.000Z"));
    assert!(!dated("2026-11-23T12:05:01.000Z"));
    assert!(dated("2026-11-23T00:00:00.000Z"));
    assert!(!dated("2026-11-22T23:59:59.000Z"));
}

#[tokio::test]
async fn of_tickets_that_come_together_the_newest_is_kept_in_whatever_order_they_come() {
    let tickets = Scratch::new().await;
    let now = "2026-11-23T12:00:00.000Z";
    let made = |minute: u32| format!("2026-11-23T11:{minute:02}:00.000Z");
    let pushes = TaskTracker::new();
    for minute in (0..60).map(|n| n * 7 % 60) {
        let pushed = PushedTicket {
            ticket: Ticket::parse(&format!("of-{minute}")).unwrap(),
            created_at: parse(&made(minute)).unwrap(),
            received_at: parse(now).unwrap(),
        };
        let store = tickets.store.clone();
        pushes.spawn(async move { store.receive_ticket(pushed).await.unwrap() });
    }
    pushes.close();
    pushes.wait().await;
    assert_eq!(tickets.newest().await, "of-59");
    let at = tickets.store.ticket_created_at().await.unwrap();
    assert_eq!(at, parse(&made(59)));
}

#[tokio::test]
async fn all_but_the_newest_are_pruned() {
    let tickets = Scratch::new().await;
    tickets
        .execute("INSERT INTO ticket (component_verify_ticket) VALUES ('a'), ('b'), ('c')")
        .await;
    assert_eq!(tickets.store.prune_tickets().await.unwrap(), 2);
    assert_eq!(
        tickets.rows("SELECT component_verify_ticket FROM ticket").await,
        ["c"]
    );
}
