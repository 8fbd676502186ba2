//! A module that changes on disk is swapped while requests flow; one that is broken changes nothing, and the admin says why.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tamis_tests::guests::Watched;
use tamis_tests::{Edge, Gate, Origin, Proxy, guest, matrix, origin};

fn stamping(edge: Edge, origin: &Origin, module: &Watched) -> Proxy {
    edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        filters = ["stamp"]
        limits = {{ requests-per-connection = 0 }}
        [filters.stamp]
        module = "{module}"
        [clusters.origin]
        endpoints = ["{origin}"]
        "#
    ))
}

async fn swaps(proxy: &Proxy) -> u64 {
    proxy.filter("stamp").await["swaps"].as_u64().expect("swaps are counted")
}

matrix!(a_changed_module_is_swapped);
async fn a_changed_module_is_swapped(edge: Edge) {
    let origin = origin().route("/", "").run();
    let module = guest("stamp-a").watched();
    let proxy = stamping(edge, &origin, &module);
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.header("x-stamp"), Some("a"));
    let before = proxy.filter("stamp").await;
    module.becomes(&guest("stamp-b"));
    let after = proxy.filter_becomes("stamp", |filter| filter["swaps"] != before["swaps"]).await;
    assert_eq!(after["swaps"].as_u64(), before["swaps"].as_u64().map(|swaps| swaps + 1));
    assert_ne!(after["hash"], before["hash"]);
    assert_eq!(client.get("/").await.header("x-stamp"), Some("b"));
}

matrix!(no_request_fails_while_modules_are_swapped);
async fn no_request_fails_while_modules_are_swapped(edge: Edge) {
    const SWAPS: u64 = 6;
    let origin = origin().route("/", "").run();
    let module = guest("stamp-a").watched();
    let proxy = stamping(edge, &origin, &module);
    let stop = Arc::new(AtomicBool::new(false));
    let mut asking = Vec::new();
    for _ in 0..4 {
        let (client, stop) = (proxy.client().await, stop.clone());
        asking.push(tokio::spawn(async move {
            let mut stamps = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let answer = client.get("/").await;
                assert_eq!(answer.status, 200);
                stamps.push(answer.header("x-stamp").expect("every answer is stamped").to_owned());
            }
            stamps.dedup();
            stamps
        }));
    }
    let first = swaps(&proxy).await;
    for round in 1..=SWAPS {
        module.becomes(&guest(if round % 2 == 0 { "stamp-a" } else { "stamp-b" }));
        proxy.filter_becomes("stamp", |filter| filter["swaps"].as_u64() == Some(first + round)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for asking in asking {
        let stamps = asking.await.unwrap();
        assert!(stamps.len() > 1 && stamps.windows(2).all(|two| two[0] != two[1]), "every client saw both builds: {stamps:?}");
    }
}

matrix!(an_exchange_under_way_finishes_with_the_old_module);
async fn an_exchange_under_way_finishes_with_the_old_module(edge: Edge) {
    let gate = Gate::new();
    let origin = origin().gated("/late", &gate, "").route("/", "").run();
    let module = guest("stamp-a").watched();
    let proxy = stamping(edge, &origin, &module);
    let late = tokio::spawn(proxy.client().await.get("/late").into_future());
    gate.arrived().await;
    let before = swaps(&proxy).await;
    module.becomes(&guest("stamp-b"));
    proxy.filter_becomes("stamp", |filter| filter["swaps"].as_u64() > Some(before)).await;
    assert_eq!(proxy.client().await.get("/").await.header("x-stamp"), Some("b"));
    gate.open();
    assert_eq!(late.await.unwrap().header("x-stamp"), Some("a"));
}

matrix!(a_broken_module_keeps_the_old_one);
async fn a_broken_module_keeps_the_old_one(edge: Edge) {
    let origin = origin().route("/", "").run();
    let module = guest("stamp-a").watched();
    let proxy = stamping(edge, &origin, &module);
    let client = proxy.client().await;
    let before = proxy.filter("stamp").await;
    assert_eq!(before["failed"], serde_json::Value::Null);
    let half = &guest("stamp-b").bytes()[..1000];
    for broken in [b"no module".as_slice(), b"\0asm\x01\0\0\0", half] {
        let last = proxy.filter("stamp").await["failed"]["error"].clone();
        module.becomes_bytes(broken);
        let after = proxy.filter_becomes("stamp", |filter| filter["failed"]["error"] != last).await;
        assert!(after["failed"]["error"].as_str().is_some_and(|error| !error.is_empty()), "{after}");
        assert!(after["failed"]["at"].is_string(), "{after}");
        assert_eq!((&after["swaps"], &after["hash"]), (&before["swaps"], &before["hash"]));
        assert_eq!(client.get("/").await.header("x-stamp"), Some("a"));
    }
    module.becomes(&guest("stamp-b"));
    proxy.filter_becomes("stamp", |filter| filter["swaps"] != before["swaps"]).await;
    assert_eq!(client.get("/").await.header("x-stamp"), Some("b"));
}

matrix!(a_module_that_refuses_its_configuration_keeps_the_old_one);
async fn a_module_that_refuses_its_configuration_keeps_the_old_one(edge: Edge) {
    let origin = origin().route("/", "").run();
    let module = guest("stamp-a").watched();
    let proxy = stamping(edge, &origin, &module);
    module.becomes(&guest("refuse"));
    let after = proxy.filter_becomes("stamp", |filter| !filter["failed"].is_null()).await;
    let error = after["failed"]["error"].as_str().unwrap();
    assert!(error.contains("expected a number, found \"x\""), "what the filter says is told: {error}");
    assert_eq!(proxy.client().await.get("/").await.header("x-stamp"), Some("a"));
}

matrix!(a_module_that_goes_away_keeps_serving);
async fn a_module_that_goes_away_keeps_serving(edge: Edge) {
    let origin = origin().route("/", "").run();
    let module = guest("stamp-a").watched();
    let proxy = stamping(edge, &origin, &module);
    module.goes_away();
    assert_eq!(proxy.client().await.get("/").await.header("x-stamp"), Some("a"));
    let before = swaps(&proxy).await;
    module.becomes(&guest("stamp-b"));
    proxy.filter_becomes("stamp", |filter| filter["swaps"].as_u64() > Some(before)).await;
    assert_eq!(proxy.client().await.get("/").await.header("x-stamp"), Some("b"));
}

matrix!(a_module_with_the_same_content_is_not_swapped);
async fn a_module_with_the_same_content_is_not_swapped(edge: Edge) {
    let origin = origin().route("/", "").run();
    let module = guest("stamp-a").watched();
    let proxy = stamping(edge, &origin, &module);
    let before = swaps(&proxy).await;
    module.becomes(&guest("stamp-a"));
    module.becomes(&guest("stamp-b"));
    let after = proxy.filter_becomes("stamp", |filter| filter["swaps"].as_u64() > Some(before)).await;
    assert_eq!(after["swaps"].as_u64(), Some(before + 1));
}

matrix!(a_filter_comes_and_goes_with_the_configuration);
async fn a_filter_comes_and_goes_with_the_configuration(edge: Edge) {
    let origin = origin().route("/", "").run();
    let without = format!("[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']");
    let with = format!(
        "[listeners.edge]\ncluster = 'origin'\nfilters = ['stamp']\n[filters.stamp]\nmodule = '{}'\n[clusters.origin]\nendpoints = ['{origin}']",
        guest("stamp-a")
    );
    let proxy = edge.proxy(&without);
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.header("x-stamp"), None);
    for (configuration, stamp) in [(&with, Some("a")), (&without, None)] {
        proxy.rewrite(configuration);
        while client.get("/").await.header("x-stamp") != stamp {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}
