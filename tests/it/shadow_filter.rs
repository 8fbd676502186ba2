//! The shadow filter that ships: copies for other clusters, of which the client's exchange knows nothing, and what is told of them.

use std::time::Duration;

use serde_json::{Value, json};
use tamis_tests::guests::hash;
use tamis_tests::{Edge, Gate, Origin, Proxy, Reply, matrix, origin, scenario, shipped};

/// Answers with its name.
fn service(name: &'static str) -> Origin {
    origin().route("*", name).run()
}

/// Waits until a series has counted so much.
async fn counts(proxy: &Proxy, series: &str, wished: f64) {
    proxy.metric_becomes(series, |counted| counted == wished).await;
}

/// Waits until the pairs of a rule are kept.
async fn pairs(proxy: &Proxy, rule: &str, wished: usize) -> Vec<Value> {
    for _ in 0..1000 {
        let answer = proxy.admin(&format!("/stores/pairs/shadow.{rule}")).await;
        if answer.status == 200 {
            let pairs: Vec<Value> = answer.json().as_array().unwrap().clone();
            if pairs.len() == wished {
                return pairs;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{wished} pairs were never kept");
}

matrix!(share);
async fn share(edge: Edge) {
    let [old, new] = ["old", "new"].map(service);
    let proxy = edge.proxy(shipped("shadow", "share", &[("users-v1", &old), ("users-v2", &new)]));
    let client = proxy.client().await;
    let mut copied = Vec::new();
    for round in 0..2 {
        for user in 0..40 {
            let answer = client.get("/users/1").header("x-user", &format!("user-{user}")).await;
            assert_eq!((answer.status, answer.text()), (200, "old"));
        }
        assert_eq!(client.post("/users/1", "x").header("x-user", "user-1").await.text(), "old");
        let expected = copied.len() * 2;
        if round == 0 {
            // Nothing tells that no further copy comes: the count stands still for a while.
            let (mut seen, mut still) = (0, 0);
            while still < 10 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let now = new.requests().len();
                still = if now == seen && now > 0 { still + 1 } else { 0 };
                seen = now;
            }
            copied = new.requests().iter().map(|seen| seen.header("x-user").unwrap().to_owned()).collect();
            assert!((1..15).contains(&copied.len()), "{copied:?}");
            counts(&proxy, r#"shadow_copies_total{filter="shadow",rule="users-v2",result="answered"}"#, copied.len() as f64)
                .await;
        } else {
            counts(&proxy, r#"shadow_copies_total{filter="shadow",rule="users-v2",result="answered"}"#, expected as f64).await;
        }
    }
    let mut again: Vec<_> =
        new.requests().iter().skip(copied.len()).map(|seen| seen.header("x-user").unwrap().to_owned()).collect();
    again.sort();
    copied.sort();
    assert_eq!(again, copied, "the same users both times");
    let seen = &new.requests()[0];
    assert_eq!((seen.header("x-shadow"), seen.method.as_str()), (Some("users-v2"), "GET"));
    assert_eq!(old.requests()[0].header("x-shadow"), None);
}

matrix!(compare);
async fn compare(edge: Edge) {
    let answering = |next: bool| {
        origin()
            .route_fn("*", move |request| async move {
                let path = request.uri().path().to_owned();
                let reply = Reply::new(if next && path.ends_with("status") { 203 } else { 200 });
                let reply =
                    reply.header("content-type", if next && path.ends_with("field") { "text/html" } else { "text/plain" });
                reply.body(if next && path.ends_with("body") { "two" } else { "one" })
            })
            .run()
    };
    let (search, next) = (answering(false), answering(true));
    let proxy = edge.proxy(shipped("shadow", "compare", &[("search", &search), ("search-next", &next)]));
    let client = proxy.client().await;
    for path in ["same", "status", "field", "body"] {
        let answer = client.get(&format!("/search/{path}?q=secret")).header("x-request-id", path).await;
        assert_eq!((answer.status, answer.text()), (200, "one"), "{path}");
    }
    let series = |what: &str| format!("shadow_differences_total{{filter=\"shadow\",rule=\"search-next\",in=\"{what}\"}}");
    for what in ["status", "content-type", "body"] {
        counts(&proxy, &series(what), 1.0).await;
    }
    counts(&proxy, r#"shadow_compared_total{filter="shadow",rule="search-next",result="same"}"#, 1.0).await;
    let mut pairs = pairs(&proxy, "search-next", 3).await;
    pairs.sort_by_key(|pair| pair["request-id"].to_string());
    let hex = |text: &str| format!("{:016x}", hash(text.as_bytes()));
    let told: Vec<_> = pairs.iter().map(|pair| (&pair["path"], &pair["primary"], &pair["copy"])).collect();
    let expected = [
        (json!("/search/body"), json!({ "body": hex("one") }), json!({ "body": hex("two") })),
        (json!("/search/field"), json!({ "content-type": ["text/plain"] }), json!({ "content-type": ["text/html"] })),
        (json!("/search/status"), json!({ "status": 200 }), json!({ "status": 203 })),
    ];
    assert_eq!(told, expected.iter().map(|(path, primary, copy)| (path, primary, copy)).collect::<Vec<_>>());
    let line = proxy.access_log().line_where("request_id", "body").await;
    assert_eq!(line["notes"]["shadow"], json!("search-next=0"), "{line}");
}

matrix!(several);
async fn several(edge: Edge) {
    let [orders, staging, archive] = ["orders", "staging", "archive"].map(|name| (name, origin().echo("*").run()));
    let clusters: Vec<(&str, &dyn std::fmt::Display)> =
        [&orders, &staging, &archive].map(|(name, origin)| (*name, origin as &dyn std::fmt::Display)).into();
    let proxy = edge.proxy(shipped("shadow", "several", &clusters));
    let client = proxy.client().await;
    let answer = client.post("/orders", "a thing").await.json();
    assert_eq!(
        (&answer["body"], &answer["headers"]["host"], &answer["headers"]["x-shadow"]),
        (&json!("a thing"), &json!(["edge.test"]), &json!(null))
    );
    for rule in ["staging", "archive-writes"] {
        counts(&proxy, &format!("shadow_copies_total{{filter=\"shadow\",rule=\"{rule}\",result=\"answered\"}}"), 1.0).await;
    }
    let (staged, archived) = (staging.1.request(), archive.1.request());
    assert_eq!(staged.header("x-staging-key"), Some("for-tests-only"));
    assert_eq!((staged.header("x-shadow"), staged.header("x-original-host")), (Some("staging"), Some("edge.test")));
    assert_eq!((staged.header("host"), archived.header("host")), (Some("orders.staging.example"), Some("edge.test")));
    assert_eq!((archived.header("x-archived-by"), archived.header("x-shadow")), (Some("archive-writes"), None));
    assert_eq!(client.get("/orders/1").await.status, 200);
    counts(&proxy, r#"shadow_copies_total{filter="shadow",rule="staging",result="answered"}"#, 2.0).await;
    assert_eq!(archive.1.requests().len(), 1, "what is read is not archived");
}

const SHADOW: &str =
    "[listeners.edge]\nfilters = ['shadow']\ncluster = 'app'\n[filters.shadow]\nmodule = 'builtin:shadow'\ndeadline = '1s'\n";

matrix!(nobody_waits_for_copies_that_hang_or_cannot_be_sent);
async fn nobody_waits_for_copies_that_hang_or_cannot_be_sent(edge: Edge) {
    let app = origin().echo("*").run();
    let gate = Gate::new();
    let hangs = origin().gated("*", &gate, "late").run();
    let nobody = origin().run().stop();
    let rules = "config = { rules = [{ cluster = 'hangs' }, { cluster = 'nobody', compare = {} }, { cluster = 'unknown' }] }";
    let clusters = format!(
        "[clusters.app]\nendpoints = ['{app}']\n[clusters.hangs]\nendpoints = ['{hangs}']\n[clusters.nobody]\nendpoints = ['{nobody}']\n"
    );
    let proxy = edge.proxy(format!("{SHADOW}{rules}\n{clusters}"));
    let client = proxy.client().await;
    for _ in 0..3 {
        assert_eq!(client.post("/", "hello").await.json()["body"], "hello");
    }
    for _ in 0..3 {
        gate.arrived().await;
        gate.open();
    }
    for (rule, result) in [("hangs", "answered"), ("nobody", "unanswered"), ("unknown", "refused")] {
        counts(&proxy, &format!("shadow_copies_total{{filter=\"shadow\",rule=\"{rule}\",result=\"{result}\"}}"), 3.0).await;
    }
    assert_eq!(proxy.failures("shadow").await, 0);
}

matrix!(a_body_past_the_limit_is_not_copied);
async fn a_body_past_the_limit_is_not_copied(edge: Edge) {
    let app = origin().echo("*").run();
    let copies = origin().echo("*").run();
    let rules = "config = { rules = [{ cluster = 'copies', body-limit = '5B' }] }";
    let proxy = edge
        .proxy(format!("{SHADOW}{rules}\n[clusters.app]\nendpoints = ['{app}']\n[clusters.copies]\nendpoints = ['{copies}']\n"));
    let client = proxy.client().await;
    for body in ["123456", "12345"] {
        assert_eq!(client.post("/", body).await.json()["body"], body);
    }
    for result in ["answered", "unsent"] {
        counts(&proxy, &format!("shadow_copies_total{{filter=\"shadow\",rule=\"copies\",result=\"{result}\"}}"), 1.0).await;
    }
    assert_eq!(copies.request().header("content-length"), Some("5"));
}

scenario!(what_a_store_keeps_is_for_whoever_may_change_filters);
async fn what_a_store_keeps_is_for_whoever_may_change_filters() {
    let proxy = tamis_tests::proxy("[listeners.edge]\n[stores.pairs]");
    let operator = proxy.operator().await;
    for (path, said) in [("/stores/none/a", "no store is called `none`"), ("/stores/pairs/a/b", "has no key `a/b`")] {
        let answer = operator.get(path).await;
        assert!(answer.status == 404 && answer.text().contains(said), "{path}: {}", answer.text());
    }
    assert_eq!(operator.get("/stores/pairs").await.status, 404);
    assert_eq!(operator.get("/stores/pairs/a").header("origin", "https://a.example").await.status, 403, "no web page may look");
    assert_eq!(operator.request("DELETE", "/stores/pairs/a").await.status, 405);
}
