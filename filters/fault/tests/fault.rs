//! What a user of the filter would notice.

use std::time::Duration;

use fault::Fault;
use serde_json::{Value, json};
use tamis_sdk::testing::{Configured, Exchange, Host, Outcome, configure};
use tamis_sdk::{Reply, StatusCode, Verdict};

fn one(mut rule: Value) -> Configured<Fault> {
    rule["name"] = json!("rule");
    configure(json!({ "rules": [rule] })).unwrap_or_else(|error| panic!("{error}"))
}

/// The fake's clock jumps where a filter sleeps.
fn delay(outcome: &Outcome) -> Option<&str> {
    outcome.note("fault")?.strip_prefix("rule: delay ")?.strip_suffix("ms")
}

#[test]
fn an_exchange_is_delayed_and_then_goes_on() {
    let filter = one(json!({ "delay": { "fixed": "250ms" } }));
    let outcome = Exchange::get("/").through(&filter);
    assert_eq!((outcome.verdict(), delay(&outcome)), (&Verdict::Next, Some("250")));
    assert_eq!(filter.counted("fault_injected_total", &["rule", "delay"]), 1.0);
}

#[test]
fn an_exchange_is_aborted() {
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    for (abort, verdict, note) in [
        (json!({ "status": 503 }), Reply::new(unavailable).text("a fault was injected\n").into(), "rule: abort 503"),
        (json!({ "status": 503, "message": "no" }), Reply::new(unavailable).text("no\n").into(), "rule: abort 503"),
        (json!({ "grpc-status": 14, "message": "no" }), Reply::grpc(14, "no").into(), "rule: abort grpc 14"),
        (json!({ "reset": true }), Verdict::Reset, "rule: abort reset"),
    ] {
        let outcome = Exchange::get("/").through(&one(json!({ "abort": abort })));
        assert_eq!((outcome.verdict(), outcome.note("fault")), (&verdict, Some(note)));
        assert!(outcome.upstream().is_none());
    }
}

#[test]
fn an_answer_is_slowed_down() {
    let filter = one(json!({ "response-rate": { "bytes-per-second": 1000 } }));
    let outcome = Exchange::get("/").through(&filter);
    assert_eq!((outcome.response_rate(), outcome.note("fault")), (Some(1000), Some("rule: rate 1000")));
}

#[test]
fn an_abort_can_come_late_and_each_has_its_share() {
    let filter = one(json!({ "delay": { "fixed": "1s", "percent": 50 }, "abort": { "status": 500, "percent": 50 } }));
    let mut found = [0; 4];
    for seed in 0..2000 {
        let outcome = Exchange::get("/").seed(seed).through(&filter);
        let note = outcome.note("fault").unwrap_or_default();
        assert_eq!(note.contains("abort"), outcome.upstream().is_none());
        found[usize::from(note.contains("delay")) * 2 + usize::from(note.contains("abort"))] += 1;
    }
    assert!(found.iter().all(|count| (420..580).contains(count)), "{found:?}");
}

#[test]
fn the_first_rule_that_matches_holds() {
    let filter = configure::<Fault>(json!({ "rules": [
        { "name": "users", "match": { "path-prefix": "/users" }, "abort": { "status": 501, "percent": 0 } },
        { "name": "rest", "abort": { "status": 502 } },
    ] }))
    .unwrap();
    assert_eq!(Exchange::get("/users/7").through(&filter).verdict(), &Verdict::Next);
    assert_eq!(Exchange::get("/").through(&filter).response().unwrap().status(), 502);
}

#[test]
fn a_rule_ends() {
    let filter = one(json!({ "until": "2026-12-01T08:00:00Z", "abort": { "status": 500 } }));
    let at = |seconds: u64| Exchange::get("/").now(Duration::from_secs(seconds)).through(&filter).upstream().is_some();
    assert!(!at(1_796_111_999));
    assert!(at(1_796_112_000));
}

#[test]
fn with_a_seed_the_same_requests_meet_the_same_faults() {
    let config = |seed: u64| {
        json!({ "seed": seed, "rules": [{
            "name": "rule", "delay": { "log-normal": { "median": "20ms", "sigma": 1.0 }, "percent": 50 },
        }] })
    };
    let run = |seed: u64, chance: u64| -> Vec<Option<String>> {
        let filter = configure::<Fault>(config(seed)).unwrap();
        let one = |id: u64| Exchange::get("/").id(&format!("id-{id}")).seed(chance).through(&filter);
        (0..300).map(|id| delay(&one(id)).map(str::to_owned)).collect()
    };
    let first = run(42, 1);
    assert_eq!(first, run(42, 2), "chance has no part in it");
    assert_ne!(first, run(43, 1));
    assert!((100..200).contains(&first.iter().flatten().count()));
    // What was drawn once is drawn for ever: others rely on it.
    assert_eq!(first.iter().position(Option::is_some), run(42, 7).iter().position(Option::is_some));
}

#[test]
fn who_has_a_key_meets_the_same_faults() {
    let filter = one(json!({ "key": "header:x-user", "abort": { "status": 500, "percent": 50 } }));
    let hit = |user: u64, seed: u64| {
        let exchange = Exchange::get("/").header("x-user", user.to_string()).seed(seed);
        exchange.through(&filter).upstream().is_none()
    };
    let hits = (0..400).filter(|user| {
        assert_eq!(hit(*user, 1), hit(*user, 2));
        hit(*user, 1)
    });
    assert!((140..260).contains(&hits.count()));
}

#[test]
fn so_many_are_delayed_at_once_and_no_more() {
    let config = json!({
        "delayed-max": 0, "store": "faults",
        "rules": [{ "name": "rule", "delay": { "fixed": "1s" }, "abort": { "status": 500 } }],
    });
    let filter = Host::new().store("faults").configure::<Fault>(config.clone()).unwrap();
    let outcome = Exchange::get("/").through(&filter);
    assert_eq!(outcome.note("fault"), Some("rule: abort 500"), "only the delay is left out");
    assert_eq!(filter.counted("fault_capped_total", &["rule"]), 1.0);

    let mut more = config;
    more["delayed-max"] = json!(1);
    let filter = Host::new().store("faults").configure::<Fault>(more.clone()).unwrap();
    for _ in 0..2 {
        let outcome = Exchange::get("/").through(&filter);
        assert_eq!(outcome.note("fault"), Some("rule: delay 1000ms, abort 500"), "the first one has ended");
    }
    let without = Host::new().configure::<Fault>(more).unwrap();
    assert_eq!(Exchange::get("/").through(&without).note("fault"), Some("rule: abort 500"), "nobody counts, so nobody waits");
}

fn asking() -> Configured<Fault> {
    let asked_by = json!({ "source": "10.0.0.0/8", "identity": "*.test.example", "delay-max": "2s" });
    configure(json!({ "asked-by": asked_by })).unwrap()
}

fn asked(name: &str, value: &str) -> Exchange {
    Exchange::get("/").source("10.1.2.3").header(&format!("x-tamis-fault-{name}"), value)
}

#[test]
fn who_may_ask_gets_what_it_asks_for() {
    for (name, value, note) in [
        ("delay", "150", "by-header: delay 150ms"),
        ("delay", "9000", "by-header: delay 2000ms"),
        ("abort", "503", "by-header: abort 503"),
        ("abort", "grpc 14", "by-header: abort grpc 14"),
        ("abort", "reset", "by-header: abort reset"),
        ("rate", "1000", "by-header: rate 1000"),
    ] {
        assert_eq!(asked(name, value).through(&asking()).note("fault"), Some(note), "{name}: {value}");
    }
    let half = (0..400).filter(|seed| {
        let exchange = asked("abort", "500").header("x-tamis-fault-percent", "50").seed(*seed);
        exchange.through(&asking()).upstream().is_none()
    });
    assert!((140..260).contains(&half.count()));
    let known = asked("abort", "500").source("192.0.2.1").client_identity("ci.test.example");
    assert!(known.through(&asking()).upstream().is_none());
}

#[test]
fn who_may_not_ask_is_not_heard_and_the_fields_go_no_further() {
    let outcome = asked("abort", "503").header("x-tamis-fault-percent", "100").source("192.0.2.1").through(&asking());
    let sent = outcome.upstream().unwrap();
    assert_eq!((sent.header("x-tamis-fault-abort"), sent.header("x-tamis-fault-percent")), (None, None));
    let rules = configure::<Fault>(json!({})).unwrap();
    assert_eq!(asked("abort", "503").through(&rules).verdict(), &Verdict::Next, "without `asked-by` nobody may");
}

#[test]
fn what_cannot_be_understood_is_told() {
    for (name, value) in [
        ("delay", "1s"),
        ("delay", "-1"),
        ("abort", "teapot"),
        ("abort", "99"),
        ("abort", "grpc 17"),
        ("abort", "grpc"),
        ("rate", "0"),
    ] {
        let outcome = asked(name, value).through(&asking());
        let response = outcome.response().unwrap();
        assert_eq!(response.status(), 400, "{name}: {value}");
        assert!(response.text().contains(&format!("x-tamis-fault-{name}: expected ")), "{}", response.text());
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (config, said) in [
        (json!({ "rules": [{ "name": "a" }] }), "rules[0]: expected some of `delay`, `abort` and `response-rate`, found none"),
        (json!({ "rules": [{ "name": "a", "delay": {} }] }), "rules[0].delay: expected one of `fixed`"),
        (json!({ "rules": [{ "name": "a", "abort": {} }] }), "rules[0].abort: expected one of `status`"),
        (
            json!({ "rules": [{ "name": "a", "abort": { "status": 500, "reset": true } }] }),
            "rules[0].abort: expected one of `status`, `grpc-status` and `reset = true`, found several",
        ),
        (json!({ "rules": [{ "name": "a", "abort": { "status": 99 } }] }), "rules[0].abort.status: expected a status from 200"),
        (json!({ "rules": [{ "name": "a", "until": "soon", "abort": {} }] }), "rules[0].until: expected a moment such as"),
        (json!({ "delayed-max": 1 }), "delayed-max: expected a `store` that counts, found none"),
        (json!({ "store": "s" }), "store: expected `delayed-max` beside it, found none"),
        (json!({ "asked-by": {} }), "asked-by: expected some of `source`, `identity` and `trusted = true`, found none"),
        (json!({ "sed": 1 }), "sed: unknown key `sed`; the nearest is `seed`"),
    ] {
        let error = configure::<Fault>(config).err().unwrap().to_string();
        assert!(error.starts_with(said), "{error}\n{said}");
    }
}
