//! The receiver of Weixin's push, on a real socket over a real database: what is kept, what is answered, what is refused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection as _, SqliteConnection};
use staticstored::callback::Callback;
use staticstored::clock::{Clock, parse};
use staticstored::credential::{AesKey, CallbackToken};
use staticstored::pulse::Pulse;
use staticstored::reception::{self, LARGEST_PUSH, MOST_CONNECTIONS, Parts, Settings};
use staticstored::store::{self, Access, Store, StoreError};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::{connect, parts, post, request, to_the_end, told};
use crate::seal::{Push, Sender};
use crate::world::within;

const APPID: &str = "wx134c8103faa5a59e";
const TOKEN: &str = "callback-token";
const PATH: &str = "/weixin/callback";
const NOW: &str = "2026-11-23T12:00:00.000Z";
/// [`NOW`], as Weixin writes it.
const NOW_SECONDS: i64 = 1_795_435_200;

struct Door {
    directory: tempfile::TempDir,
    address: SocketAddr,
    settings: watch::Sender<Arc<Settings>>,
    clock: Clock,
    stop: CancellationToken,
    task: JoinHandle<Result<(), StoreError>>,
}

fn key(byte: u8) -> (AesKey, Vec<u8>) {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD_NO_PAD.encode([byte; 32]);
    (AesKey::parse(&text).unwrap(), vec![byte; 32])
}

fn weixin() -> Sender {
    Sender::new(APPID, TOKEN, &key(1).1)
}

impl Door {
    async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::open_in(directory).await
    }

    async fn open_in(directory: tempfile::TempDir) -> Self {
        let store = Store::open(
            &directory.path().join("queue.db"),
            &Pulse::default(),
            &TaskTracker::new(),
        )
        .await
        .unwrap();
        let clock = Clock::manual(parse(NOW).unwrap());
        let callback = Callback::new(
            APPID.to_owned(),
            CallbackToken::parse(TOKEN).unwrap(),
            key(1).0,
            Some(key(2).0),
        );
        let settings = watch::Sender::new(Arc::new(Settings::new(PATH.to_owned(), callback)));
        let parts = Parts {
            settings: settings.subscribe(),
            store,
            clock: clock.clone(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let task = tokio::spawn(reception::run(listener, parts, stop.clone()));
        Self {
            directory,
            address,
            settings,
            clock,
            stop,
            task,
        }
    }

    /// Stops it and opens another on the same database.
    async fn reopen(self) -> Self {
        self.stop.cancel();
        within(self.task).await.unwrap().unwrap();
        Self::open_in(self.directory).await
    }

    async fn connection(&self) -> SqliteConnection {
        store::connect(&self.directory.path().join("queue.db"), Access::Write)
            .await
            .unwrap()
    }

    async fn rows(&self, query: &'static str) -> Vec<String> {
        let mut connection = self.connection().await;
        let rows = sqlx::query_scalar(query)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        rows
    }

    /// The tickets, in their order.
    async fn tickets(&self) -> Vec<String> {
        self.rows("SELECT component_verify_ticket FROM ticket ORDER BY id")
            .await
    }

    /// All that a push may change.
    async fn state(&self) -> Vec<String> {
        self.rows(
            "SELECT 'ticket ' || id || component_verify_ticket || received_at FROM ticket
             UNION ALL SELECT 'service ' || json_array(state, ticket_created_at, ticket_received_at) FROM service
             UNION ALL SELECT 'rows ' || count(*) FROM (SELECT env FROM queue UNION ALL SELECT env FROM status)",
        )
        .await
    }

    async fn push(&self, push: &Push) -> (u16, String) {
        let answer = told(self.address, request(PATH, push)).await;
        let (status, body) = parts(&answer);
        (status, body.to_owned())
    }

    async fn accepted(&self, push: &Push) {
        assert_eq!(self.push(push).await, (200, "success".to_owned()));
    }
}

#[tokio::test]
async fn a_ticket_is_in_the_database_before_success_is_answered_in_plain_text() {
    let door = Door::open().await;
    for n in 0..20 {
        let ticket = format!("ticket@@@{n}");
        let answer = told(
            door.address,
            request(PATH, &weixin().ticket(&ticket, NOW_SECONDS + n)),
        )
        .await;
        assert!(answer.contains("content-type: text/plain"), "{answer}");
        assert_eq!(parts(&answer), (200, "success"));
        assert_eq!(door.tickets().await.last(), Some(&ticket));
    }
    assert_eq!(door.rows("SELECT DISTINCT received_at FROM ticket").await, [NOW]);
}

#[tokio::test]
async fn an_older_or_repeated_ticket_is_answered_success_and_changes_nothing_also_after_a_restart() {
    let mut door = Door::open().await;
    let (older, newer) = (
        weixin().ticket("ticket@@@older", NOW_SECONDS - 600),
        weixin().ticket("ticket@@@newer", NOW_SECONDS),
    );
    door.accepted(&older).await;
    door.accepted(&newer).await;
    let before = door.state().await;
    let between = weixin().ticket("ticket@@@between", NOW_SECONDS - 1);
    for _ in 0..2 {
        for push in [&older, &newer, &between] {
            door.accepted(push).await;
            assert_eq!(door.state().await, before);
        }
        door = door.reopen().await;
    }
}

#[tokio::test]
async fn of_many_tickets_at_once_in_any_order_the_newest_is_the_newest() {
    let door = Door::open().await;
    let mut pushes = Vec::new();
    for n in (0..60).map(|n| n * 37 % 60) {
        let push = weixin().ticket(&format!("ticket@@@{n}"), NOW_SECONDS + n);
        let (address, request) = (door.address, request(PATH, &push));
        pushes.push(tokio::spawn(async move { told(address, request).await }));
    }
    for push in pushes {
        let answer = within(push).await.unwrap();
        assert_eq!(parts(&answer), (200, "success"));
    }
    let tickets = door.tickets().await;
    assert_eq!(tickets.last().unwrap(), "ticket@@@59");
    let numbers: Vec<u32> = tickets
        .iter()
        .map(|ticket| ticket["ticket@@@".len()..].parse().unwrap())
        .collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[tokio::test]
async fn a_ticket_from_the_far_future_shuts_no_later_one_out() {
    let door = Door::open().await;
    let absurd = weixin().ticket("ticket@@@absurd", 253_402_300_799);
    let good = weixin().ticket("ticket@@@good", NOW_SECONDS);
    for push in [&absurd, &good, &absurd] {
        door.accepted(push).await;
    }
    assert_eq!(door.tickets().await, ["ticket@@@absurd", "ticket@@@good"]);
    door.clock.advance(Duration::from_secs(600));
    door.accepted(&weixin().ticket("ticket@@@next", NOW_SECONDS + 600))
        .await;
    assert_eq!(door.tickets().await.last().unwrap(), "ticket@@@next");
}

#[tokio::test]
async fn every_genuine_event_is_answered_success_and_stores_nothing() {
    let door = Door::open().await;
    let before = door.state().await;
    for info_type in [
        "authorized",
        "unauthorized",
        "never_heard_of",
        "<![CDATA[\u{4e2d}\u{6587}]]>",
    ] {
        door.accepted(&weixin().event(info_type)).await;
    }
    assert_eq!(door.state().await, before);
}

#[tokio::test]
async fn the_previous_key_opens_too() {
    let door = Door::open().await;
    let before = Sender {
        key: key(2).1,
        ..weixin()
    };
    door.accepted(&before.ticket("ticket@@@previous", NOW_SECONDS))
        .await;
    assert_eq!(door.tickets().await, ["ticket@@@previous"]);
}

#[tokio::test]
async fn what_is_no_genuine_push_is_refused_with_a_reason_and_changes_nothing() {
    let door = Door::open().await;
    door.accepted(&weixin().ticket("ticket@@@1", NOW_SECONDS)).await;
    let before = door.state().await;
    let canary = "ticket@@@canary";
    let sent = |sender: Sender| sender.ticket(canary, NOW_SECONDS + 1);
    let mut unsigned = sent(weixin());
    unsigned.query = String::new();
    let mut doctype = sent(weixin());
    doctype
        .body
        .insert_str(0, "<!DOCTYPE xml [<!ENTITY a \"canary\">]>");
    let plain = Push {
        query: weixin().query(""),
        body: weixin().ticket_message(canary, NOW_SECONDS + 1),
    };
    let (token, appid) = ("another-token".to_owned(), "wx2".to_owned());
    let cases = [
        (
            403,
            "the signature is not made",
            sent(Sender { token, ..weixin() }),
        ),
        (
            403,
            "not encrypted with an EncodingAESKey",
            sent(Sender {
                key: vec![9; 32],
                ..weixin()
            }),
        ),
        (
            403,
            "for another appid",
            sent(Sender {
                sealed_appid: appid,
                ..weixin()
            }),
        ),
        (400, "the query has not", unsigned),
        (400, "document type", doctype),
        (400, "not encrypted", plain),
        (
            400,
            "malformed",
            Push {
                body: "canary".to_owned(),
                ..sent(weixin())
            },
        ),
        (
            400,
            "malformed",
            Push {
                body: String::new(),
                ..sent(weixin())
            },
        ),
        (400, "malformed", weixin().push("canary")),
        (
            400,
            "no InfoType",
            weixin().push("<xml><Event>canary</Event></xml>"),
        ),
        (
            400,
            "no ticket",
            weixin().ticket("ticket@@@ canary", NOW_SECONDS + 1),
        ),
    ];
    for (status, reason, push) in cases {
        let (answered, body) = door.push(&push).await;
        assert_eq!(answered, status, "{reason}: {body}");
        assert!(body.contains(reason) && !body.contains("canary"), "{body}");
    }
    assert_eq!(door.state().await, before);
    // And nothing of it has spoilt what is good.
    door.accepted(&weixin().ticket("ticket@@@2", NOW_SECONDS + 1))
        .await;
}

#[tokio::test]
async fn another_method_another_path_and_too_large_a_body_have_statuses_of_their_own() {
    let door = Door::open().await;
    let push = weixin().ticket("ticket@@@1", NOW_SECONDS);
    let before = door.state().await;
    let get = format!(
        "GET {PATH}?{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        push.query
    );
    let answer = told(door.address, get).await;
    assert!(
        parts(&answer).0 == 405 && answer.contains("allow: POST"),
        "{answer}"
    );
    for path in [
        "/",
        "/weixin",
        "/weixin/callback/",
        "/weixin/callback/x",
        "//weixin/callback",
        "/WEIXIN/callback",
    ] {
        assert_eq!(
            parts(&told(door.address, request(path, &push)).await).0,
            404,
            "{path}"
        );
    }
    let padded = |length: usize| {
        let mut push = push.clone();
        push.body += &" ".repeat(length - push.body.len());
        push
    };
    assert_eq!(door.push(&padded(LARGEST_PUSH + 1)).await.0, 413);
    assert_eq!(door.state().await, before);
    door.accepted(&padded(LARGEST_PUSH)).await;
}

#[tokio::test]
async fn a_ticket_that_cannot_be_written_in_time_is_answered_503_and_kept_when_it_comes_again() {
    let door = Door::open().await;
    let push = weixin().ticket("ticket@@@1", NOW_SECONDS);
    let mut other = door.connection().await;
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    assert_eq!(door.push(&push).await.0, 503);
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    door.accepted(&push).await;
    assert_eq!(door.tickets().await, ["ticket@@@1"]);
}

#[tokio::test]
async fn silent_slow_and_hostile_connections_do_not_keep_a_push_away() {
    let door = Door::open().await;
    let mut others = Vec::new();
    for n in 0..MOST_CONNECTIONS - 1 {
        let mut stream = connect(door.address).await;
        let bytes = match n % 3 {
            0 => "",
            1 => "POST /weixin/callback HTTP/1.1\r\nx-slow: ",
            _ => "POST /weixin/callback HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n<xml>",
        };
        stream.write_all(bytes.as_bytes()).await.unwrap();
        others.push(stream);
    }
    for _ in 0..200 {
        assert_eq!(parts(&told(door.address, post(PATH, "<xml/>")).await).0, 400);
    }
    door.accepted(&weixin().ticket("ticket@@@1", NOW_SECONDS)).await;
    drop(others);
}

#[tokio::test]
async fn a_push_on_its_way_is_kept_and_answered_when_the_receiver_stops() {
    let door = Door::open().await;
    let request = request(PATH, &weixin().ticket("ticket@@@1", NOW_SECONDS));
    let (first, second) = request.split_at(request.len() - 50);
    let mut stream = connect(door.address).await;
    stream.write_all(first.as_bytes()).await.unwrap();
    // It has been read as far as it has come once a later connection is answered.
    assert_eq!(parts(&told(door.address, post("/", "")).await).0, 404);
    door.stop.cancel();
    stream.write_all(second.as_bytes()).await.unwrap();
    assert_eq!(parts(&to_the_end(&mut stream).await), (200, "success"));
    let tickets = door.tickets().await;
    within(door.task).await.unwrap().unwrap();
    assert_eq!(tickets, ["ticket@@@1"]);
}

#[tokio::test]
async fn other_settings_hold_for_the_next_push_also_on_a_connection_that_stays() {
    let door = Door::open().await;
    let mut stream = connect(door.address).await;
    let push = |path: &str| {
        let request = request(path, &weixin().event("authorized"));
        request.replace("connection: close\r\n", "")
    };
    let mut ask = async |path: &str, end: &str| {
        stream.write_all(push(path).as_bytes()).await.unwrap();
        let answer = crate::http::answer(&mut stream, end).await;
        parts(&answer).0
    };
    assert_eq!(ask(PATH, "success").await, 200);
    let callback = Callback::new(
        APPID.to_owned(),
        CallbackToken::parse(TOKEN).unwrap(),
        key(3).0,
        None,
    );
    door.settings
        .send_replace(Arc::new(Settings::new("/elsewhere".to_owned(), callback)));
    assert_eq!(ask("/elsewhere", "\n").await, 403, "the key is another one");
    assert_eq!(ask(PATH, "\r\n\r\n").await, 404, "and so is the path");
    door.stop.cancel();
    within(door.task).await.unwrap().unwrap();
}
