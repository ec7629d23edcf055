//! Weixin's name stops to be known, in each of the ways in which that happens, and is known again.

use staticstored::simulator::Endpoint;

use super::Far;
use super::resolver::Says;
use crate::binary::told;

/// Requested in each round once the name is not known.
const ENVS: usize = 100;
/// Of each connection: whoever calls has to look the name up.
const CALLS: u32 = 1;

/// What the resolver says, and what is said of that.
const WAYS: [(Says, &str); 3] = [
    (Says::NoSuchName, "dns error: %: Name or service not known"),
    (
        Says::Failure,
        "dns error: %: Temporary failure in name resolution",
    ),
    (Says::Nothing, "operation timed out"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_starts_without_names_says_so_touches_no_row_and_goes_on_once_there_are() {
    for (says, said) in WAYS {
        let Some(mut far) = Far::new(CALLS).await else {
            return;
        };
        far.resolver.say(says);
        far.station.insert_many(3).await;
        far.station.start();
        let world = &far.station.world;
        let service =
            format!("SELECT state FROM service WHERE reason LIKE 'no connection to Weixin: %{said}'");
        world.wait_for(&service, &["blocked"]).await;
        assert!(far.resolver.asked() > 0);
        let output = told(far.station.command(&["status"]), "").await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("no token") && text.contains("reason: no connection to Weixin: "),
            "{text}"
        );
        let rows = "SELECT DISTINCT state, attempts, errmsg FROM status";
        assert_eq!(world.rows(rows).await, ["pending|0|NULL"]);
        assert_eq!(world.simulator.ledger().len(), 0);

        far.resolver.say(Says::Address);
        far.all_online(3).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_whose_name_is_not_known_were_not_sent_and_are_made_once_it_is() {
    let Some(mut far) = Far::new(CALLS).await else {
        return;
    };
    far.station.start();
    far.station.world.insert("before").await;
    far.station.world.wait_for_state("before", "online").await;
    for (round, (says, said)) in WAYS.into_iter().enumerate() {
        let world = &far.station.world;
        let first = round * ENVS;
        far.resolver.say(says);
        far.station.insert_numbered(first + 1..=first + ENVS).await;
        let service = format!(
            "SELECT state FROM service WHERE reason LIKE '%; the last one: no connection to Weixin: %{said}'"
        );
        world.wait_for(&service, &["running"]).await;
        let row = format!(
            "SELECT count(*) > 0 FROM status WHERE errcode IS NULL AND remedy IS NULL AND errmsg LIKE 'no connection to Weixin: %{said}'"
        );
        world.wait_for(&row, &["1"]).await;
        far.resolver.say(Says::Address);
        world
            .wait_for("SELECT state, reason FROM service", &["running|NULL"])
            .await;
    }
    let all = 1 + WAYS.len() * ENVS;
    far.all_online(all).await;
    let world = &far.station.world;
    // Nothing of theirs was ever on its way, so there is nothing to look for.
    assert_eq!(world.simulator.calls(Endpoint::Create), all as u64);
    let looked = "SELECT count(*) FROM attempt a WHERE call = 'create' AND outcome = 'retry' AND 'create' <> \
         (SELECT call FROM attempt b WHERE b.env = a.env AND b.id > a.id ORDER BY b.id LIMIT 1)";
    assert_eq!(world.row(looked).await, "0");
}
