//! What a user of a mesh would look for: finer matches, sticky splits, rewrites, settings, answers.

use router::Router;
use serde_json::{Value, json};
use tamis_sdk::testing::{Configured, Exchange, Outcome, configure};
use tamis_sdk::{Hook, Method, Verdict};

const CLUSTERS: [&str; 4] = ["a", "b", "c", "spare"];

fn routed(route: Value) -> Configured<Router> {
    configure(json!({ "routes": [route] })).unwrap()
}

fn send(router: &Configured<Router>, exchange: Exchange) -> Outcome {
    exchange.clusters(CLUSTERS).chain("later").cluster("default").through(router)
}

fn mistake(route: Value) -> String {
    configure::<Router>(json!({ "routes": [route] })).unwrap_err().to_string()
}

#[test]
fn each_kind_of_condition_decides() {
    let get = || Exchange::get("/x?v=2&w=a%20b");
    for (matches, exchange, fits) in [
        (json!({ "query": { "v": "2" } }), get(), true),
        (json!({ "query": { "v": "3" } }), get(), false),
        (json!({ "query": { "w": "a b" } }), get(), true),
        (json!({ "query": { "u": { "absent": true } } }), get(), true),
        (json!({ "cookies": { "tier": { "prefix": "go" } } }), get().header("cookie", "a=b; tier=gold"), true),
        (json!({ "cookies": { "tier": "gold" } }), get().header("cookie", "xtier=gold"), false),
        (json!({ "headers": { "x-a": { "regex": "v[0-9]+" } } }), get().header("x-a", "v12"), true),
        (json!({ "headers": { "x-a": { "regex": "v[0-9]" } } }), get().header("x-a", "v12"), false),
        (json!({ "headers": { "x-a": { "exact": "no", "invert": true } } }), get().header("x-a", "yes"), true),
        (json!({ "headers": { "x-a": { "exact": "no", "invert": true } } }), get().header("x-a", "no"), false),
        (json!({ "source": ["10.0.0.0/8", "2001:db8::/32"] }), get().source("10.1.2.3"), true),
        (json!({ "source": "10.0.0.0/8" }), get().source("::ffff:10.1.2.3"), true),
        (json!({ "source": "10.0.0.0/8" }), get().source("192.0.2.1"), false),
        (json!({ "identity": "spiffe://td/ns/*/sa/web" }), get().client_identity("spiffe://td/ns/x/sa/web"), true),
        (json!({ "identity": "spiffe://td/ns/*/sa/web" }), get(), false),
        (json!({ "notes": { "tier": "gold" } }), get().note("tier", "gold"), true),
        (json!({ "notes": { "tier": "gold" } }), get(), false),
        (json!({ "scheme": "https" }), get().tls("a.example"), true),
        (json!({ "scheme": "https" }), get(), false),
        (json!({ "host": ["b.example", "*.c.example"] }), get().authority("x.c.example"), true),
        (json!({ "host": ["b.example", "*.c.example"] }), get().authority("a.example"), false),
        (json!({ "path-regex": "/(x|y)" }), get(), true),
        (json!({ "path-regex": "/(y|z)" }), get(), false),
    ] {
        let outcome = send(&routed(json!({ "match": matches, "to": "a" })), exchange);
        assert_eq!(outcome.cluster(), Some(if fits { "a" } else { "default" }), "{matches}");
    }
}

#[test]
fn expressions_come_after_templates_and_before_prefixes() {
    let routes = json!([
        { "match": { "path-prefix": "/v1/users" }, "to": "a" },
        { "match": { "path-regex": "/v(?P<version>[0-9])/users.*" }, "to": "b" },
        { "match": { "path-template": "/v1/users/{id}" }, "to": "c" },
    ]);
    let router = configure(json!({ "routes": routes })).unwrap();
    for (path, cluster) in [("/v1/users/7", "c"), ("/v1/users/7/x", "b"), ("/v1/users", "b"), ("/v10/users", "default")] {
        assert_eq!(send(&router, Exchange::get(path)).cluster(), Some(cluster), "{path}");
    }
    assert_eq!(send(&router, Exchange::get("/v2/users")).note("path.version"), Some("2"));
}

#[test]
fn who_is_sticky_stays() {
    let to = json!([{ "cluster": "a", "weight": 90 }, { "cluster": "b", "weight": 10 }]);
    let router = routed(json!({ "name": "split", "to": to, "sticky": ["header:x-user", "host"] }));
    let of = |user: u32, seed: u64| {
        let exchange = Exchange::get("/").authority("a.example").header("x-user", user.to_string()).seed(seed);
        send(&router, exchange).cluster().map(str::to_owned)
    };
    let first: Vec<_> = (0..2000).map(|user| of(user, 1)).collect();
    let again: Vec<_> = (0..2000).map(|user| of(user, 2)).collect();
    assert_eq!(first, again);
    let minority = first.iter().filter(|cluster| cluster.as_deref() == Some("b")).count();
    assert!((150..250).contains(&minority), "{minority} of 2000");
    // Without the field each request is drawn.
    let drawn: Vec<_> = (0..200).map(|seed| send(&router, Exchange::get("/").seed(seed)).cluster().map(str::to_owned)).collect();
    assert!(drawn.iter().any(|cluster| *cluster != drawn[0]));
}

#[test]
fn a_sticky_cookie_is_set_once_and_kept_to() {
    let to = json!([{ "cluster": "a", "weight": 1 }, { "cluster": "b", "weight": 1 }]);
    let router = routed(json!({ "to": to, "sticky": { "cookie": "split", "max-age": "1d" } }));
    for seed in 0..20 {
        let outcome = send(&router, Exchange::get("/").seed(seed).answered(200));
        let cookie = outcome.response().unwrap().header("set-cookie").unwrap().to_str().unwrap().to_owned();
        let (value, rest) = cookie.split_once(';').unwrap();
        assert_eq!(rest, " Path=/; HttpOnly; SameSite=Lax; Max-Age=86400");
        let again = send(&router, Exchange::get("/").header("cookie", format!("x=1; {value}")).answered(200));
        assert_eq!(again.cluster(), outcome.cluster());
        assert_eq!(again.response().unwrap().header("set-cookie"), None);
    }
    let secure = send(&router, Exchange::get("/").tls("a.example").answered(200));
    assert!(secure.response().unwrap().header("set-cookie").unwrap().to_str().unwrap().ends_with("; Secure"));
}

#[test]
fn paths_and_hosts_are_rewritten() {
    let regex = json!({ "pattern": "/(?P<kind>[a-z]+)/([0-9]+)", "replacement": "/$2/of/${kind}" });
    for (route, target, sent) in [
        (json!({ "to": "a", "rewrite-regex": regex }), "/users/7?q", "/7/of/users?q"),
        (json!({ "to": "a", "rewrite-regex": regex }), "/users/x", "/users/x"),
        (
            json!({ "to": "a", "match": { "path-template": "/u/{id}" }, "rewrite-path": "/users/{path.id}" }),
            "/u/7?q",
            "/users/7?q",
        ),
        (json!({ "to": "a", "match": { "path-prefix": "/u" }, "rewrite-prefix": "/users" }), "/u/7", "/users/7"),
    ] {
        assert_eq!(send(&routed(route.clone()), Exchange::get(target)).upstream().unwrap().target(), sent, "{route}");
    }
    let host = routed(json!({ "to": "a", "rewrite-host": "{header:x-tenant}.internal" }));
    let outcome = send(&host, Exchange::get("/").header("x-tenant", "t1"));
    assert_eq!(outcome.upstream().unwrap().authority(), "t1.internal");
    let outcome = send(&host, Exchange::get("/").header("x-tenant", "a b"));
    assert_eq!(outcome.response().unwrap().status(), 400);
}

#[test]
fn settings_go_with_the_exchange() {
    let router = routed(json!({
        "to": "a", "timeout": "2s", "fallback": "spare", "chain": "later", "hash-key": "header:x-user",
        "subset": { "version": "{header:x-version|stable}" },
        "retry": { "attempts": 3, "on": ["5xx", "429"], "per-try-timeout": "100ms" },
    }));
    let outcome = send(&router, Exchange::get("/").header("x-user", "eve"));
    assert_eq!(outcome.timeout().unwrap().as_secs(), 2);
    assert_eq!((outcome.fallback(), outcome.chain()), (Some("spare"), Some("later")));
    assert_eq!(outcome.hash_key(), Some("eve".as_bytes()));
    assert_eq!(outcome.subset(), [("version".to_owned(), "stable".to_owned())]);
    let retry = outcome.retry().unwrap();
    assert_eq!(
        (retry.attempts, retry.on, retry.per_try.unwrap().as_millis()),
        (3, &["5xx".to_owned(), "429".to_owned()][..], 100)
    );
    let safe = send(&routed(json!({ "to": "a", "retry": { "attempts": 2 } })), Exchange::get("/"));
    assert_eq!(safe.retry().unwrap().on, ["connect", "refused-stream"]);
    let unknown = send(&routed(json!({ "to": "a", "chain": "nowhere" })), Exchange::get("/"));
    assert_eq!(unknown.response().unwrap().status(), 503, "a chain may be what decides about access");
}

#[test]
fn fields_are_changed_both_ways() {
    let router = routed(json!({
        "match": { "path-template": "/users/{id}" }, "to": "a", "rewrite-path": "/",
        "request": { "set": { "x-user": "{path.id} of {path}" }, "remove": "x-secret" },
        "response": { "set": { "x-served": "{path.id}" } },
    }));
    let outcome = send(&router, Exchange::get("/users/7").header("x-secret", "1").answered(200));
    let sent = outcome.upstream().unwrap();
    assert_eq!((sent.header("x-user").unwrap().to_str().unwrap(), sent.header("x-secret")), ("7 of /users/7", None));
    assert_eq!(outcome.response().unwrap().header("x-served").unwrap(), "7");
    let plain = routed(json!({ "to": "a" }));
    assert!(!plain.wants(Hook::Response) && router.wants(Hook::Response), "who changes no answer does not pay for it");
}

#[test]
fn the_router_answers_itself() {
    let respond = json!({
        "status": 503, "body": "{{\"path\": \"{path}\"}}", "content-type": "application/json", "retry-after": "90s",
        "headers": { "x-why": "{header:x-a|nothing}" },
    });
    let outcome = send(&routed(json!({ "respond": respond })), Exchange::get("/a"));
    let answer = outcome.response().unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().as_str()), (503, r#"{"path": "/a"}"#));
    for (name, value) in [("content-type", "application/json"), ("retry-after", "90"), ("x-why", "nothing")] {
        assert_eq!(answer.header(name).unwrap(), value, "{name}");
    }
    assert!(outcome.upstream().is_none());
}

#[test]
fn delegations_lead_to_clusters() {
    let config = |overrides: Value| {
        let mut config = json!({
            "names": ["/svc => /cluster", "/svc/users => /prod/a ; /prod => /cluster"],
            "routes": [{ "to": "/svc/{header:x-service}" }],
        });
        if overrides.is_string() {
            config["overrides"] = overrides;
        }
        configure::<Router>(config).unwrap()
    };
    let asked = |service: &str| Exchange::get("/").header("x-service", service);
    let staged = |field: &str| asked("users").header(field, "/svc/users => /cluster/c");
    let router = config(Value::Null);
    for (exchange, cluster, seen) in [
        (asked("users"), "a", false),
        (asked("b"), "b", false),
        (staged("l5d-dtab").trusted(), "c", true),
        (staged("l5d-ctx-dtab").trusted(), "c", true),
        (staged("dtab-local").trusted(), "c", true),
        // From anybody else it is ignored, and does not reach the next hop.
        (staged("l5d-dtab"), "a", false),
    ] {
        let outcome = send(&router, exchange);
        assert_eq!(outcome.cluster(), Some(cluster));
        let fields = ["l5d-dtab", "l5d-ctx-dtab", "dtab-local"];
        assert_eq!(fields.iter().any(|field| outcome.upstream().unwrap().header(field).is_some()), seen);
    }
    let nobody = send(&config(json!("nobody")), staged("l5d-dtab").trusted());
    assert_eq!((nobody.cluster(), nobody.upstream().unwrap().header("l5d-dtab")), (Some("a"), None));
    for (service, status) in [("gone", 503), ("", 503), ("../x", 503)] {
        assert_eq!(send(&router, asked(service)).response().unwrap().status(), status, "{service}");
    }
    let bad = send(&router, asked("users").trusted().header("l5d-dtab", "no"));
    assert_eq!(bad.response().unwrap().status(), 400);
    assert!(bad.response().unwrap().text().contains("l5d-dtab"));
    // A router without names leaves the fields to whoever has some.
    let plain = send(&routed(json!({ "to": "a" })), staged("l5d-dtab"));
    assert!(plain.upstream().unwrap().header("l5d-dtab").is_some());
}

#[test]
fn what_does_not_go_together_is_refused() {
    for (route, said) in [
        (
            json!({ "to": "a", "respond": { "status": 200 } }),
            "routes[0]: expected one of `to`, `redirect` and `respond`, found several of them",
        ),
        (
            json!({ "respond": { "status": 200 }, "sticky": "source" }),
            "routes[0].sticky: expected a route with `to`, found one without",
        ),
        (json!({ "respond": { "status": 100 } }), "routes[0].respond.status: expected 200 to 599, found 100"),
        (
            json!({ "to": "a", "rewrite-path": "/", "rewrite-regex": { "pattern": "a", "replacement": "b" } }),
            "routes[0]: expected one of `rewrite-prefix`, `rewrite-path` and `rewrite-regex`, found several",
        ),
        (json!({ "to": "a", "retry": { "attempts": 0 } }), "routes[0].retry.attempts: expected at least 1, found 0"),
        (json!({ "to": "/svc//x" }), "routes[0].to: expected a name such as \"/svc/users\", found \"/svc//x\""),
        (
            json!({ "to": "a", "subset": { "v": "{nope}" } }),
            "routes[0].subset.v: expected a value such as {source}, {path} or {header:NAME}, found {nope}",
        ),
    ] {
        assert_eq!(mistake(route), said);
    }
    let occasion = mistake(json!({ "to": "a", "retry": { "attempts": 2, "on": ["connect", "sometimes"] } }));
    assert!(occasion.starts_with("routes[0].retry.on[1]: expected `connect`"), "{occasion}");
    let sticky = mistake(json!({ "to": "a", "sticky": "sauce" }));
    assert!(sticky.starts_with("routes[0].sticky: expected"), "{sticky}");
    let names = configure::<Router>(json!({ "names": "/a" })).unwrap_err().to_string();
    assert_eq!(names, "names: expected \"/prefix => /name\", found \"/a\"");
    assert!(matches!(send(&routed(json!({ "to": "a" })), Exchange::new(Method::POST, "/")).verdict(), Verdict::Next));
}
