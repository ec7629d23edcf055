//! Benchmarks, tests and the numbers that no module shows are what the documents say.

use std::collections::BTreeSet;

use super::{ARCHITECTURE, OPERATIONS, PERFORMANCE};

/// The names that stand in a text right after this.
fn names_after<'a>(text: &'a str, before: &str) -> BTreeSet<&'a str> {
    let end = |c: char| !(c.is_ascii_lowercase() || c == '_');
    let rest = text.split(before).skip(1);
    rest.filter_map(|rest| rest.split(end).next()).collect()
}

#[test]
fn the_benchmarks_are_those_of_the_manifest_and_do_by_default_what_is_said() {
    let manifest = include_str!("../../../Cargo.toml");
    let shown = names_after(PERFORMANCE, "cargo bench --bench ");
    assert_eq!(shown, names_after(manifest, "[[bench]]\nname = \""));
    let drain = include_str!("../../../benches/drain.rs");
    let latency = include_str!("../../../benches/latency.rs");
    let million = include_str!("../../../benches/million.rs");
    let share = include_str!("../../../benches/share.rs");
    let push = include_str!("../../../benches/push.rs");
    let soak = include_str!("../../../benches/soak.rs");
    let feeder = include_str!("../../../benches/rig/feeder.rs");
    for (code, holds, said) in [
        (
            drain,
            "(number(0, 20_000), number(1, 3))",
            "| 20,000 calls by the bare loop",
        ),
        (
            push,
            "(number(0, 20_000), number(1, 3), number(2, 40_000))",
            "| 20,000 genuine pushes, sealed beforehand, over 64 connections",
        ),
        (
            push,
            "RATES: [u64; 2] = [500, 2_000];",
            "beside 500 pushes a second",
        ),
        (latency, "(number(0, 300), ", "| 300 INSERTs from"),
        (latency, "from_secs(number(1, 20))", "20 seconds of nothing"),
        (latency, "= 20..=60;", "20 to 60 ms apart"),
        (
            million,
            "[number(0, 1_000), number(1, 1_000_000)]",
            "| 1,000, then 1,000,000 rows",
        ),
        (million, "CLAIMS: usize = 50;", "50 claims on each"),
        (
            share,
            "(number(0, 5_000), number(1, 3))",
            "| 5,000 GETs of the token",
        ),
        (share, "CLIENTS: u64 = 16;", "16 clients at once"),
        (
            soak,
            "(number(0, 1_000_000) / FEEDERS * FEEDERS, number(1, 50))",
            "| 1,000,000 environments by the real program",
        ),
        (soak, "FEEDERS: u64 = 4;", "while 4 feeders insert"),
        (soak, "SHARE: f64 = 0.005;", "three calls in a hundred failing"),
    ] {
        assert!(
            code.contains(holds) && PERFORMANCE.contains(said),
            "{holds}: {said}"
        );
        let usage = code
            .split("`cargo bench ")
            .nth(1)
            .and_then(|rest| rest.split('`').next());
        assert!(PERFORMANCE.contains(usage.unwrap()), "{usage:?}");
    }
    let rig_drain = include_str!("../../../benches/rig/drain.rs");
    assert!(rig_drain.contains("IN_FLIGHT: u64 = 64;") && PERFORMANCE.contains("64 in flight, three times"));
    let pusher = include_str!("../../../benches/rig/pusher.rs");
    assert!(pusher.contains("CONNECTIONS: usize = 64;"));
    assert!(
        feeder.contains("PATIENCE: Duration = Duration::from_secs(1);")
            && feeder.contains("BATCH: u64 = 40;")
    );
}

#[test]
fn every_module_of_the_tests_is_in_the_list() {
    let modules = names_after(include_str!("../main.rs"), "\nmod ");
    assert!(modules.len() > 5, "{modules:?}");
    for module in modules {
        assert!(ARCHITECTURE.contains(&format!("`{module}`")), "{module}");
    }
}

#[test]
fn the_numbers_that_a_module_keeps_to_itself_are_those_that_are_told() {
    let flow = include_str!("../../../src/provisioner/lane/flow.rs");
    let lane = include_str!("../../../src/provisioner/lane.rs");
    let wake = include_str!("../../../src/wake.rs");
    let writer = include_str!("../../../src/store/writer.rs");
    let rest = include_str!("../../../src/store/writer/rest.rs");
    let (push, renewal, guest) = (
        include_str!("../../../src/token/push.rs"),
        include_str!("../../../src/token/renewal.rs"),
        include_str!("../../../src/token/guest.rs"),
    );
    let tickets = include_str!("../../../src/store/tickets.rs");
    let reception = include_str!("../../../src/reception.rs");
    let watchdog = include_str!("../../../src/daemon/watchdog.rs");
    let unit = include_str!("../../../deploy/staticstored.service");
    let store = include_str!("../../../src/store.rs");
    let clock = include_str!("../../../src/clock.rs");
    for (code, holds, text, said) in [
        (
            push,
            "SPACING: Duration = Duration::from_secs(600);",
            ARCHITECTURE,
            "at most once\n  in 600 s",
        ),
        (
            push,
            "OLD: Duration = Duration::from_secs(3600);",
            ARCHITECTURE,
            "over 3600 s old",
        ),
        (
            renewal,
            "SHARE_OF_WHAT_IS_LEFT: u32 = 4;",
            ARCHITECTURE,
            "after a quarter\n  of what is left",
        ),
        (
            guest,
            "max: Duration::from_secs(60),",
            ARCHITECTURE,
            "again after 1 s to 60 s",
        ),
        (
            flow,
            "AHEAD: usize = 16;",
            ARCHITECTURE,
            "up to sixteen times `api.max_in_flight`",
        ),
        (
            flow,
            "AHEAD: usize = 16;",
            OPERATIONS,
            "\nsixteen times `api.max_in_flight`",
        ),
        (
            lane,
            "MAKE_READY_EVERY: Duration = Duration::from_millis(100);",
            ARCHITECTURE,
            "at most every 100 ms",
        ),
        (
            wake,
            "SOON: u32 = 16;",
            ARCHITECTURE,
            "sixteen times in short order",
        ),
        (wake, "LATER: u32 = 8;", ARCHITECTURE, "then eight times"),
        (
            wake,
            "BUSY_WITHIN: Duration = Duration::from_millis(160);",
            ARCHITECTURE,
            "sixteen commits within 160 ms",
        ),
        (
            wake,
            "REST: Duration = Duration::from_millis(50);",
            ARCHITECTURE,
            "\nnobody listens for 50 ms",
        ),
        (
            tickets,
            "AHEAD: Duration = Duration::from_secs(300);",
            ARCHITECTURE,
            "over five minutes ahead of our clock",
        ),
        (
            tickets,
            "LIFETIME: Duration = Duration::from_secs(12 * 3600);",
            ARCHITECTURE,
            "over twelve hours behind it",
        ),
        (
            tickets,
            "QUIET: Duration = Duration::from_secs(3600);",
            OPERATIONS,
            "taken at most once an hour",
        ),
        (
            reception,
            "head: Duration::from_secs(10),",
            OPERATIONS,
            "silent for 10 seconds",
        ),
        (
            writer,
            "LARGEST_GROUP: usize = 256;",
            ARCHITECTURE,
            "up to 256 orders",
        ),
        (
            rest,
            "SPACING: Duration = Duration::from_millis(5);",
            ARCHITECTURE,
            "at least 5 ms apart",
        ),
        (
            rest,
            "FULL_SPEED: usize = LARGEST_GROUP / 4;",
            ARCHITECTURE,
            "(groups of 64 orders and more)",
        ),
        (
            rest,
            "MOMENT: Duration = Duration::from_millis(120);\nconst MOMENTS_APART: Duration = Duration::from_millis(700);",
            ARCHITECTURE,
            "left alone for 120 ms in every 700",
        ),
        (
            rest,
            "FOR_NOBODY: (u32, Duration) = (1, Duration::from_millis(50));",
            ARCHITECTURE,
            "at most 50 ms",
        ),
        (
            watchdog,
            "HANGS_AFTER: u32 = 2;",
            ARCHITECTURE,
            "as long\nas no beat is older than half of it",
        ),
        (unit, "\nWatchdogSec=2min\n", OPERATIONS, "(`WatchdogSec=2min`)"),
        (
            watchdog,
            "\"a loop hangs; systemd is to start us anew\"",
            OPERATIONS,
            "`a loop hangs; systemd is to start us anew`",
        ),
        (
            store,
            "LARGEST_WAL: u64 = 16 * 1024 * 1024;",
            OPERATIONS,
            "the file is cut to 16 MiB",
        ),
        (
            clock,
            "SET_BACK: Duration = Duration::from_secs(2);",
            ARCHITECTURE,
            "where time went back by 2 s or more",
        ),
        (
            rest,
            "FOR_OTHERS: (u32, Duration) = (3, Duration::from_millis(150));",
            ARCHITECTURE,
            "three times as long (at most 150 ms) while\nother programs write",
        ),
    ] {
        assert!(code.contains(holds) && text.contains(said), "{holds}: {said}");
    }
}

#[test]
fn what_is_said_of_a_push_from_outside_is_what_the_documents_show() {
    let push = include_str!("../../../src/cli/push.rs");
    let verdict = include_str!("../../../src/cli/push/verdict.rs");
    let send = include_str!("../../../src/cli/push/send.rs");
    for (code, holds, said) in [
        (
            push,
            "INFO_TYPE: &str = \"staticstored_test\";",
            "its InfoType, `staticstored_test`",
        ),
        (push, "PORTS: [u16; 2] = [80, 443];", "the ports\n80 and 443 only"),
        (
            push,
            "(\"a genuine event\", ",
            "ok     a genuine event: success, after",
        ),
        (
            push,
            "(\"a wrong signature\", ",
            "ok     a wrong signature: refused, HTTP 403",
        ),
        (
            send,
            "PATIENCE: Duration = Duration::from_secs(5);",
            "| `no answer within 5 s` |",
        ),
        (
            verdict,
            "\"no answer within {patience} s",
            "| `no answer within 5 s` |",
        ),
        (verdict, "a redirect to {}", "| `a redirect to ...` |"),
        (verdict, "somebody else's page", "| `somebody else's page` |"),
        (
            verdict,
            "no TLS that can be trusted",
            "| `no TLS that can be trusted` |",
        ),
        (verdict, "success as well", "| `success as well` |"),
        (verdict, "404 if ", "| `HTTP 404` |"),
        (verdict, "502 | 504 =>", "| `HTTP 502`, `HTTP 504` |"),
    ] {
        assert!(
            code.contains(holds) && OPERATIONS.contains(said),
            "{holds}: {said}"
        );
    }
}
