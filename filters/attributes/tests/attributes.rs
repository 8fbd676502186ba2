//! What a user of the filter would notice.

use attributes::Attributes;
use serde_json::{Value, json};
use tamis_sdk::testing::{Configured, Exchange, configure};

fn with(attributes: Value) -> Configured<Attributes> {
    configure::<Attributes>(json!({ "attributes": attributes })).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn values_come_from_all_over_the_exchange() {
    let filter = with(json!([
        { "name": "tenant", "value": "{header:x-tenant}" },
        { "name": "who", "value": ["{identity}", "{cookie:user}", "{source}"] },
        { "name": "page", "value": "{query:page|1} of {host}" },
        { "name": "order", "match": { "path-template": "/orders/{id}" }, "value": "{path.id}" },
        { "name": "by-earlier", "value": "{note:tenant}/{note:order|none}" },
    ]));
    let exchange = Exchange::get("/orders/7?page=3").authority("shop.example:80").header("x-tenant", "acme");
    let outcome = exchange.header("cookie", "a=b; user=ann").through(&filter);
    let notes = ["tenant", "who", "page", "order", "by-earlier"].map(|name| outcome.note(name).unwrap_or_default());
    assert_eq!(notes, ["acme", "ann", "3 of shop.example", "7", "acme/7"]);
    let outcome = Exchange::get("/").client_identity("spiffe://a.example/web").through(&filter);
    let notes = ["tenant", "who", "page", "order", "by-earlier"].map(|name| outcome.note(name));
    assert_eq!(notes, [None, Some("spiffe://a.example/web"), Some("1 of a.example"), None, Some("/none")]);
}

#[test]
fn the_first_that_has_a_value_counts() {
    let filter = with(json!([
        { "name": "kind", "match": { "headers": { "user-agent": { "contains": "bot" } } }, "value": "bot" },
        { "name": "kind", "match": { "cookies": { "session": { "present": true } } }, "value": "{header:x-kind}" },
        { "name": "kind", "value": "{header:x-other}", "default": "anonymous" },
    ]));
    let kind = |exchange: Exchange| exchange.through(&filter).note("kind").unwrap().to_owned();
    assert_eq!(kind(Exchange::get("/").header("user-agent", "a bot").header("x-kind", "user")), "bot");
    assert_eq!(kind(Exchange::get("/").header("cookie", "session=1").header("x-kind", "user")), "user");
    assert_eq!(kind(Exchange::get("/").header("cookie", "session=1").header("x-other", "x")), "x");
    assert_eq!(kind(Exchange::get("/")), "anonymous");
}

#[test]
fn what_a_client_sends_is_cut_and_cleaned() {
    let filter = with(json!([{ "name": "a", "value": "{query:a}", "bytes-max": 5 }]));
    let value = |target: &str| Exchange::get(target).through(&filter).note("a").unwrap_or("none").to_owned();
    assert_eq!(value("/?a=1234567"), "12345");
    assert_eq!(value("/?a=a%0Ab%1Bc"), "abc");
    assert_eq!(value("/?a=%C3%A4%C3%A4%C3%A4"), "ää", "no letter is torn");
    assert_eq!(value("/?a="), "none");
}

#[test]
fn what_is_to_be_counted_is() {
    let filter = with(json!([
        { "name": "tenant", "value": "{header:x-tenant}", "count": true }, { "name": "other", "value": "{path}" },
    ]));
    for tenant in ["a", "b", "a"] {
        Exchange::get("/").header("x-tenant", tenant).through(&filter);
    }
    assert_eq!(filter.counted("attributes_total", &["tenant", "a"]), 2.0);
    assert_eq!(filter.counted("attributes_total", &["tenant", "b"]), 1.0);
    assert_eq!(filter.counted("attributes_total", &["other", "/"]), 0.0);
}

#[test]
fn a_mistake_says_where_it_is() {
    for (attribute, said) in [
        (
            json!({ "name": "a b", "value": "" }),
            "attributes[0].name: expected a name of 1 to 64 bytes without spaces and separators, found \"a b\"",
        ),
        (json!({ "name": "a", "value": [] }), "attributes[0].value: expected at least one, found none"),
        (json!({ "name": "a", "value": "{sorce}" }), "attributes[0].value: expected "),
        (json!({ "name": "a", "value": "x", "bytes-max": 0 }), "attributes[0].bytes-max: expected 1 to 4096, found 0"),
        (
            json!({ "name": "a", "value": "x", "defalt": "" }),
            "attributes[0].defalt: unknown key `defalt`; the nearest is `default`",
        ),
    ] {
        let error = configure::<Attributes>(json!({ "attributes": [attribute] })).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
    let many: Vec<Value> = (0..65).map(|at| json!({ "name": format!("a{at}"), "value": "x" })).collect();
    let error = configure::<Attributes>(json!({ "attributes": many })).unwrap_err().to_string();
    assert_eq!(error, "attributes: expected at most 64 names, found 65");
}
