//! Versions of a filter that are tried out: watched on copies, given a share of the exchanges, or on probation.

use serde_json::json;
use tamis_tests::{Edge, Origin, guest, matrix, origin, scenario};

fn with(origin: &Origin, module: &str, more: &str) -> String {
    format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        filters = ["f"]
        [clusters.origin]
        endpoints = ["{origin}"]
        [filters.f]
        module = "{module}"
        {more}
        "#
    )
}

matrix!(what_is_observed_changes_nothing);
async fn what_is_observed_changes_nothing(edge: Edge) {
    let origin = origin().route("/", "the origin's").run();
    let proxy = edge.proxy(with(&origin, &guest("reply").to_string(), "mode = 'observe'"));
    let answer = proxy.client().await.get("/").header("x-reply", "1").await;
    assert_eq!((answer.status, answer.text()), (200, "the origin's"));
    let series = r#"tamis_filter_observed_total{filter="f",hook="request",verdict="replied",agrees="false"}"#;
    assert_eq!(proxy.metric_becomes(series, |count| count > 0.0).await, 1.0);
}

matrix!(a_second_version_is_compared_with_the_live_one);
async fn a_second_version_is_compared_with_the_live_one(edge: Edge) {
    let origin = origin().route("/", "").run();
    for (second, agrees) in [("stamp-a", "true"), ("stamp-b", "false")] {
        let more = format!("observe = {{ module = '{}' }}", guest(second));
        let proxy = edge.proxy(with(&origin, &guest("stamp-a").to_string(), &more));
        assert_eq!(proxy.client().await.get("/").await.header("x-stamp"), Some("a"));
        let series =
            format!(r#"tamis_filter_observed_total{{filter="f@observed",hook="response",verdict="next",agrees="{agrees}"}}"#);
        assert_eq!(proxy.metric_becomes(&series, |count| count > 0.0).await, 1.0, "{second}");
    }
}

scenario!(what_is_observed_may_fail_as_it_likes);
async fn what_is_observed_may_fail_as_it_likes() {
    let origin = origin().route("/", "the origin's").run();
    let proxy = Edge::HTTP1_PLAIN.proxy(with(&origin, &guest("trap").to_string(), "mode = 'observe'"));
    let client = proxy.client().await;
    for _ in 0..30 {
        assert_eq!(client.get("/").header("x-trap", "1").await.status, 200);
    }
    let series = r#"tamis_filter_observed_total{filter="f",hook="request",verdict="failed",agrees="false"}"#;
    assert!(proxy.metric_becomes(series, |count| count > 0.0).await >= 1.0);
}

scenario!(what_is_observed_writes_where_nobody_reads);
async fn what_is_observed_writes_where_nobody_reads() {
    let origin = origin().route("/", "").run();
    let stores = guest("stores");
    let proxy = Edge::HTTP1_PLAIN.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        filters = ["watched", "live"]
        [clusters.origin]
        endpoints = ["{origin}"]
        [stores.s]
        [filters.watched]
        module = "{stores}"
        mode = "observe"
        allow = {{ stores = ["s"] }}
        [filters.live]
        module = "{stores}"
        allow = {{ stores = ["s"] }}
        "#
    ));
    let client = proxy.client().await;
    for count in 1..=3 {
        let answer = client.get("/stores/s/increment/k/1").await;
        assert_eq!(answer.json(), json!({ "ok": count }), "the watched one counts for itself");
    }
    let series = r#"tamis_filter_observed_total{filter="watched",hook="request",verdict="replied",agrees="false"}"#;
    assert!(proxy.metric_becomes(series, |count| count > 0.0).await >= 1.0);
    assert_eq!(client.get("/stores/s/get/k").await.json()["ok"], json!("3"));
}

matrix!(a_canary_gets_its_share);
async fn a_canary_gets_its_share(edge: Edge) {
    let origin = origin().route("/", "").run();
    let more = format!("canary = {{ module = '{}', percent = 50 }}", guest("stamp-b"));
    let proxy = edge.proxy(with(&origin, &guest("stamp-a").to_string(), &more));
    let client = proxy.client().await;
    let mut stamps = [0, 0];
    for _ in 0..200 {
        match client.get("/").await.header("x-stamp") {
            Some("a") => stamps[0] += 1,
            Some("b") => stamps[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    // Of 200 fair throws, fewer than 50 are as good as impossible (p < 1e-12).
    assert!(stamps.iter().all(|count| *count >= 50), "{stamps:?}");
}

scenario!(a_canary_that_keeps_failing_gets_nothing_more);
async fn a_canary_that_keeps_failing_gets_nothing_more() {
    let origin = origin().route("/", "").run();
    let more = format!("canary = {{ module = '{}', percent = 50 }}", guest("trap"));
    let proxy = Edge::HTTP1_PLAIN.proxy(with(&origin, &guest("stamp-a").to_string(), &more));
    let client = proxy.client().await;
    let mut failed = 0;
    for _ in 0..400 {
        failed += usize::from(client.get("/").header("x-trap", "1").await.status == 500);
    }
    assert!((20..100).contains(&failed), "it is given up after at least 20 calls, not after {failed}");
    for _ in 0..50 {
        assert_eq!(client.get("/").header("x-trap", "1").await.status, 200);
    }
}

scenario!(a_new_version_that_keeps_failing_makes_way);
async fn a_new_version_that_keeps_failing_makes_way() {
    let origin = origin().route("/", "").run();
    for on_failure in ["closed", "open"] {
        let module = guest("stamp-a").watched();
        let more = format!("on-failure = '{on_failure}'");
        let proxy = Edge::HTTP1_PLAIN.proxy(with(&origin, &module.to_string(), &more));
        let client = proxy.client().await;
        let before = proxy.filter("f").await["hash"].clone();
        module.becomes(&guest("trap"));
        proxy.filter_becomes("f", |filter| filter["hash"] != before).await;
        for _ in 0..40 {
            client.get("/").header("x-trap", "1").await;
        }
        let after = proxy.filter_becomes("f", |filter| filter["hash"] == before).await;
        assert!(after["failed"]["error"].as_str().is_some_and(|error| error.contains("probation")), "{after}");
        assert_eq!(client.get("/").header("x-trap", "1").await.header("x-stamp"), Some("a"), "{on_failure}");
    }
}

scenario!(a_pushed_version_that_keeps_failing_makes_way);
async fn a_pushed_version_that_keeps_failing_makes_way() {
    let origin = origin().route("/", "").run();
    let proxy = Edge::HTTP1_PLAIN.proxy(with(&origin, &guest("stamp-a").to_string(), ""));
    let before = proxy.filter("f").await["hash"].clone();
    let pushed = proxy.operator().await.request("PUT", "/filters/f/module").body(guest("trap").bytes()).await;
    assert_eq!(pushed.status, 200, "{}", pushed.text());
    let client = proxy.client().await;
    for _ in 0..40 {
        client.get("/").header("x-trap", "1").await;
    }
    let after = proxy.filter_becomes("f", |filter| filter["hash"] == before).await;
    assert_eq!(after["from"]["module"], json!("file"));
    assert_eq!(client.get("/").await.header("x-stamp"), Some("a"));
}
