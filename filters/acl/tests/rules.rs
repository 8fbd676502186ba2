//! What a user of the filter would notice.

use acl::Acl;
use serde_json::{Value, json};
use tamis_sdk::ConfigError;
use tamis_sdk::testing::{Configured, Exchange, Host, Outcome, configure};

fn acl(config: Value) -> Configured<Acl> {
    configure(config).unwrap()
}

fn send(acl: &Configured<Acl>, exchange: Exchange) -> Outcome {
    exchange.cluster("app").clusters(["app"]).through(acl)
}

fn passes(outcome: &Outcome) -> bool {
    outcome.upstream().is_some()
}

#[test]
fn the_first_rule_that_holds_decides() {
    let acl = acl(json!({ "default": "allow", "rules": [
        { "name": "health", "action": "allow", "match": { "path": "/admin/health" } },
        { "action": "deny", "match": { "path-prefix": "/admin" } },
        { "action": "allow", "match": { "path": "/admin/late" } },
    ] }));
    for (path, passed, rule) in [
        ("/admin/health", true, "health"),
        ("/admin/late", false, "rules[1]"),
        ("/admin", false, "rules[1]"),
        ("/", true, "default"),
    ] {
        let outcome = send(&acl, Exchange::get(path));
        assert_eq!((passes(&outcome), outcome.note("acl.rule")), (passed, Some(rule)), "{path}");
        assert_eq!(outcome.note("acl.decision"), Some(if passed { "allowed" } else { "denied" }), "{path}");
    }
}

#[test]
fn without_a_rule_nobody_passes() {
    let acl = acl(json!({}));
    let outcome = send(&acl, Exchange::get("/"));
    let answer = outcome.response().unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.text().as_str(), outcome.note("acl.rule")),
        (403, "access denied\n", Some("default"))
    );
}

#[test]
fn sources_and_identities_decide() {
    let acl = acl(json!({ "rules": [
        { "action": "deny", "match": { "source": "10.9.0.0/16" } },
        { "action": "allow", "match": { "source": "10.0.0.0/8" } },
        { "action": "allow", "match": { "identity": "spiffe://td/ns/*/sa/web" } },
    ] }));
    for (exchange, passed) in [
        (Exchange::get("/").source("10.1.2.3"), true),
        (Exchange::get("/").source("10.9.2.3"), false),
        (Exchange::get("/").source("::ffff:10.9.2.3"), false),
        (Exchange::get("/").source("192.0.2.1"), false),
        (Exchange::get("/").source("192.0.2.1").client_identity("spiffe://td/ns/a/sa/web"), true),
        (Exchange::get("/").source("unknown"), false),
    ] {
        assert_eq!(passes(&send(&acl, exchange.clone())), passed, "{exchange:?}");
    }
}

#[test]
fn lists_are_inputs() {
    let config = json!({ "default": "allow", "rules": [
        { "action": "deny", "list": ["bad", "worse"], "not-list": "ours" },
    ] });
    let inputs = [("bad", "203.0.113.0/24\n2001:db8::/32"), ("worse", "198.51.100.1-198.51.100.5"), ("ours", "203.0.113.7")];
    let with = |inputs: &[(&str, &str)]| -> Result<Configured<Acl>, ConfigError> {
        let host = inputs.iter().fold(Host::new(), |host, (name, content)| host.input(name, *content));
        host.configure(config.clone())
    };
    let acl = with(&inputs).unwrap();
    for (source, passed) in [
        ("203.0.113.1", false),
        ("203.0.113.7", true),
        ("198.51.100.5", false),
        ("198.51.100.6", true),
        ("2001:db8::1", false),
        ("::ffff:203.0.113.1", false),
        ("unknown", true),
    ] {
        assert_eq!(passes(&send(&acl, Exchange::get("/").source(source))), passed, "{source}");
    }
    let missing = with(&[("bad", "")]).unwrap_err().to_string();
    assert_eq!(missing, "expected an input `worse` in the filter's `inputs`, found none");
    let wrong = with(&[("bad", "10.0.0.0/8\nx"), ("worse", ""), ("ours", "")]).unwrap_err().to_string();
    assert_eq!(wrong, "the input `bad`: line 2: expected an address or a range such as 10.0.0.0/8, found \"x\"");
}

#[test]
fn what_is_watched_denies_nobody() {
    let rule = json!({ "name": "new", "action": "deny", "match": { "path": "/a" } });
    let whole = acl(json!({ "audit": true, "rules": [rule] }));
    let mut audited = rule.clone();
    audited["audit"] = json!(true);
    let one = acl(json!({ "rules": [audited] }));
    for acl in [&whole, &one] {
        let outcome = send(acl, Exchange::get("/a"));
        assert!(passes(&outcome));
        assert_eq!((outcome.note("acl.rule"), outcome.note("acl.decision")), (Some("new"), Some("would-deny")));
    }
    assert!(passes(&send(&whole, Exchange::get("/b"))) && !passes(&send(&one, Exchange::get("/b"))));
}

#[test]
fn a_denial_is_what_the_configuration_says() {
    let acl = acl(json!({ "deny": {
        "status": 401, "body": "{\"path\": \"{path}\"}".replace("{\"", "{{\"").replace("\"}", "\"}}"), "content-type": "application/json",
        "headers": { "www-authenticate": "Basic realm=\"{host}\"" }, "grpc-status": 16, "grpc-message": "who are you?",
    } }));
    let answer = send(&acl, Exchange::get("/a").authority("a.example"));
    let answer = answer.response().unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().as_str()), (401, r#"{"path": "/a"}"#));
    assert_eq!(answer.header("www-authenticate").unwrap(), "Basic realm=\"a.example\"");
    let grpc = send(&acl, Exchange::post("/s/M").header("content-type", "application/grpc+proto"));
    let grpc = grpc.response().unwrap();
    let status = grpc.header("grpc-status").or(grpc.trailer("grpc-status")).unwrap();
    assert_eq!((grpc.status().as_u16(), status.to_str().unwrap()), (200, "16"));
}

#[test]
fn a_mistake_says_where_it_is() {
    for (config, said) in [
        (json!({ "rules": [{}] }), "rules[0]: missing key `action`"),
        (json!({ "rules": [{ "action": "pass" }] }), "rules[0].action: unknown word `pass`; known are `allow`, `deny`"),
        (json!({ "deny": { "status": 200 } }), "deny.status: expected 400 to 599, found 200"),
        (json!({ "deny": { "grpc-status": 0 } }), "deny.grpc-status: expected 1 to 16, found 0"),
        (
            json!({ "rules": [{ "action": "deny", "match": { "source": "10.0.0.1/8" } }] }),
            "rules[0].match.source: expected \"10.0.0.0/8\", for bits are set in \"10.0.0.1/8\" that the range leaves open",
        ),
    ] {
        assert_eq!(configure::<Acl>(config).unwrap_err().to_string(), said);
    }
}

#[test]
fn raw_connections_are_judged_by_who_they_are_and_whom_they_ask_for() {
    let host = Host::new().input("blocked", "203.0.113.0/24");
    let acl = host
        .configure::<Acl>(json!({ "rules": [
            { "name": "blocked", "action": "deny", "list": "blocked" },
            { "name": "paths", "action": "allow", "match": { "path-prefix": "/", "source": "0.0.0.0/0" } },
            { "name": "fields", "action": "allow", "match": { "headers": { "x-key": "a" } } },
            { "name": "office", "action": "allow", "match": { "source": "10.0.0.0/8", "host": "*.db.example" } },
            { "name": "mesh", "action": "allow", "match": { "identity": "spiffe://prod/ns/*/sa/web" } },
        ] }))
        .unwrap();
    for (connection, passed, rule) in [
        (Exchange::raw().source("203.0.113.9").tls("a.db.example"), false, "blocked"),
        (Exchange::raw().source("10.1.2.3").tls("A.db.example"), true, "office"),
        (Exchange::raw().source("10.1.2.3").tls("a.example"), false, "default"),
        (Exchange::raw().source("10.1.2.3"), false, "default"),
        (Exchange::raw().client_identity("spiffe://prod/ns/shop/sa/web"), true, "mesh"),
        (Exchange::raw(), false, "default"),
    ] {
        let outcome = connection.through(&acl);
        assert_eq!((outcome.is_whole(), outcome.note("acl.rule")), (passed, Some(rule)));
        assert_eq!(outcome.note("acl.decision"), Some(if passed { "allowed" } else { "denied" }));
    }
    let audited = self::acl(json!({ "audit": true }));
    let outcome = Exchange::raw().through(&audited);
    assert_eq!((outcome.is_whole(), outcome.note("acl.decision")), (true, Some("would-deny")));
}
