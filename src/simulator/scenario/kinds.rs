//! The table of kinds: at least one for each class of answer that staticstored tells apart.

use std::time::Duration;

use super::{Kind, Opening, Share, seconds};

/// Between two bytes of a slow body; the whole comes in a second or so.
const BETWEEN_BYTES: Duration = Duration::from_millis(20);

/// All kinds; the first is the one with nothing wrong.
#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    Kind::online("plain", "Nothing goes wrong.", |_, _| vec![]),

    // The store.
    Kind::online("slow-opening", "It takes eight seconds to come online.", |_, _| vec![])
        .opening(Opening::online_after(seconds(8))),
    Kind::online("already-online", "Its store is there before it is asked for.", |_, _| vec![])
        .course(&[(Duration::ZERO, Some("online"))]),
    Kind::online("offline", "Its store was closed and can be opened again.", |_, _| vec![])
        .course(&[(Duration::ZERO, Some("offline"))]),
    Kind::online("destroying", "Its store is being destroyed for three seconds, which the look after a cut shows.",
        |create, _| vec![create.once().cut()])
        .course(&[(Duration::ZERO, Some("destroying")), (seconds(3), Some("offline"))]),
    Kind::online("strange-status", "Its store has a status that nobody knows, then it is online.", |create, _| vec![create.once().cut()])
        .course(&[(Duration::ZERO, Some("weird")), (seconds(2), Some("online"))]),
    Kind::online("null-status", "Its store's status is null, then it is online.", |create, _| vec![create.once().cut()])
        .course(&[(Duration::ZERO, None), (seconds(2), Some("online"))]),
    Kind::failed("create-fail", "Weixin accepts it and then cannot open it.", |_, _| vec![])
        .opening(Opening::fails_after(seconds(2))),
    Kind::failed("destroy-fail", "Its store could not be destroyed, which the look after a cut shows.", |create, _| vec![create.once().cut()])
        .course(&[(Duration::ZERO, Some("destroy_fail"))]),

    // The connection.
    Kind::online("cut-before-effect", "The connection is cut before the create takes effect.", |create, _| vec![create.once().cut()]),
    Kind::online("cut-after-effect", "The create takes effect and the connection is cut.", |create, _| vec![create.once().cut().after_effect()]),
    Kind::online("cut-in-body", "The create takes effect and its answer breaks off.", |create, _| vec![create.once().cut_in_body().after_effect()]),
    Kind::online("late", "The create's answer takes two seconds.", |create, _| vec![create.once().delay(seconds(2))]),
    Kind::online("slow-body", "The create's answer comes byte by byte.", |create, _| vec![create.once().slow(BETWEEN_BYTES)]),
    Kind::online("http-500", "HTTP 500, twice.", |create, _| vec![create.times(2).http(500)]),
    Kind::online("http-502", "HTTP 502, after the create took effect.", |create, _| vec![create.once().http(502).after_effect()]),
    Kind::online("http-429", "HTTP 429.", |create, _| vec![create.once().http(429)]),
    Kind::online("no-json", "The create's answer is no JSON.", |create, _| vec![create.once().no_json()]),
    Kind::online("oversize", "The create's answer is longer than any answer may be.", |create, _| vec![create.once().oversize()]),
    Kind::online("endless", "The create takes effect and its answer does not end.", |create, _| vec![create.once().endless().after_effect()]),
    Kind::online("describe-cut", "The connection is cut while Weixin is asked for the state.", |_, describe| vec![describe.once().cut()]),
    Kind::online("describe-http-500", "HTTP 500 when Weixin is asked for the state.", |_, describe| vec![describe.once().http(500)]),
    Kind::online("describe-no-json", "The state is no JSON.", |_, describe| vec![describe.once().no_json()]),
    Kind::online("describe-null-fields", "The state has null in every field.", |_, describe| vec![describe.once().null_fields()]),
    Kind::online("describe-wrong-env", "The state is another env's.", |_, describe| vec![describe.once().wrong_env()]),
    Kind::online("describe-busy", "-1 when Weixin is asked for the state.", |_, describe| vec![describe.times(2).errcode(-1, "system error")]),

    // Codes that pass.
    Kind::online("busy", "-1, three times.", |create, _| vec![create.times(3).errcode(-1, "system error")]),
    Kind::online("busy-after-effect", "-1, though the create took effect.", |create, _| vec![create.once().errcode(-1, "system error").after_effect()]),
    Kind::online("system-error", "-1000.", |create, _| vec![create.once().errcode(-1000, "system error")]),
    Kind::online("minute-quota", "45011.", |create, _| vec![create.once().errcode(45011, "api minute-quota reach limit")]),
    Kind::online("concurrency", "9402202.", |create, _| vec![create.once().errcode(9402202, "concurrent limit")]),
    Kind::online("cloud-timeout", "-501002.", |create, _| vec![create.once().errcode(-501002, "cloud response timeout")]),
    Kind::online("cloud-requests", "-501003.", |create, _| vec![create.once().errcode(-501003, "request count exceeds the quota")]),
    Kind::online("cloud-concurrency", "-501004.", |create, _| vec![create.once().errcode(-501004, "concurrency exceeds the quota")]),
    Kind::online("backend-error", "-601001.", |create, _| vec![create.once().errcode(-601001, "backend error")]),
    Kind::online("network-error", "-601003.", |create, _| vec![create.once().errcode(-601003, "system network error")]),

    // Codes that do not.
    Kind::failed("bad-argument", "40097.", |create, _| vec![create.errcode(40097, "invalid args")]).errcode(40097),
    Kind::failed("missing-argument", "40101.", |create, _| vec![create.errcode(40101, "missing parameter")]).errcode(40101),
    Kind::failed("not-opened", "85088: cloud development is not opened.", |create, _| vec![create.errcode(85088, "no qbase privilege")]).errcode(85088),
    Kind::failed("env-abnormal", "-501005.", |create, _| vec![create.errcode(-501005, "env state abnormal")]).errcode(-501005),
    Kind::failed("bad-parameter", "-501007.", |create, _| vec![create.errcode(-501007, "invalid parameter")]).errcode(-501007),
    Kind::failed("no-resource", "-501009.", |create, _| vec![create.errcode(-501009, "resource not found")]).errcode(-501009),
    Kind::failed("resource-unavailable", "-501018.", |create, _| vec![create.errcode(-501018, "resource unavailable")]).errcode(-501018),
    Kind::failed("unknown-parameter", "-501020.", |create, _| vec![create.errcode(-501020, "unknown parameter")]).errcode(-501020),
    Kind::failed("not-supported", "-501021.", |create, _| vec![create.errcode(-501021, "operation not supported")]).errcode(-501021),

    // Codes that nobody knows.
    Kind::online("unknown-and-open", "A code that nobody knows, and the store is there.",
        |create, _| vec![create.once().errcode(89249, "task running").after_effect()]),
    Kind::failed("unknown-and-absent", "A code that nobody knows, again and again, and no store.",
        |create, _| vec![create.errcode(-601026, "unknown error")]).errcode(-601026),

    // What hits everybody.
    Kind::online("outage", "Weixin is busy for two seconds from this create on, for everybody.", |create, _| vec![create.once().busy(seconds(2))]).share(Share::One),
    Kind::online("token-lost", "Another program fetches a token just before this create.", |create, _| vec![create.once().token_lost()]).share(Share::One),
    Kind::online("ip-refused", "61004, once: it stops the line for a while.",
        |create, _| vec![create.once().errcode(61004, "access clientip is not registered requestIP: 127.0.0.1")]).share(Share::One),
    Kind::online("redirect", "A redirect, once.", |create, _| vec![create.once().redirect("http://127.0.0.1:9/elsewhere")]).share(Share::None),
    Kind::online("daily-quota", "45009, once.", |create, _| vec![create.once().errcode(45009, "reach max api daily quota limit")]).share(Share::None),
    Kind::online("not-authorised", "48001, once.", |create, _| vec![create.once().errcode(48001, "api unauthorized")]).share(Share::None),
    Kind::online("component-not-authorised", "61007, once.", |create, _| vec![create.once().errcode(61007, "api is unauthorized to component")]).share(Share::None),
    Kind::online("user-limited", "50002, once.", |create, _| vec![create.once().errcode(50002, "user limited")]).share(Share::None),
    Kind::online("token-missing", "41001, once.", |create, _| vec![create.once().errcode(41001, "access_token missing")]).share(Share::None),
    Kind::online("post-required", "43002, once.", |create, _| vec![create.once().errcode(43002, "require POST method")]).share(Share::None),
    Kind::online("empty-body", "44002, once.", |create, _| vec![create.once().errcode(44002, "empty post data")]).share(Share::None),
    Kind::online("data-format", "47001, once.", |create, _| vec![create.once().errcode(47001, "data format error")]).share(Share::None),
    Kind::online("token-not-latest", "40001, once.", |create, _| vec![create.once().errcode(40001, "invalid credential")]).share(Share::None),
    Kind::online("token-invalid", "40014, once.", |create, _| vec![create.once().errcode(40014, "invalid access_token")]).share(Share::None),
    Kind::online("token-expired", "42001, once.", |create, _| vec![create.once().errcode(42001, "access_token expired")]).share(Share::None),
    Kind::online("component-token-expired", "42006, once.", |create, _| vec![create.once().errcode(42006, "component_access_token expired")]).share(Share::None),
    Kind::online("timeout", "The create takes effect and its answer takes twenty seconds.", |create, _| vec![create.once().delay(seconds(20))]).share(Share::None),
];
