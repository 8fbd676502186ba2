//! What a user of the filter would notice.

use std::time::Duration;

use serde_json::{Value, json};
use shadow::Shadow;
use tamis_sdk::testing::{Configured, Exchange, Host, configure};
use tamis_sdk::{Hook, Mirrored, StatusCode};

fn shadow(config: Value) -> Configured<Shadow> {
    Host::new().store("pairs").configure(config).unwrap_or_else(|error| panic!("{error}"))
}

fn one(rule: Value) -> Configured<Shadow> {
    shadow(json!({ "rules": [rule] }))
}

fn get() -> Exchange {
    Exchange::get("/users/7?token=secret").authority("a.example:8080").cluster("primary").clusters(["v2", "v3"])
}

/// FNV-1a of a text.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn answered(status: u16, body: &str) -> Mirrored {
    Mirrored { status: StatusCode::from_u16(status).ok(), body_hash: hash(body), duration: Duration::from_millis(3) }
}

#[test]
fn a_copy_is_marked_and_has_a_host_of_its_own() {
    let filter = one(json!({ "cluster": "v2", "fields": { "x-from": "{source}" }, "body-limit": "1KiB" }));
    let outcome = get().source("203.0.113.7").through(&filter);
    let copies = outcome.mirrors();
    assert_eq!((copies.len(), copies[0].cluster, copies[0].body_limit), (1, "v2", 1024));
    let field = |name: &str| copies[0].headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!((field("x-shadow"), field("host"), field("x-from")), (Some("v2"), Some("a.example-shadow"), Some("203.0.113.7")));
    let sent = outcome.upstream().unwrap();
    assert_eq!((sent.header("x-shadow"), sent.authority()), (None, "a.example:8080"), "the request itself stays as it was");
    assert_eq!(outcome.note("shadow"), Some("v2=0"));
}

#[test]
fn mark_and_host_are_as_the_rule_says() {
    let rule = json!({ "name": "staging", "cluster": "v2", "mark": "x-copy-of", "host": "{authority}" });
    let outcome = get().through(&one(rule));
    let headers = outcome.mirrors()[0].headers.clone();
    assert_eq!((&headers["x-copy-of"], &headers["host"]), (&"staging".parse().unwrap(), &"a.example:8080".parse().unwrap()));
    assert!(!headers.contains_key("x-shadow"));
}

#[test]
fn an_address_in_brackets_stays_the_host() {
    let outcome = get().authority("[::1]:80").through(&one(json!({ "cluster": "v2" })));
    assert_eq!(outcome.mirrors()[0].headers.get("host"), None);
}

#[test]
fn each_rule_that_matches_makes_its_copy() {
    let filter = shadow(json!({ "rules": [
        { "cluster": "v2", "match": { "path-prefix": "/users" } },
        { "cluster": "v3", "match": { "method": "POST" } },
        { "name": "again", "cluster": "v3" },
    ] }));
    let clusters = |exchange: Exchange| -> Vec<String> {
        exchange.through(&filter).mirrors().iter().map(|copy| copy.cluster.to_owned()).collect()
    };
    assert_eq!(clusters(get()), ["v2", "v3"]);
    let post = Exchange::post("/x").clusters(["v2", "v3"]);
    assert_eq!(clusters(post), ["v3", "v3"]);
    assert_eq!(get().through(&filter).note("shadow"), Some("v2=0 again=1"));
}

#[test]
fn a_share_is_drawn() {
    let filter = one(json!({ "cluster": "v2", "percent": 25 }));
    let copies: usize = (0..2000).map(|seed| get().seed(seed).through(&filter).mirrors().len()).sum();
    assert!((420..580).contains(&copies), "{copies}");
    assert!(get().through(&one(json!({ "cluster": "v2", "percent": 0 }))).mirrors().is_empty());
}

#[test]
fn who_has_a_key_is_copied_always_or_never() {
    let filter = one(json!({ "cluster": "v2", "percent": 50, "key": "header:x-user" }));
    let copied = |user: usize, seed: u64| {
        let exchange = get().header("x-user", user.to_string()).seed(seed);
        !exchange.through(&filter).mirrors().is_empty()
    };
    let users: Vec<bool> = (0..400).map(|user| copied(user, 1)).collect();
    assert!((140..260).contains(&users.iter().filter(|copied| **copied).count()));
    for (user, first) in users.iter().enumerate() {
        assert_eq!(copied(user, 99), *first, "{user}");
    }
    let other = one(json!({ "name": "other", "cluster": "v2", "percent": 50, "key": "header:x-user" }));
    let others = (0..400).filter(|user| {
        let exchange = get().header("x-user", user.to_string());
        exchange.through(&other).mirrors().is_empty() == users[*user]
    });
    assert!(others.count() > 100, "two rules do not take the same users");
    let without: usize = (0..400).map(|seed| get().seed(seed).through(&filter).mirrors().len()).sum();
    assert!((140..260).contains(&without), "who has none is drawn");
}

#[test]
fn a_copy_that_the_proxy_refuses_costs_nobody_anything() {
    let filter = one(json!({ "cluster": "nowhere" }));
    let outcome = get().through(&filter);
    assert!(outcome.upstream().is_some() && outcome.mirrors().is_empty());
    assert_eq!(filter.counted("shadow_copies_total", &["nowhere", "refused"]), 1.0);
}

#[test]
fn copies_are_counted() {
    let filter = one(json!({ "cluster": "v2" }));
    get().through(&filter);
    get().mirrored("v2", answered(500, "")).through(&filter);
    get().mirrored("v2", Mirrored { status: None, ..answered(500, "") }).through(&filter);
    assert_eq!(filter.counted("shadow_copies_total", &["v2", "asked"]), 3.0);
    assert!(!filter.wants(Hook::Complete), "where nothing is compared, nobody has to be told how it went");
}

fn comparing() -> Configured<Shadow> {
    one(json!({ "cluster": "v2", "compare": { "headers": ["Content-Type", "x-none"], "store": "pairs", "keep": 2 } }))
}

fn kept(filter: &Configured<Shadow>) -> Value {
    filter.stored("pairs", "shadow.v2").map_or(Value::Null, |json| serde_json::from_slice(&json).unwrap())
}

#[test]
fn answers_that_are_alike_are_the_same() {
    let filter = comparing();
    let exchange = get().answer_header("content-type", "text/plain").answer_chunks(["he", "", "llo"]);
    let exchange = exchange.mirrored("v2", answered(200, "hello")).mirrored_header("v2", "content-type", "text/plain");
    assert_eq!(exchange.through(&filter).response().unwrap().text(), "hello");
    assert_eq!(filter.counted("shadow_compared_total", &["v2", "same"]), 1.0);
    // A body that is known to be empty never passes.
    get().mirrored("v2", answered(200, "")).through(&filter);
    assert_eq!(filter.counted("shadow_compared_total", &["v2", "same"]), 2.0);
    assert_eq!(kept(&filter), Value::Null);
}

#[test]
fn what_differs_is_counted_and_kept() {
    let filter = comparing();
    let exchange = get().id("id-1").answered(201).answer_header("content-type", "text/plain").answer_body("one");
    exchange.mirrored("v2", answered(500, "two")).mirrored_header("v2", "content-type", "text/html").through(&filter);
    assert_eq!(filter.counted("shadow_compared_total", &["v2", "different"]), 1.0);
    for what in ["status", "content-type", "body"] {
        assert_eq!(filter.counted("shadow_differences_total", &["v2", what]), 1.0, "{what}");
    }
    let pair = &kept(&filter)[0];
    let hex = |text: &str| format!("{:016x}", hash(text));
    assert_eq!(pair["primary"], json!({ "status": 201, "content-type": ["text/plain"], "body": hex("one") }));
    assert_eq!(pair["copy"], json!({ "status": 500, "content-type": ["text/html"], "body": hex("two") }));
    let told = (&pair["request-id"], &pair["method"], &pair["path"], &pair["copy-us"]);
    assert_eq!(told, (&json!("id-1"), &json!("GET"), &json!("/users/7"), &json!(3000)), "and no query");
}

#[test]
fn only_the_last_pairs_are_kept() {
    let filter = comparing();
    for id in ["one", "two", "three"] {
        get().id(id).mirrored("v2", answered(500, "")).through(&filter);
    }
    let ids: Vec<_> = kept(&filter).as_array().unwrap().iter().map(|pair| pair["request-id"].clone()).collect();
    assert_eq!(ids, ["three", "two"]);
}

#[test]
fn an_exchange_that_went_wrong_is_not_compared() {
    let filter = comparing();
    get().failed(504, "timeout").mirrored("v2", answered(200, "x")).through(&filter);
    get().answer_body("a part").upstream_goes_away().mirrored("v2", answered(200, "x")).through(&filter);
    assert_eq!(filter.counted("shadow_compared_total", &["v2", "no-answer"]), 2.0);
    assert_eq!(kept(&filter), Value::Null);
}

#[test]
fn a_copy_without_an_answer_is_not_compared() {
    let filter = comparing();
    get().through(&filter);
    get().mirrored("v2", Mirrored { status: None, ..answered(500, "") }).through(&filter);
    assert_eq!(filter.counted("shadow_compared_total", &["v2", "no-answer"]), 2.0);
    assert_eq!(kept(&filter), Value::Null);
}

#[test]
fn only_what_is_asked_for_is_compared() {
    let filter = one(json!({ "cluster": "v2", "compare": { "status": false, "body": false, "headers": "x-version" } }));
    let exchange = get().answer_header("x-version", "1").answered(404).answer_body("one");
    let outcome = exchange.mirrored("v2", answered(200, "two")).mirrored_header("v2", "x-version", "1").through(&filter);
    assert_eq!(filter.counted("shadow_compared_total", &["v2", "same"]), 1.0);
    assert_eq!(outcome.note("shadow.body"), None, "nobody hashes what nobody compares");
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (rule, said) in [
        (json!({}), "rules[0]: missing key `cluster`"),
        (json!({ "cluster": "v2", "percent": 101 }), "rules[0].percent: expected a percentage from 0 to 100, found 101"),
        (json!({ "cluster": "v2", "body-limit": "2MiB" }), "rules[0].body-limit: expected a size such as \"64KiB\", at most"),
        (json!({ "cluster": "v2", "name": "a b" }), "rules[0].name: expected a name without spaces"),
        (
            json!({ "cluster": "v2", "fields": { "host": "x" } }),
            "rules[0].fields.host: expected a field that a filter may change",
        ),
        (json!({ "cluster": "v2", "host": "{sorce}" }), "rules[0].host: expected a value such as"),
        (json!({ "cluster": "v2", "compare": { "keep": 0 } }), "rules[0].compare.keep: expected 1 to 100 pairs, found 0"),
        (json!({ "cluster": "v2", "compare": { "status": false, "body": false } }), "rules[0].compare: expected one of `status`"),
        (json!({ "cluster": "v2", "percnt": 1 }), "rules[0].percnt: unknown key `percnt`; the nearest is `percent`"),
    ] {
        let error = configure::<Shadow>(json!({ "rules": [rule] })).err().unwrap().to_string();
        assert!(error.starts_with(said), "{error}\n{said}");
    }
    let error = configure::<Shadow>(json!({ "rules": [{ "cluster": "v2" }, { "cluster": "v2" }] })).err().unwrap();
    assert_eq!(error.to_string(), "rules[1].name: expected a name of its own, found `v2` a second time");
}
