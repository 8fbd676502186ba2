//! What a user of the router would notice.

use router::Router;
use serde_json::json;
use tamis_sdk::testing::{Configured, Exchange, Outcome, configure};
use tamis_sdk::{Method, Verdict};

const CLUSTERS: [&str; 6] = ["a", "b", "c", "users-v1", "users-v2", "orders"];

fn router(routes: serde_json::Value) -> Configured<Router> {
    configure(json!({ "routes": routes })).unwrap()
}

fn send(router: &Configured<Router>, exchange: Exchange) -> Outcome {
    exchange.clusters(CLUSTERS).cluster("default").through(router)
}

fn mistake(routes: serde_json::Value) -> String {
    configure::<Router>(json!({ "routes": routes })).unwrap_err().to_string()
}

#[test]
fn a_request_without_a_route_goes_on_to_the_listeners_cluster() {
    let router = router(json!([{ "match": { "path": "/a" }, "to": "a", "name": "r" }]));
    let outcome = send(&router, Exchange::get("/b"));
    assert_eq!((outcome.verdict(), outcome.cluster(), outcome.route()), (&Verdict::Next, Some("default"), None));
    let outcome = send(&router, Exchange::get("/a"));
    assert_eq!((outcome.cluster(), outcome.route()), (Some("a"), Some("r")));
}

#[test]
fn an_empty_configuration_is_one() {
    let router = configure::<Router>("{}").unwrap();
    assert_eq!(send(&router, Exchange::get("/")).cluster(), Some("default"));
}

#[test]
fn hosts_are_compared_without_case_and_port() {
    let router = router(json!([
        { "match": { "host": "API.example.com" }, "to": "a" },
        { "match": { "host": "*.example.com" }, "to": "b" },
    ]));
    for (authority, cluster) in [
        ("api.example.com", "a"),
        ("Api.Example.Com:8080", "a"),
        ("x.api.example.com", "b"),
        ("example.com", "default"),
        ("notexample.com", "default"),
    ] {
        assert_eq!(send(&router, Exchange::get("/").authority(authority)).cluster(), Some(cluster), "{authority}");
    }
}

#[test]
fn conditions_that_fail_fall_back_to_less_specific_routes() {
    let router = router(json!([
        { "match": { "path": "/x", "method": "GET" }, "to": "a" },
        { "match": { "path": "/x", "method": ["PUT", "POST"], "headers": { "x-kind": "new" } }, "to": "b" },
        { "match": { "path-prefix": "/x", "method": "POST" }, "to": "c" },
    ]));
    let new = |method: Method| Exchange::new(method, "/x").header("x-kind", "old").header("x-kind", "new");
    assert_eq!(send(&router, new(Method::GET)).cluster(), Some("a"));
    assert_eq!(send(&router, new(Method::POST)).cluster(), Some("b"));
    assert_eq!(send(&router, Exchange::post("/x")).cluster(), Some("c"));
    assert_eq!(send(&router, Exchange::new(Method::PUT, "/x")).cluster(), Some("default"));
}

#[test]
fn each_value_of_a_field_is_looked_at_by_itself() {
    let cluster = |field: serde_json::Value, values: &[&str]| {
        let router = router(json!([{ "match": { "headers": { "X-Tag": field } }, "to": "a" }]));
        let exchange = values.iter().fold(Exchange::get("/"), |exchange, value| exchange.header("x-tag", value));
        send(&router, exchange).cluster() == Some("a")
    };
    assert!(cluster(json!("red"), &["blue", "red"]));
    assert!(!cluster(json!("blue, red"), &["blue", "red"]));
    assert!(cluster(json!({ "exact": "red" }), &["red"]));
    assert!(cluster(json!({ "prefix": "re" }), &["red"]));
    assert!(cluster(json!({ "suffix": "ed" }), &["red"]));
    assert!(cluster(json!({ "contains": "e" }), &["red"]));
    assert!(!cluster(json!({ "contains": "e, " }), &["re", "d"]));
    assert!(cluster(json!({ "present": true }), &[""]));
    assert!(cluster(json!({ "present": false }), &[]));
    assert!(!cluster(json!({ "present": false }), &["red"]));
}

#[test]
fn what_a_template_matches_is_noted() {
    let router = router(json!([{ "match": { "path-template": "/users/{id}/posts/{post-id}" }, "to": "a" }]));
    let outcome = send(&router, Exchange::get("/users/7/posts/a%20b?x=1"));
    assert_eq!((outcome.note("path.id"), outcome.note("path.post-id")), (Some("7"), Some("a%20b")));
}

#[test]
fn weights_are_shares_of_the_requests() {
    let router = router(json!([
        { "to": [{ "cluster": "a", "weight": 90 }, { "cluster": "b", "weight": 0 }, { "cluster": "c", "weight": 10 }] },
    ]));
    let drawn: Vec<_> = (0..10_000).map(|seed| send(&router, Exchange::get("/").seed(seed))).collect();
    let share = |cluster| drawn.iter().filter(|outcome| outcome.cluster() == Some(cluster)).count();
    assert_eq!(share("b"), 0);
    assert!((900..=1_100).contains(&share("c")), "{}", share("c"));
    assert_eq!(share("a") + share("c"), 10_000);
}

#[test]
fn a_prefix_is_rewritten_and_the_query_stays() {
    let target = |prefix: &str, to: &str, sent: &str| {
        let router = router(json!([{ "match": { "path-prefix": prefix }, "to": "a", "rewrite-prefix": to }]));
        send(&router, Exchange::get(sent)).upstream().unwrap().target().to_owned()
    };
    assert_eq!(target("/users", "/v1", "/users/7?x=1"), "/v1/7?x=1");
    assert_eq!(target("/users", "/v1/", "/users"), "/v1");
    assert_eq!(target("/users", "/", "/users"), "/");
    assert_eq!(target("/users", "/", "/users?x"), "/?x");
    assert_eq!(target("/users/", "/", "/users/"), "/");
    assert_eq!(target("/", "/all", "/a/b"), "/all/a/b");
}

#[test]
fn a_timeout_is_set_or_taken_away() {
    let timeout = |text: &str| send(&router(json!([{ "to": "a", "timeout": text }])), Exchange::get("/")).timeout();
    assert_eq!(timeout("2s").unwrap().as_secs(), 2);
    assert_eq!(timeout("0s"), None);
}

#[test]
fn a_redirect_changes_what_it_names() {
    let location = |redirect: serde_json::Value, exchange: Exchange| {
        let router = router(json!([{ "match": { "path-prefix": "/old" }, "redirect": redirect }]));
        let outcome = send(&router, exchange.authority("a.example:8080"));
        let response = outcome.response().unwrap();
        let location = response.header("location").map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), location)
    };
    let old = || Exchange::get("/old/x?y=1");
    let found = |status, location: &str| (status, Some(location.to_owned()));
    assert_eq!(location(json!({ "location": "https://b.example/" }), old()), found(302, "https://b.example/"));
    assert_eq!(location(json!({ "host": "b.example", "status": 307 }), old()), found(307, "http://b.example/old/x?y=1"));
    assert_eq!(location(json!({ "path-prefix": "/new" }), old()), found(302, "http://a.example:8080/new/x?y=1"));
    assert_eq!(location(json!({ "https": true, "status": 308 }), old()), found(308, "https://a.example/old/x?y=1"));
    let secure = location(json!({ "https": true }), old().tls("a.example"));
    assert_eq!(secure, (200, None), "a request over https is not redirected to itself");
}

#[test]
fn a_redirect_without_a_host_is_a_bad_request() {
    let router = router(json!([{ "redirect": { "https": true } }]));
    assert_eq!(send(&router, Exchange::get("/").authority("")).response().unwrap().status(), 400);
}

#[test]
fn an_unknown_cluster_is_answered_503_and_logged() {
    let outcome = send(&router(json!([{ "to": "nowhere" }])), Exchange::get("/"));
    let response = outcome.response().unwrap();
    assert_eq!((response.status().as_u16(), response.text().as_str()), (503, "unknown cluster\n"));
    assert!(outcome.logs()[0].message.contains("nowhere"));
}

#[test]
fn a_bad_route_says_where_it_is_bad() {
    let route = |matches: serde_json::Value| json!([{ "to": "a" }, { "match": matches, "to": "a" }]);
    for (routes, said) in [
        (
            route(json!({ "path-prefix": "users" })),
            r#"routes[1].match.path-prefix: expected a path that begins with "/", found "users""#,
        ),
        (
            route(json!({ "path-prefx": "/" })),
            "routes[1].match.path-prefx: unknown key `path-prefx`; the nearest is `path-prefix`",
        ),
        (
            route(json!({ "path": "/a", "path-prefix": "/b" })),
            "routes[1].match: expected one of `path`, `path-prefix`, `path-template` and `path-regex`, found several",
        ),
        (
            route(json!({ "host": "a.example:80" })),
            r#"routes[1].match.host: expected a host like "api.example.com" or "*.example.com", without a port, found "a.example:80""#,
        ),
        (
            route(json!({ "path-template": "/a{b}" })),
            r#"routes[1].match.path-template: expected "{name}" as a whole segment, found "a{b}" in "/a{b}""#,
        ),
        (route(json!({ "method": ["GET", 5] })), "routes[1].match.method[1]: expected a string, found 5"),
        (
            route(json!({ "headers": { "x-a": { "exakt": "b" } } })),
            "routes[1].match.headers.x-a.exakt: unknown key `exakt`; the nearest is `exact`",
        ),
        (json!([{}]), "routes[0]: expected one of `to`, `redirect` and `respond`, found none of them"),
        (json!([{ "to": [] }]), "routes[0].to: expected a cluster with a weight above 0, found none"),
        (json!([{ "to": [{ "cluster": "a", "weight": -1 }] }]), "routes[0].to[0].weight: expected u32, found -1"),
        (json!([{ "to": "a", "timeout": "2" }]), r#"routes[0].timeout: expected a duration like "250ms" or "2s", found "2""#),
        (
            json!([{ "match": { "path": "/x" }, "to": "a", "rewrite-prefix": "/" }]),
            "routes[0].rewrite-prefix: expected a route with `match.path-prefix`, found one without",
        ),
        (
            json!([{ "redirect": { "status": 200, "https": true } }]),
            "routes[0].redirect.status: expected 301, 302, 303, 307 or 308, found 200",
        ),
        (
            json!([{ "redirect": {} }]),
            "routes[0].redirect: expected `location`, or some of `host`, `path-prefix` and `https`, found none",
        ),
    ] {
        assert_eq!(mistake(routes), said);
    }
}

#[test]
fn the_example_is_one() {
    let example: toml::Table = include_str!("../examples/shop.toml").parse().unwrap();
    let config = serde_json::to_value(&example["filters"]["router"]["config"]).unwrap();
    let router = configure::<Router>(config).unwrap();
    let at = |authority: &str, target: &str| send(&router, Exchange::get(target).authority(authority));

    let canary = Exchange::get("/users/7").authority("api.example.com").header("x-canary", "yes");
    assert_eq!(send(&router, canary).route(), Some("users-canary"));
    assert_eq!(at("api.example.com", "/users/7").route(), Some("users"));
    let order = at("api.example.com", "/users/7/orders/9");
    assert_eq!((order.cluster(), order.note("path.order")), (Some("orders"), Some("9")));
    assert_eq!(at("www.example.com", "/api/v1/users").upstream().unwrap().target(), "/users");
    assert_eq!(at("a.example", "/people/7").response().unwrap().header("location").unwrap(), "http://a.example/users/7");
    assert_eq!(at("shop.example.com", "/x").response().unwrap().header("location").unwrap(), "https://shop.example.com/x");
}
