//! What a user of the filter would notice.

use std::time::Duration;

use quota::Quota;
use serde_json::{Value, json};
use tamis_sdk::testing::{Configured, Exchange, Host};

/// 2026-11-22T12:00:00Z.
const NOON: Duration = Duration::from_secs(1_795_348_800);

fn host() -> Host {
    Host::new().store("quota").now(NOON)
}

fn filter(rules: Value) -> Configured<Quota> {
    host().configure(json!({ "rules": rules })).unwrap()
}

fn refused(rules: Value) -> String {
    host().configure::<Quota>(json!({ "rules": rules })).expect_err("it is refused").to_string()
}

fn status(exchange: &Exchange, filter: &Configured<Quota>) -> u16 {
    exchange.through(filter).response().unwrap().status().as_u16()
}

fn field(exchange: &Exchange, filter: &Configured<Quota>, name: &str) -> Option<String> {
    let outcome = exchange.through(filter);
    outcome.response().unwrap().header(name).map(|value| value.to_str().unwrap().to_owned())
}

#[test]
fn a_rate_is_for_each_key() {
    let filter = filter(json!([{ "name": "clients", "key": "source", "limit": "2/s" }]));
    let from = |address: &str| Exchange::get("/").source(address);
    for (address, expected) in [
        ("203.0.113.7", 200),
        ("203.0.113.7", 200),
        ("203.0.113.7", 429),
        ("203.0.113.8", 200),
        ("2001:db8::1", 200),
        ("2001:db8::2", 200),
        ("2001:db8:0:0:ffff::3", 429),
        ("2001:db8:0:1::1", 200),
    ] {
        assert_eq!(status(&from(address), &filter), expected, "{address}");
    }
    filter.advance(Duration::from_millis(500));
    assert_eq!(status(&from("203.0.113.7"), &filter), 200);
    assert_eq!(filter.counted("quota_decisions_total", &["clients", "refused"]), 2.0);
    assert_eq!(filter.counted("quota_decisions_total", &["clients", "allowed"]), 7.0);
}

#[test]
fn who_has_no_key_is_nobody_of_the_rule() {
    let filter =
        filter(json!([{ "key": ["header:x-tenant", "path.id"], "match": { "path-template": "/u/{id}" }, "limit": "1/h" }]));
    let ask = |path: &str, tenant: &str| Exchange::get(path).header("x-tenant", tenant);
    assert_eq!(status(&ask("/u/1", "a"), &filter), 200);
    assert_eq!(status(&ask("/u/1", "a"), &filter), 429);
    assert_eq!(status(&ask("/u/2", "a"), &filter), 200);
    assert_eq!(status(&ask("/u/1", "b"), &filter), 200);
    for _ in 0..3 {
        assert_eq!(status(&ask("/other", "a"), &filter), 200);
        assert_eq!(status(&Exchange::get("/u/1"), &filter), 200);
    }
}

#[test]
fn a_refusal_tells_when_and_how_much() {
    let filter = filter(json!([
        { "name": "burst", "limit": ["10/s", "3/d"], "burst": 5 },
        { "name": "users", "key": "source", "limit": "100/month" },
    ]));
    let get = Exchange::get("/");
    let first = get.through(&filter);
    let answer = first.response().unwrap();
    assert_eq!(
        answer.header("ratelimit-policy").unwrap(),
        "\"burst.s\";q=10;w=1, \"burst.d\";q=3;w=86400, \"users\";q=100;w=2592000"
    );
    assert_eq!(answer.header("ratelimit").unwrap(), "\"burst.s\";r=4;t=1, \"burst.d\";r=2;t=43200, \"users\";r=99;t=734400");
    assert_eq!(first.note("quota.decision"), Some("allowed"));
    (0..2).for_each(|_| assert_eq!(status(&get, &filter), 200));
    let refused = get.through(&filter);
    let answer = refused.response().unwrap();
    assert_eq!((answer.status().as_u16(), answer.header("retry-after").unwrap().to_str().unwrap()), (429, "43200"));
    assert!(answer.header("ratelimit").unwrap().to_str().unwrap().contains("\"burst.d\";r=0;t=43200"));
    assert_eq!((refused.note("quota.decision"), refused.note("quota.rule")), (Some("refused"), Some("burst")));
    assert!(refused.upstream().is_none());
    assert!(field(&get, &filter, "ratelimit").unwrap().contains("\"users\";r=97"), "all or nothing: a refusal takes nothing");
}

#[test]
fn a_burst_is_of_the_shortest_limit() {
    let filter = filter(json!([{ "limit": ["1000/h", "10/s"], "burst": 3 }]));
    let get = Exchange::get("/");
    for expected in [200, 200, 200, 429] {
        assert_eq!(status(&get, &filter), expected);
    }
    filter.advance(Duration::from_millis(300));
    for expected in [200, 200, 200, 429] {
        assert_eq!(status(&get, &filter), expected, "the hour has saved up a thousand");
    }
}

#[test]
fn a_month_is_one_of_the_calendar() {
    let filter = filter(json!([{ "limit": "1/month" }]));
    let get = Exchange::get("/");
    assert_eq!(status(&get, &filter), 200);
    assert_eq!(field(&get, &filter, "retry-after").as_deref(), Some("734400"), "eight days and a half");
    filter.advance(Duration::from_secs(734_399));
    assert_eq!(status(&get, &filter), 429);
    filter.advance(Duration::from_secs(1));
    assert_eq!(status(&get, &filter), 200, "it is December");
    assert_eq!(status(&get, &filter), 429);
}

#[test]
fn it_costs_what_method_and_header_say() {
    let cost = json!({ "default": 2, "methods": { "POST": 5 }, "header": "x-cost", "max": 6 });
    let filter = filter(json!([{ "limit": "1000/h", "cost": cost }]));
    let mut left = 1000;
    for (exchange, cost) in [
        (Exchange::get("/"), 2),
        (Exchange::post("/"), 5),
        (Exchange::post("/").header("x-cost", "3"), 3),
        (Exchange::get("/").header("x-cost", "0"), 0),
        (Exchange::get("/").header("x-cost", "7000"), 6),
        (Exchange::get("/").header("x-cost", "-1"), 2),
        (Exchange::post("/").header("x-cost", "free"), 5),
    ] {
        left -= cost;
        let told = field(&exchange, &filter, "ratelimit").unwrap();
        assert!(told.starts_with(&format!("\"rule-1\";r={left};")), "{told}, expected {left}");
    }
}

#[test]
fn what_can_never_be_has_no_time_to_come_back() {
    let filter = filter(json!([{ "limit": "3/d", "cost": 4 }]));
    let outcome = Exchange::get("/").through(&filter);
    assert_eq!((outcome.response().unwrap().status().as_u16(), outcome.response().unwrap().header("retry-after")), (429, None));
}

#[test]
fn grpc_gets_its_status() {
    let filter = filter(json!([{ "limit": "1/h" }]));
    let call = Exchange::post("/pkg.Service/Method").header("content-type", "application/grpc+proto");
    call.through(&filter);
    let refused = call.through(&filter);
    let answer = refused.response().unwrap();
    let text = |name: &str| answer.header(name).unwrap().to_str().unwrap();
    assert_eq!(text("grpc-status"), "8");
    assert!(text("grpc-message").contains("retry after 3600 s"), "{}", text("grpc-message"));
}

#[test]
fn a_rule_on_trial_refuses_nobody() {
    let filter = filter(json!([
        { "name": "new", "limit": "1/h", "dry-run": true },
        { "name": "old", "limit": "3/h" },
    ]));
    let get = Exchange::get("/");
    assert_eq!(get.through(&filter).note("quota.dry-run"), None);
    for _ in 0..2 {
        let outcome = get.through(&filter);
        assert_eq!((outcome.response().unwrap().status().as_u16(), outcome.note("quota.dry-run")), (200, Some("new")));
        assert!(!outcome.response().unwrap().header("ratelimit").unwrap().to_str().unwrap().contains("new"));
    }
    assert_eq!(status(&get, &filter), 429);
    assert_eq!(filter.counted("quota_decisions_total", &["new", "dry-run-refused"]), 3.0);
    assert_eq!(filter.counted("quota_decisions_total", &["old", "refused"]), 1.0);
}

#[test]
fn without_its_store_it_does_as_it_is_told() {
    let get = Exchange::get("/");
    let call = Exchange::post("/").header("content-type", "application/grpc");
    for (word, expected, grpc) in [("open", 200, None), ("closed", 503, Some("14"))] {
        let config = json!({ "on-store-failure": word, "rules": [{ "name": "all", "limit": "1/h" }] });
        let filter = Host::new().unavailable_store("quota").configure::<Quota>(config).unwrap();
        let outcome = get.through(&filter);
        assert_eq!((outcome.response().unwrap().status().as_u16(), outcome.note("quota.decision")), (expected, Some("failed")));
        assert_eq!(outcome.response().unwrap().header("ratelimit"), None);
        let answered = call.through(&filter);
        assert_eq!(answered.response().unwrap().header("grpc-status").map(|status| status.to_str().unwrap()), grpc);
        assert_eq!(filter.counted("quota_decisions_total", &["all", "failed"]), 2.0);
        assert!(outcome.logs()[0].message.contains("no quota"));
    }
}

#[test]
fn at_once_is_told_without_a_window() {
    let filter = filter(json!([{ "name": "slots", "concurrency": 5 }]));
    let outcome = Exchange::get("/").through(&filter);
    let answer = outcome.response().unwrap();
    assert_eq!(answer.header("ratelimit-policy").unwrap(), "\"slots\";q=5;qu=\"concurrent-requests\"");
    assert_eq!(answer.header("ratelimit").unwrap(), "\"slots\";r=4");
    (0..20).for_each(|_| assert_eq!(status(&Exchange::get("/"), &filter), 200, "it comes back"));
}

#[test]
fn its_answer_can_be_another() {
    let config = json!({ "status": 503, "body": "slow down", "fields": false, "rules": [{ "limit": "1/h" }] });
    let filter = host().configure::<Quota>(config).unwrap();
    let get = Exchange::get("/");
    assert_eq!(field(&get, &filter, "ratelimit"), None);
    let outcome = get.through(&filter);
    let answer = outcome.response().unwrap();
    assert_eq!((answer.status().as_u16(), answer.body(), answer.header("ratelimit")), (503, "slow down".as_bytes(), None));
    assert_eq!(answer.header("retry-after").unwrap(), "3600");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    for (rules, place, word) in [
        (json!([{}]), "rules[0]", "`limit` or `concurrency`"),
        (json!([{ "limit": "100" }]), "rules[0].limit", "\"100/s\""),
        (json!([{ "limit": ["1/s", "1/w"] }]), "rules[0].limit[1]", "month"),
        (json!([{ "limit": "1/d", "burst": 5 }]), "rules[0].burst", "per s, m or h"),
        (json!([{ "limit": "1/s", "burst": 0 }]), "rules[0].burst", "at least 1"),
        (json!([{ "concurrency": 0 }]), "rules[0].concurrency", "at least 1"),
        (json!([{ "limit": "1/s", "name": "a b" }]), "rules[0].name", "letters"),
        (json!([{ "limit": "1/s", "name": "a" }, { "limit": "1/s", "name": "a" }]), "rules[1]", "second `a`"),
        (json!([{ "limit": "1/s", "key": "sauce" }]), "rules[0].key", "source"),
        (json!([{ "limit": "1/s", "cost": { "maximum": 1 } }]), "rules[0].cost", "max"),
        (json!([{ "limit": vec!["1/s"; 9] }]), "rules[0].limit", "at most 8"),
    ] {
        let said = refused(rules.clone());
        assert!(said.starts_with(place) && said.contains(word), "{rules}: {said}");
    }
}

/// As where a listener has a quota and a route appends a chain with another one.
#[test]
fn two_quotas_of_a_chain_are_both_told_and_each_once() {
    let filter = filter(json!([{ "name": "second", "limit": "5/s" }]));
    let after_the_first =
        || Exchange::get("/").note("quota.policy", "\"first\";q=1;w=1").note("quota.ratelimit", "\"first\";r=0;t=1");
    let told = |outcome: tamis_sdk::testing::Outcome| {
        let answer = outcome.response().unwrap();
        ["ratelimit-policy", "ratelimit"].map(|name| answer.headers().get_all(name).iter().cloned().collect::<Vec<_>>())
    };
    let [policy, limits] = told(after_the_first().through(&filter));
    assert_eq!(policy, ["\"first\";q=1;w=1, \"second\";q=5;w=1"]);
    assert_eq!(limits, ["\"first\";r=0;t=1, \"second\";r=4;t=1"]);
    // The one that comes first in the chain is the last to see the answer, which has all of it by then.
    let answered = after_the_first().answer_header("ratelimit", "\"first\";r=0;t=1, \"second\";r=3;t=1");
    assert_eq!(told(answered.through(&filter))[1].len(), 1);
}

#[test]
fn raw_connections_have_quotas_too() {
    let filter = filter(json!([
        { "name": "clients", "key": "source", "limit": "2/s", "cost": { "methods": { "GET": 9 } } },
        { "name": "servers", "key": "host", "limit": "1/h" },
        { "name": "paths", "key": "path", "limit": "1/h" },
        { "name": "posts", "match": { "method": "POST" }, "limit": "1/h" },
    ]));
    let from = |address: &str| Exchange::raw().source(address);
    for (connection, passed, rule) in [
        (from("203.0.113.7"), true, None),
        (from("203.0.113.7"), true, None),
        (from("203.0.113.7"), false, Some("clients")),
        (from("203.0.113.8").tls("db.example"), true, None),
        (from("203.0.113.8").tls("DB.example"), false, Some("servers")),
    ] {
        let outcome = connection.through(&filter);
        assert_eq!((outcome.is_whole(), outcome.note("quota.rule")), (passed, rule));
        assert_eq!(outcome.note("quota.decision"), Some(if passed { "allowed" } else { "refused" }));
    }
    assert_eq!(filter.counted("quota_decisions_total", &["clients", "refused"]), 1.0);
    assert_eq!(filter.counted("quota_decisions_total", &["paths", "allowed"]), 0.0, "a connection has no path");
}

#[test]
fn a_raw_connection_holds_what_it_takes_until_it_ends() {
    let filter = filter(json!([{ "name": "at-once", "key": "source", "concurrency": 1 }]));
    // The fake ends each before the next begins.
    assert!(Exchange::raw().through(&filter).is_whole());
    assert!(Exchange::raw().through(&filter).is_whole());
}

#[test]
fn without_a_store_raw_connections_do_as_requests() {
    for (behaviour, passed) in [("open", true), ("closed", false)] {
        let config = json!({ "store": "away", "on-store-failure": behaviour, "rules": [{ "limit": "1/s" }] });
        let filter = host().unavailable_store("away").configure::<Quota>(config).unwrap();
        let outcome = Exchange::raw().through(&filter);
        assert_eq!((outcome.is_whole(), outcome.note("quota.decision")), (passed, Some("failed")), "{behaviour}");
    }
}
