//! What a user of the filter would notice.

use headers::Headers;
use serde_json::json;
use tamis_sdk::Hook;
use tamis_sdk::testing::{Exchange, configure};

fn values(headers: &http::HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

#[test]
fn fields_are_removed_then_set_then_added() {
    let filter = configure::<Headers>(json!({
        "request": { "remove": ["X-Gone", "x-both"], "set": { "X-Set": "1" }, "add": { "x-both": ["a", "b"], "x-more": "c" } },
    }));
    let exchange = Exchange::get("/").header("x-gone", "1").header("x-both", "old").header("x-set", "0").header("x-more", "b");
    let outcome = exchange.through(&filter.unwrap());
    let sent = outcome.upstream().unwrap().headers();
    assert_eq!(values(sent, "x-gone"), [""; 0]);
    assert_eq!(values(sent, "x-set"), ["1"]);
    assert_eq!(values(sent, "x-both"), ["a", "b"]);
    assert_eq!(values(sent, "x-more"), ["b", "c"]);
}

#[test]
fn values_speak_of_the_exchange() {
    let template = "{{{source}}} {host}{path} {request-id} {header:X-Many} {note:user} {note:none}.";
    let filter = configure::<Headers>(json!({ "request": { "set": { "x-all": template } } })).unwrap();
    let exchange = Exchange::get("/a/b?c").authority("A.example:8080").source("203.0.113.7").id("id-1");
    let outcome = exchange.header("x-many", "1").header("x-many", "2").note("user", "eve").through(&filter);
    let sent = outcome.upstream().unwrap();
    assert_eq!(sent.header("x-all").unwrap(), "{203.0.113.7} A.example/a/b id-1 1, 2 eve .");
}

#[test]
fn what_is_not_there_is_empty() {
    let filter = configure::<Headers>(json!({ "request": { "set": { "x-user": "{note:user}{header:x-none}" } } })).unwrap();
    let outcome = Exchange::get("/").through(&filter);
    assert_eq!(outcome.upstream().unwrap().header("x-user").unwrap(), "");
}

#[test]
fn the_response_knows_the_request() {
    let filter = configure::<Headers>(json!({
        "response": { "remove": "server", "set": { "x-for": "{header:x-a} {path}" }, "add": { "set-cookie": "b=2" } },
    }));
    let exchange = Exchange::get("/a").header("x-a", "1").answer_header("server", "s").answer_header("set-cookie", "a=1");
    let outcome = exchange.through(&filter.unwrap());
    let response = outcome.response().unwrap();
    assert_eq!(response.header("server"), None);
    assert_eq!(response.header("x-for").unwrap(), "1 /a");
    assert_eq!(values(response.headers(), "set-cookie"), ["a=1", "b=2"]);
}

#[test]
fn all_values_are_read_before_anything_is_changed() {
    let filter = configure::<Headers>(json!({
        "request": { "remove": "x-a", "set": { "x-b": "{header:x-a}", "x-c": "{header:x-b}" } },
    }));
    let outcome = Exchange::get("/").header("x-a", "1").header("x-b", "2").through(&filter.unwrap());
    let sent = outcome.upstream().unwrap();
    assert_eq!((sent.header("x-b").unwrap(), sent.header("x-c").unwrap()), (&"1".parse().unwrap(), &"2".parse().unwrap()));
}

#[test]
fn a_value_that_cannot_be_sent_leaves_its_field_alone() {
    let filter = configure::<Headers>(json!({ "request": { "set": { "x-user": "{note:user}" } } })).unwrap();
    let outcome = Exchange::get("/").header("x-user", "old").note("user", "a\r\nb: c").through(&filter);
    assert_eq!(outcome.upstream().unwrap().header("x-user").unwrap(), "old");
    assert!(outcome.logs()[0].message.contains("x-user"));
}

#[test]
fn only_hooks_with_work_are_wanted() {
    let wants = |config: serde_json::Value| {
        let filter = configure::<Headers>(config).unwrap();
        (filter.wants(Hook::Request), filter.wants(Hook::Response))
    };
    assert_eq!(wants(json!({ "request": { "remove": "x-a" } })), (true, false));
    assert_eq!(wants(json!({ "response": { "set": { "x-a": "" } } })), (false, true));
    assert_eq!(wants(json!({ "request": { "remove": "x-a" }, "response": { "remove": "x-a" } })), (true, true));
}

#[test]
fn a_mistake_says_where_it_is() {
    for (config, said) in [
        (
            json!({ "request": { "set": { "x-client": "{sorce}" } } }),
            "request.set.x-client: expected a value such as {source}, {path} or {header:NAME}, found {sorce}",
        ),
        (
            json!({ "response": { "add": { "x-a": ["fine", "{"] } } }),
            r#"response.add.x-a[1]: expected "{" and "}" in pairs, or doubled, found "{""#,
        ),
        (json!({ "request": { "sett": {} } }), "request.sett: unknown key `sett`; the nearest is `set`"),
        (
            json!({ "request": { "remove": ["x-a", "Host"] } }),
            "request.remove[1]: expected a field that a filter may change, found `host`, which is the proxy's",
        ),
        (json!({ "request": { "set": { "x a": "" } } }), r#"request.set.x a: expected the name of a field, found "x a""#),
    ] {
        assert_eq!(configure::<Headers>(config).unwrap_err().to_string(), said);
    }
}

#[test]
fn the_example_is_one() {
    let example: toml::Table = include_str!("../examples/edge.toml").parse().unwrap();
    let config = serde_json::to_value(&example["filters"]["headers"]["config"]).unwrap();
    let filter = configure::<Headers>(config).unwrap();
    let exchange = Exchange::get("/users/7").header("x-internal-user", "eve").note("path.user", "7").answer_header("server", "s");
    let outcome = exchange.through(&filter);
    let sent = outcome.upstream().unwrap();
    assert_eq!(sent.header("x-internal-user"), None);
    assert_eq!(sent.header("x-client").unwrap(), "192.0.2.1");
    assert_eq!(values(sent.headers(), "x-trace")[1], "user 7");
    assert_eq!(outcome.response().unwrap().header("x-answered-for").unwrap(), "a.example/users/7");
    assert_eq!(outcome.response().unwrap().header("server"), None);
}
