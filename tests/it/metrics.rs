//! `/metrics`: what the exchanges of a listener and the hooks of a filter add up to.

use tamis_tests::{Client, Edge, Proxy, chain, matrix, origin, scenario};

/// Waits until the last byte of everything that was asked for is accounted for.
async fn idle(proxy: &Proxy) {
    let listener = "{listener=\"edge\"}";
    proxy.metric_becomes(&format!("tamis_requests_active{listener}"), |active| active == 0.0).await;
}

async fn get(client: &Client, paths: &[(&str, u16)]) {
    for (path, status) in paths {
        assert_eq!(client.get(path).await.status, *status, "{path}");
    }
}

matrix!(exchanges_are_counted_by_cluster_and_class);
async fn exchanges_are_counted_by_cluster_and_class(edge: Edge) {
    let origin = origin().route("/", "hello").run();
    let proxy = edge.proxy(chain(&origin, &[]));
    let client = proxy.client().await;
    get(&client, &[("/", 200), ("/", 200), ("/nothing", 404)]).await;
    idle(&proxy).await;
    let series = |name: &str, more: &str| format!("{name}{{listener=\"edge\",cluster=\"origin\"{more}}}");
    for (name, more, expected) in [
        ("tamis_requests_total", ",class=\"2xx\"", 2.0),
        ("tamis_requests_total", ",class=\"4xx\"", 1.0),
        ("tamis_request_duration_seconds_count", "", 3.0),
        ("tamis_request_duration_seconds_bucket", ",le=\"+Inf\"", 3.0),
    ] {
        assert_eq!(proxy.metric(&series(name, more)).await, Some(expected), "{name}{more}");
    }
    assert!(proxy.metric(&series("tamis_response_bytes_total", "")).await >= Some(10.0));
    assert_eq!(proxy.metric("tamis_connections_total{listener=\"edge\"}").await, Some(1.0));
    assert_eq!(proxy.metric("tamis_connections_active{listener=\"edge\"}").await, Some(1.0));
    let handshakes = proxy.metric("tamis_tls_handshakes_total{listener=\"edge\"}").await;
    assert_eq!(handshakes, (edge.scheme() == "https").then_some(1.0));
    drop(client);
    proxy.metric_becomes("tamis_connections_active{listener=\"edge\"}", |open| open == 0.0).await;
}

scenario!(answers_of_the_proxys_own_are_counted_by_their_reason);
async fn answers_of_the_proxys_own_are_counted_by_their_reason() {
    let nobody = origin().run().stop();
    let proxy = Edge::HTTP1_PLAIN.proxy(chain(nobody, &[]));
    get(&proxy.client().await, &[("/", 502), ("/", 502)]).await;
    idle(&proxy).await;
    let answers = "tamis_own_answers_total{listener=\"edge\",reason=\"connect-failed\"}";
    assert_eq!(proxy.metric(answers).await, Some(2.0));
}

scenario!(counts_go_on_after_a_reload_and_no_path_makes_a_series);
async fn counts_go_on_after_a_reload_and_no_path_makes_a_series() {
    let origin = origin().route("/", "hello").run();
    let proxy = Edge::HTTP1_PLAIN.proxy(chain(&origin, &[]));
    let client = proxy.client().await;
    get(&client, &[("/", 200)]).await;
    let lines = async || proxy.admin("/metrics").await.text().lines().count();
    get(&client, &[("/0", 404)]).await;
    idle(&proxy).await;
    let before = lines().await;
    for path in 1..100 {
        get(&client, &[(&format!("/{path}"), 404)]).await;
    }
    idle(&proxy).await;
    assert_eq!(lines().await, before);
    let second = tamis_tests::origin().route("/", "the second").run();
    proxy.rewrite(chain(&second, &[]));
    let mut asked = 1.0;
    loop {
        asked += 1.0;
        if client.get("/").await.text() == "the second" {
            break;
        }
    }
    idle(&proxy).await;
    let found = proxy.metric("tamis_requests_total{listener=\"edge\",cluster=\"origin\",class=\"2xx\"}").await;
    assert_eq!(found, Some(asked));
}

scenario!(hooks_are_counted_by_what_came_of_them);
async fn hooks_are_counted_by_what_came_of_them() {
    let origin = origin().route("/", "hello").run();
    let filter = "[filters.headers]\nmodule = 'builtin:headers'\n[filters.headers.config.response]\nset = { x-a = 'b' }\n";
    let toml = chain(&origin, &[]).replace("filters = []", "filters = ['headers']");
    let proxy = Edge::HTTP1_PLAIN.proxy(format!("{toml}{filter}"));
    get(&proxy.client().await, &[("/", 200)]).await;
    let calls = "tamis_filter_calls_total{filter=\"headers\",hook=\"response\",result=\"next\"}";
    proxy.metric_becomes(calls, |count| count == 1.0).await;
    assert!(proxy.metric("tamis_filter_seconds_total{filter=\"headers\",hook=\"response\"}").await > Some(0.0));
}
