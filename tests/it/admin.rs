//! What the admin tells an operator.

use tamis_tests::{Edge, guest, proxy, scenario};

scenario!(a_running_proxy_is_ready);
async fn a_running_proxy_is_ready() {
    let proxy = proxy("[listeners.edge]");
    assert_eq!(proxy.admin("/ready").await.status, 200);
}

scenario!(an_unknown_path_is_404);
async fn an_unknown_path_is_404() {
    let proxy = proxy("[listeners.edge]");
    assert_eq!(proxy.admin("/nonsense").await.status, 404);
}

scenario!(filters_are_listed);
async fn filters_are_listed() {
    let module = guest("stamp-a");
    let proxy = proxy(format!(
        r#"
        [listeners.edge]
        filters = ["stamp", "routes"]
        [filters.stamp]
        module = "{module}"
        [filters.routes]
        module = "builtin:router"
        [filters.routes.config]
        routes = []
        "#
    ));
    let answer = proxy.admin("/filters").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let stamp = proxy.filter("stamp").await;
    assert_eq!(
        (&stamp["module"], &stamp["swaps"], &stamp["failed"]),
        (&module.to_string().into(), &0.into(), &serde_json::Value::Null)
    );
    assert!(stamp["hash"].as_str().is_some_and(|hash| hash.len() >= 32), "{stamp}");
    assert!(stamp["since"].as_str().is_some_and(|since| since.starts_with("20") && since.contains('T')), "{stamp}");
    assert_eq!(proxy.filter("routes").await["module"], "builtin:router");
}

scenario!(metrics_are_text_for_a_scraper);
async fn metrics_are_text_for_a_scraper() {
    let proxy = proxy("[listeners.edge]\n[stores.sessions]\n[stores.quota]");
    let answer = proxy.admin("/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; version=0.0.4; charset=utf-8")));
    let page = answer.text();
    let expected = "# TYPE tamis_store_evictions_total counter\n\
        tamis_store_evictions_total{store=\"quota\"} 0\n\
        tamis_store_evictions_total{store=\"sessions\"} 0\n";
    assert!(page.contains(expected), "{page}");
}

scenario!(the_admin_is_not_for_proxying);
async fn the_admin_is_not_for_proxying() {
    let origin = tamis_tests::origin().route("/ready", "the origin's").run();
    let proxy = Edge::HTTP1_PLAIN.forward_to(&origin);
    assert_eq!(proxy.client().await.get("/ready").await.text(), "the origin's");
    assert_ne!(proxy.admin("/ready").await.text(), "the origin's");
}
