//! What a user of the filter would notice.

use json_guard::JsonGuard;
use serde_json::{Value, json};
use tamis_sdk::testing::{Configured, Exchange, configure};

fn guard() -> Configured<JsonGuard> {
    configure(json!({
        "limit": 200,
        "max-depth": 3,
        "rules": [
            { "path": "user.name", "required": true, "type": "string", "max-length": 5 },
            { "path": "user.age", "type": "number" },
            { "path": "items[].id", "required": true, "type": "integer" },
            { "path": "items", "max-length": 2 },
        ],
    }))
    .unwrap()
}

fn post(body: &str) -> Exchange {
    Exchange::post("/").header("content-type", "application/json; charset=utf-8").body(body)
}

/// The status, and the answer if the guard gave one.
fn answered(exchange: Exchange) -> (u16, Value) {
    let outcome = exchange.through(&guard());
    let response = outcome.response().unwrap();
    assert_eq!(outcome.upstream().is_some(), response.status() == 200);
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or_default())
}

fn wrong(body: &str) -> String {
    let (status, answer) = answered(post(body));
    assert_eq!(status, 422, "{body}: {answer}");
    format!("{}: {}", answer["path"].as_str().unwrap(), answer["error"].as_str().unwrap())
}

#[test]
fn what_keeps_the_rules_goes_on_as_it_came() {
    let body = r#"{ "user": { "name": "Zoë", "age": 7.5, "more": [1] }, "items": [{ "id": 1 }, { "id": 2 }] }"#;
    let outcome = post(body).through(&guard());
    assert_eq!(outcome.upstream().unwrap().text(), body);
    let pieces = Exchange::post("/").header("content-type", "application/problem+json");
    let outcome = pieces.body_chunks([r#"{"user":{"na"#, r#"me":"a"},"items":[]}"#]).through(&guard());
    assert!(outcome.upstream().is_some());
}

#[test]
fn what_breaks_a_rule_is_told_with_its_place() {
    assert_eq!(wrong(r#"{"items":[]}"#), "$.user: expected a value, found none");
    assert_eq!(wrong(r#"{"user":{},"items":[]}"#), "$.user.name: expected a value, found none");
    assert_eq!(wrong(r#"{"user":{"name":7},"items":[]}"#), "$.user.name: expected a string, found an integer");
    assert_eq!(wrong(r#"{"user":{"name":"123456"},"items":[]}"#), "$.user.name: expected a length of at most 5, found 6");
    assert_eq!(wrong(r#"{"user":{"name":"a","age":"7"},"items":[]}"#), "$.user.age: expected a number, found a string");
    assert_eq!(wrong(r#"{"user":{"name":"a"},"items":[{"id":1},{}]}"#), "$.items[1].id: expected a value, found none");
    assert_eq!(wrong(r#"{"user":{"name":"a"},"items":[{"id":1.5}]}"#), "$.items[0].id: expected an integer, found a number");
    assert_eq!(wrong(r#"{"user":{"name":"a"},"items":{}}"#), "$.items: expected a list, found an object");
    let three = r#"{"user":{"name":"a"},"items":[{"id":1},{"id":2},{"id":3}]}"#;
    assert_eq!(wrong(three), "$.items: expected a length of at most 2, found 3");
    assert_eq!(wrong(r#"{"a":[{"b":[]}]}"#), "$.a[0].b: expected at most 3 levels");
}

#[test]
fn what_is_no_json_is_refused() {
    let said = |body: &str| {
        let (status, answer) = answered(post(body));
        assert_eq!(status, 400, "{body}");
        answer["error"].as_str().unwrap().to_owned()
    };
    assert!(said("").contains("EOF"));
    assert!(said("{} {}").contains("trailing characters"));
    assert!(said(r#"{"user":1,"user":2}"#).contains(r#"the key "user" stands twice"#));
    assert!(said(&"[".repeat(190)).contains("recursion limit"));
    assert_eq!(answered(post(&"1".repeat(201))).0, 413);
}

#[test]
fn nobody_gets_around_the_rules() {
    let bare = || Exchange::post("/").body("{}");
    for exchange in [
        bare(),
        bare().header("content-type", "text/plain"),
        bare().header("content-type", "application/json").header("content-type", "text/plain"),
        post("{}").header("content-encoding", "gzip"),
    ] {
        assert_eq!(answered(exchange).0, 415);
    }
    assert!(Exchange::get("/").through(&guard()).upstream().is_some(), "a method without a body is not read");
    assert!(post("{").client_goes_away().through(&guard()).response().is_none());
}

#[test]
fn mistakes_are_told_with_their_path() {
    let said = |config| configure::<JsonGuard>(config).unwrap_err().to_string();
    let path = r#"rules[0].path: expected a path like "user.name" or "items[].id", found "a[0]""#;
    assert_eq!(said(json!({ "rules": [{ "path": "a[0]", "required": true }] })), path);
    let none = "rules[1]: expected one of `required`, `type` and `max-length`, found none";
    assert_eq!(said(json!({ "rules": [{ "path": "a", "required": true }, { "path": "a" }] })), none);
    let kind = "rules[0].type: expected the type of something that has a length, found a boolean";
    assert_eq!(said(json!({ "rules": [{ "path": "a", "type": "boolean", "max-length": 1 }] })), kind);
    let word = "rules[0].type: unknown word `strin`; the nearest is `string`";
    assert_eq!(said(json!({ "rules": [{ "path": "a", "type": "strin" }] })), word);
    assert_eq!(said(json!({ "max-depth": 500 })), "max-depth: expected 1 to 127, found 500");
}

#[test]
fn the_configuration_that_ships_is_taken() {
    let file: toml::Table = toml::from_str(include_str!("../tamis.toml")).unwrap();
    let config = &file["filters"]["json-guard"]["config"];
    let taken = configure::<JsonGuard>(serde_json::to_value(config).unwrap());
    assert!(taken.is_ok(), "{:?}", taken.err());
}
