//! Stores, quotas and metrics as filters use them: every function, what was not granted, and what comes back when an exchange ends.

use serde_json::{Value, json};
use tamis_tests::{Client, Edge, Gate, Proxy, chain, matrix, origin, proxy, refused, scenario};

const GRANTED: &str = "allow = { stores = ['kept'] }";

fn storing() -> Proxy {
    proxy(format!(
        "{}[stores.kept]\nvalue-bytes = '1KiB'\nkey-bytes = '32B'\n[stores.secret]\n",
        chain("127.0.0.1:1", &[("stores", GRANTED)])
    ))
}

async fn done(client: &Client, what: &str) -> Value {
    client.get(&format!("/stores/{what}")).await.json()
}

scenario!(a_filter_uses_every_function_of_a_store);
async fn a_filter_uses_every_function_of_a_store() {
    let proxy = storing();
    // Each on a connection of its own, so that both workers are asked.
    for (what, expected) in [
        ("kept/get/a", json!({ "ok": null })),
        ("kept/set/a/1", json!({ "ok": null })),
        ("kept/get/a", json!({ "ok": "1" })),
        ("kept/set/a/2", json!({ "ok": null })),
        ("kept/get/a", json!({ "ok": "2" })),
        ("kept/cas/a/1/3", json!({ "ok": false })),
        ("kept/cas/a/2/3", json!({ "ok": true })),
        ("kept/get/a", json!({ "ok": "3" })),
        ("kept/cas/a/-/4", json!({ "ok": false })),
        ("kept/delete/a", json!({ "ok": null })),
        ("kept/delete/a", json!({ "ok": null })),
        ("kept/get/a", json!({ "ok": null })),
        ("kept/cas/a/-/4", json!({ "ok": true })),
        ("kept/increment/n/5", json!({ "ok": 5 })),
        ("kept/increment/n/-7", json!({ "ok": -2 })),
        ("kept/set/b/v?size=1024", json!({ "error": "too-large" })),
        ("kept/get/b", json!({ "ok": null })),
        ("kept/set/a-key-that-is-longer-than-thirty-two-bytes/v", json!({ "error": "too-large" })),
        ("secret/get/a", json!({ "error": "not-allowed" })),
        ("unknown/get/a", json!({ "error": "not-allowed" })),
    ] {
        assert_eq!(done(&proxy.client().await, what).await, expected, "{what}");
    }
}

scenario!(a_value_lives_as_long_as_it_was_given);
async fn a_value_lives_as_long_as_it_was_given() {
    let proxy = storing();
    let client = proxy.client().await;
    for what in ["kept/set/a/1?ttl=60000", "kept/set/b/1?ttl=1", "kept/increment/n/1?ttl=1"] {
        done(&client, what).await;
    }
    while done(&client, "kept/get/b").await["ok"] != json!(null) {}
    assert_eq!(done(&client, "kept/get/a").await["ok"], "1");
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    assert_eq!(done(&client, "kept/increment/n/1").await["ok"], 1, "it begins anew");
}

scenario!(a_store_that_is_not_there_cannot_be_granted);
async fn a_store_that_is_not_there_cannot_be_granted() {
    let said = refused(
        format!("{}[stores.other]\n", chain("127.0.0.1:1", &[("stores", GRANTED)]))
            .replace("[listeners.edge]", "[listeners.edge]\nlisten = '127.0.0.1:0'"),
    );
    assert!(said.contains("kept") && said.contains("other"), "what was named, and what there is: {said}");
}

fn limited(edge: Edge, origin: impl std::fmt::Display, ask: &str, others: &[(&str, &str)]) -> Proxy {
    let quotas = format!("{GRANTED}\nconfig = {{ store = 'kept', asks = [{ask}] }}");
    let filters: Vec<_> = [("quotas", quotas.as_str())].into_iter().chain(others.iter().copied()).collect();
    edge.proxy(format!("{}[stores.kept]\n", chain(origin, &filters)))
}

matrix!(a_rate_is_shared_by_all_workers);
async fn a_rate_is_shared_by_all_workers(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let proxy = limited(edge, &origin, "{ key = 'all', kind = 'rate', limit = 3, window-ms = 60000, burst = 3 }", &[]);
    for left in [2, 1, 0] {
        let answer = proxy.client().await.get("/").header("x-key", "a").await;
        assert_eq!(answer.status, 200);
        let decisions: Value = serde_json::from_str(answer.header("x-quota").unwrap()).unwrap();
        assert_eq!((&decisions[0]["allowed"], &decisions[0]["remaining"]), (&json!(true), &json!(left)));
    }
    let refused = proxy.client().await.get("/").header("x-key", "a").await;
    assert_eq!(refused.status, 429);
    let wait = refused.json()[0]["retry-after-ms"].as_u64().unwrap();
    assert!((1..=20_000).contains(&wait), "a third of a minute at most: {wait}");
    assert_eq!(proxy.client().await.get("/").header("x-key", "b").await.status, 200, "another key is another quota");
}

matrix!(asks_are_all_or_nothing);
async fn asks_are_all_or_nothing(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let asks = "{ key = 'wide', kind = 'calendar', limit = 2, window-ms = 3600000 }, { key = 'narrow', kind = 'calendar', limit = 1, window-ms = 3600000 }";
    let proxy = limited(edge, &origin, asks, &[]);
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.status, 200);
    for _ in 0..3 {
        let refused = client.get("/").await;
        assert_eq!(refused.status, 429);
        let json = refused.json();
        assert_eq!(
            (&json[0]["allowed"], &json[0]["remaining"], &json[1]["allowed"]),
            (&json!(true), &json!(1), &json!(false)),
            "{json}"
        );
    }
}

const ONE_AT_ONCE: &str = "{ key = 'all', kind = 'concurrency', limit = 1 }";

matrix!(what_runs_at_once_is_given_back_however_it_ends);
async fn what_runs_at_once_is_given_back_however_it_ends(edge: Edge) {
    let gate = Gate::new();
    let origin = origin().gated("/slow", &gate, "slow").route("/", "here").run();
    let proxy = limited(edge, &origin, ONE_AT_ONCE, &[("reset", ""), ("trap", ""), ("reply", "")]);
    let (client, other) = (proxy.client().await, proxy.client().await);
    let slow = tokio::spawn(client.get("/slow").into_future());
    gate.arrived().await;
    assert_eq!(other.get("/").await.status, 429, "one is under way");
    gate.open();
    assert_eq!(slow.await.unwrap().text(), "slow");
    let free = async |after: &str| {
        while proxy.client().await.get("/").await.status == 429 {
            tokio::task::yield_now().await;
        }
        assert_eq!(proxy.client().await.get("/").await.status, 200, "after {after}");
    };
    free("an answer").await;
    for (field, what) in
        [("x-reset", "a reset"), ("x-trap", "a trap"), ("x-trap-response", "a trap at the answer"), ("x-reply", "a reply")]
    {
        proxy.client().await.get("/").header(field, "1").whole().await.ok();
        free(what).await;
    }
    let leaving = proxy.client().await;
    let slow = tokio::spawn(leaving.get("/slow").whole());
    gate.arrived().await;
    slow.abort();
    drop(leaving);
    free("a client that left").await;
    gate.open();
}

scenario!(what_filters_count_stands_among_the_metrics);
async fn what_filters_count_stands_among_the_metrics() {
    let origin = origin().route("/", "here").run();
    let proxy = proxy(chain(&origin, &[("meter", "")]));
    for label in ["a", "a", "b \"quoted\""] {
        let request = proxy.client().await.get("/").header("x-label", label).header("x-gauge", "2.5").header("x-size", "100");
        request.header("x-add", "3").await;
    }
    for (series, value) in [
        (r#"guest_requests_total{filter="meter",label="a",method="GET"}"#, 2.0),
        (r#"guest_requests_total{filter="meter",label="a",method="added"}"#, 6.0),
        (r#"guest_requests_total{filter="meter",label="b \"quoted\"",method="GET"}"#, 1.0),
        (r#"guest_level{filter="meter"}"#, 2.5),
        (r#"guest_size_bytes_count{filter="meter",label="a"}"#, 2.0),
        (r#"guest_size_bytes_sum{filter="meter",label="a"}"#, 200.0),
    ] {
        assert_eq!(proxy.metric(series).await, Some(value), "{series} in\n{}", proxy.admin("/metrics").await.text());
    }
}

scenario!(series_past_the_limit_are_counted_as_others);
async fn series_past_the_limit_are_counted_as_others() {
    const SERIES_MAX: usize = 1000;
    let origin = origin().forgetting().route("/", "").run();
    let proxy = proxy(
        chain(&origin, &[("meter", "")])
            .replace("cluster = 'origin'", "cluster = 'origin'\nlimits = { requests-per-connection = 0 }"),
    );
    let client = proxy.client().await;
    for number in 0..SERIES_MAX + 50 {
        client.get("/").header("x-label", &number.to_string()).await;
    }
    let other = proxy.metric(r#"guest_requests_total{filter="meter",label="other",method="other"}"#).await;
    assert!(other.is_some_and(|other| (50.0..=60.0).contains(&other)), "{other:?}");
    let text = proxy.admin("/metrics").await.text().to_owned();
    let series = text.lines().filter(|line| line.starts_with("guest_requests_total{")).count();
    assert!(series <= SERIES_MAX + 1, "{series}");
}
