//! What a user of the filter would notice.

use cors::Cors;
use serde_json::{Value, json};
use tamis_sdk::Method;
use tamis_sdk::testing::{Configured, Exchange, Outcome, configure};

const APP: &str = "https://app.example.com";

fn with(policy: Value) -> Configured<Cors> {
    configure::<Cors>(json!({ "policies": [policy] })).unwrap()
}

fn preflight(origin: &str) -> Exchange {
    Exchange::new(Method::OPTIONS, "/").header("origin", origin).header("access-control-request-method", "PUT")
}

fn field(outcome: &Outcome, name: &str) -> Option<String> {
    outcome.response().unwrap().header(name).map(|value| value.to_str().unwrap().to_owned())
}

fn allowed(outcome: &Outcome) -> Option<String> {
    field(outcome, "access-control-allow-origin")
}

#[test]
fn a_preflight_is_answered_by_the_filter() {
    let filter = with(json!({
        "origins": [APP], "methods": ["GET", "PUT"], "headers": ["content-type", "X-Key"], "credentials": true, "max-age": "10m",
    }));
    let outcome = preflight(APP).header("access-control-request-headers", "x-key").through(&filter);
    assert!(outcome.upstream().is_none(), "the service never sees it");
    assert_eq!(outcome.response().unwrap().status(), 204);
    for (name, value) in [
        ("access-control-allow-origin", APP),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "content-type, X-Key"),
        ("access-control-max-age", "600"),
        ("vary", "origin"),
    ] {
        assert_eq!(field(&outcome, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(filter.counted("cors_requests_total", &["0", "preflight"]), 1.0);
}

#[test]
fn an_options_request_that_is_no_preflight_goes_on() {
    let filter = with(json!({ "origins": [APP] }));
    let plain = Exchange::new(Method::OPTIONS, "/").header("origin", APP).through(&filter);
    assert!(plain.upstream().is_some());
    assert_eq!(allowed(&plain).as_deref(), Some(APP));
    let nobody = Exchange::new(Method::OPTIONS, "/").header("access-control-request-method", "PUT").through(&filter);
    assert!(nobody.upstream().is_some(), "without an origin it is none");
}

#[test]
fn any_method_and_any_field_are_told_by_name() {
    let filter = with(json!({ "origins": [APP], "methods": "*", "headers": "*", "credentials": true }));
    let outcome = preflight(APP).header("access-control-request-headers", "authorization,x-b").through(&filter);
    assert_eq!(field(&outcome, "access-control-allow-methods").as_deref(), Some("PUT"));
    assert_eq!(field(&outcome, "access-control-allow-headers").as_deref(), Some("authorization,x-b"));
    let vary = "origin, access-control-request-method, access-control-request-headers";
    assert_eq!(field(&outcome, "vary").as_deref(), Some(vary));
}

#[test]
fn without_a_word_the_simple_methods_are_allowed() {
    let outcome = preflight(APP).through(&with(json!({ "origins": [APP] })));
    assert_eq!(field(&outcome, "access-control-allow-methods").as_deref(), Some("GET, HEAD, POST"));
    assert_eq!(field(&outcome, "access-control-allow-headers"), None);
    assert_eq!(field(&outcome, "access-control-max-age"), None);
}

#[test]
fn a_private_network_is_open_only_if_the_policy_says_so() {
    let asked = |filter| {
        let outcome = preflight(APP).header("access-control-request-private-network", "true").through(&filter);
        field(&outcome, "access-control-allow-private-network")
    };
    assert_eq!(asked(with(json!({ "origins": [APP] }))), None);
    assert_eq!(asked(with(json!({ "origins": [APP], "private-network": true }))).as_deref(), Some("true"));
}

#[test]
fn an_answer_tells_who_may_read_it() {
    let filter =
        with(json!({ "origins": [APP, "https://*.example.org"], "expose": ["x-request-id", "etag"], "credentials": true }));
    let outcome = Exchange::get("/").header("origin", "https://a.b.example.org").through(&filter);
    assert_eq!(allowed(&outcome).as_deref(), Some("https://a.b.example.org"));
    assert_eq!(field(&outcome, "access-control-allow-credentials").as_deref(), Some("true"));
    assert_eq!(field(&outcome, "access-control-expose-headers").as_deref(), Some("x-request-id, etag"));
    assert_eq!(outcome.note("cors"), Some("allowed 0"));
}

#[test]
fn an_answer_to_anybody_else_varies_too() {
    let filter = with(json!({ "origins": [APP] }));
    for exchange in [Exchange::get("/"), Exchange::get("/").header("origin", "https://evil.test")] {
        let outcome = exchange.answer_header("vary", "accept-encoding").through(&filter);
        assert_eq!(allowed(&outcome), None);
        let vary: Vec<_> = outcome.response().unwrap().headers().get_all("vary").iter().cloned().collect();
        assert_eq!(vary, ["accept-encoding", "origin"], "or a cache gives one page what was meant for another");
    }
    for there in ["Origin", "accept, ORIGIN", "*"] {
        let outcome = Exchange::get("/").answer_header("vary", there).through(&filter);
        assert_eq!(outcome.response().unwrap().headers().get_all("vary").iter().count(), 1, "{there}");
    }
}

#[test]
fn an_open_policy_says_the_same_to_everybody() {
    let filter = with(json!({ "origins": "*" }));
    for exchange in [Exchange::get("/"), Exchange::get("/").header("origin", "null")] {
        let outcome = exchange.through(&filter);
        assert_eq!(allowed(&outcome).as_deref(), Some("*"));
        assert_eq!(field(&outcome, "vary"), None);
        assert_eq!(field(&outcome, "access-control-allow-credentials"), None);
    }
}

#[test]
fn what_the_service_says_by_itself_makes_way() {
    let filter = with(json!({ "origins": [APP] }));
    let service = |origin: &str| {
        let exchange = Exchange::get("/").header("origin", origin).answer_header("access-control-allow-origin", "*");
        exchange.answer_header("access-control-allow-credentials", "true").through(&filter)
    };
    let outcome = service(APP);
    assert_eq!(outcome.response().unwrap().headers().get_all("access-control-allow-origin").iter().count(), 1);
    assert_eq!((allowed(&outcome).as_deref(), field(&outcome, "access-control-allow-credentials")), (Some(APP), None));
    assert_eq!(allowed(&service("https://evil.test")), None);
}

#[test]
fn an_origin_that_is_not_allowed_is_passed_refused_or_left_to_the_service() {
    let evil = "https://evil.test";
    let get = |word: &str| {
        let filter = with(json!({ "origins": [APP], "on-mismatch": word }));
        let exchange = Exchange::get("/").header("origin", evil).answer_header("access-control-allow-origin", evil);
        (exchange.through(&filter), preflight(evil).answer_header("access-control-allow-origin", evil).through(&filter))
    };
    let (simple, preflight) = get("pass");
    assert!(simple.upstream().is_some() && allowed(&simple).is_none());
    assert!(preflight.upstream().is_none() && allowed(&preflight).is_none());
    let (simple, preflight) = get("refuse");
    for outcome in [simple, preflight] {
        assert!(outcome.upstream().is_none());
        assert_eq!(outcome.response().unwrap().status(), 403);
        assert_eq!(field(&outcome, "vary").as_deref(), Some("origin"));
    }
    let (simple, preflight) = get("upstream");
    for outcome in [simple, preflight] {
        assert!(outcome.upstream().is_some());
        assert_eq!(allowed(&outcome).as_deref(), Some(evil));
    }
}

#[test]
fn a_page_of_the_same_origin_is_never_refused() {
    let filter = with(json!({ "origins": [APP], "on-mismatch": "refuse" }));
    let own = Exchange::post("/").tls("shop.example").authority("shop.example").header("origin", "https://Shop.example");
    assert!(own.through(&filter).upstream().is_some());
    let plain = Exchange::post("/").authority("shop.example").header("origin", "https://shop.example");
    assert_eq!(plain.through(&filter).response().unwrap().status(), 403, "another scheme is another origin");
}

#[test]
fn of_two_origins_nobody_knows_which_is_meant() {
    let filter = with(json!({ "origins": [APP, "https://b.example"], "on-mismatch": "refuse" }));
    let outcome = Exchange::get("/").header("origin", APP).header("origin", "https://b.example").through(&filter);
    assert_eq!(outcome.response().unwrap().status(), 403);
}

#[test]
fn the_first_policy_that_matches_counts() {
    let filter = configure::<Cors>(json!({ "policies": [
        { "name": "public", "match": { "path-prefix": "/public" }, "origins": "*" },
        { "name": "app", "match": { "host": "api.example.com" }, "origins": [{ "regex": "https://(app|admin)\\.example\\.com" }] },
    ] }))
    .unwrap();
    let at = |path: &str, host: &str, origin: &str| {
        allowed(&Exchange::get(path).authority(host).header("origin", origin).through(&filter))
    };
    assert_eq!(at("/public/x", "api.example.com", APP).as_deref(), Some("*"));
    assert_eq!(at("/x", "api.example.com", "https://admin.example.com").as_deref(), Some("https://admin.example.com"));
    assert_eq!(at("/x", "api.example.com", "https://evil.example.com"), None);
    let none = Exchange::get("/x").authority("other").header("origin", APP).answer_header("access-control-allow-origin", "x");
    assert_eq!(allowed(&none.through(&filter)).as_deref(), Some("x"), "what no policy is for stays as it is");
}

#[test]
fn a_mistake_says_where_it_is() {
    for (policy, said) in [
        (json!({ "origins": [] }), "policies[0].origins: expected at least one, found none"),
        (
            json!({ "origins": ["*"], "credentials": true }),
            "policies[0].origins: expected origins by name or pattern beside `credentials = true`, found \"*\": any page could act as its visitor",
        ),
        (
            json!({ "origins": [APP, "example.com"] }),
            "policies[0].origins[1]: expected an origin such as \"https://app.example.com\" or \"https://*.example.com\", found \"example.com\"",
        ),
        (json!({ "origins": APP, "max_age": "1m" }), "policies[0].max_age: unknown key `max_age`; the nearest is `max-age`"),
        (json!({ "origins": APP, "preflight-status": 403 }), "policies[0].preflight-status: expected 200 or 204, found 403"),
        (
            json!({ "origins": APP, "on-mismatch": "drop" }),
            "policies[0].on-mismatch: unknown word `drop`; known are `pass`, `refuse`, `upstream`",
        ),
    ] {
        assert_eq!(configure::<Cors>(json!({ "policies": [policy] })).unwrap_err().to_string(), said);
    }
    let twice = json!({ "policies": [{ "name": "a", "origins": APP }, { "name": "a", "origins": APP }] });
    let said = configure::<Cors>(twice).unwrap_err().to_string();
    assert_eq!(said, "policies[1].name: expected a name that no other policy has, found \"a\"");
}
