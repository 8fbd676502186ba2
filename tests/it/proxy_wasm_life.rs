//! What a filter made for proxy-wasm does wrong costs the exchanges in its instance and nothing else; versions, canaries and
//! observers are as with any filter.

use tamis_tests::{Edge, Gate, Origin, Proxy, chain, guest, matrix, origin, scenario};

fn trapping(edge: Edge, origin: &Origin, more: &str) -> Proxy {
    edge.proxy(format!("workers = 1\n{}", chain(origin, &[("pw-trap", more)])))
}

async fn seen(proxy: &Proxy, origin: &Origin) -> u32 {
    assert_eq!(proxy.client().await.get("/").await.status, 200);
    origin.requests().last().unwrap().header("x-seen").expect("it counts").parse().unwrap()
}

matrix!(a_trap_costs_one_instance_and_another_one_is_made);
async fn a_trap_costs_one_instance_and_another_one_is_made(edge: Edge) {
    let origin = origin().echo("*").run();
    for (path, deadline, memory) in [("/panic", "1s", "16MiB"), ("/loop", "50ms", "16MiB"), ("/hog", "5s", "8MiB")] {
        let proxy = trapping(edge, &origin, &format!("deadline = '{deadline}'\nmemory = '{memory}'"));
        assert_eq!((seen(&proxy, &origin).await, seen(&proxy, &origin).await), (1, 2), "one instance counts");
        let answer = proxy.client().await.get(path).await;
        assert_eq!((answer.status, answer.reason()), (500, Some("filter-failed")), "{path}");
        assert_eq!(seen(&proxy, &origin).await, 1, "{path}: it is another one");
        assert_eq!(proxy.failures("pw-trap").await, 1, "{path}");
    }
}

scenario!(exchanges_in_the_instance_fail_with_it);
async fn exchanges_in_the_instance_fail_with_it() {
    let origin = origin().echo("*").run();
    for (on_failure, status) in [("closed", 500), ("open", 200)] {
        let proxy = trapping(Edge::HTTP2_PLAIN, &origin, &format!("on-failure = '{on_failure}'"));
        let client = proxy.client().await;
        // In this order, over one connection.
        let (waiting, panicking) = tokio::join!(client.get("/wait").whole(), client.get("/panic").whole());
        assert_eq!(panicking.unwrap().status, status, "{on_failure}");
        assert_eq!(waiting.unwrap().status, status, "{on_failure}: it was in there too");
        assert_eq!(seen(&proxy, &origin).await, 1);
    }
}

scenario!(who_waits_for_ever_is_late);
async fn who_waits_for_ever_is_late() {
    let origin = origin().echo("*").run();
    let proxy = trapping(Edge::HTTP1_PLAIN, &origin, "hook-timeout = '50ms'");
    let answer = proxy.client().await.get("/wait").await;
    assert_eq!((answer.status, answer.reason()), (500, Some("filter-failed")));
    assert_eq!(seen(&proxy, &origin).await, 2, "the instance is as good as before");
}

matrix!(a_module_is_swapped_while_exchanges_are_in_it);
async fn a_module_is_swapped_while_exchanges_are_in_it(edge: Edge) {
    let gate = Gate::new();
    let service = origin().gated("/check", &gate, "user").run();
    let origin = origin().echo("/").run();
    let module = guest("pw-auth").watched();
    let configuration = chain(&origin, &[("pw-auth", "allow = { clusters = ['auth'] }")])
        .replace(&guest("pw-auth").to_string(), &module.to_string());
    let proxy = edge.proxy(format!("{configuration}[clusters.auth]\nendpoints = ['{service}']\n"));
    let waiting = proxy.client().await;
    let waiting = tokio::spawn(async move { waiting.get("/").await });
    gate.arrived().await;
    let before = proxy.filter("pw-auth").await["swaps"].clone();
    module.becomes(&guest("pw-headers"));
    proxy.filter_becomes("pw-auth", |filter| filter["swaps"] != before).await;
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.header("x-status-was")), (200, Some("200")), "the new one");
    gate.open();
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.header("x-passed")), (200, Some("yes")), "the old one");
    let before = proxy.filter("pw-auth").await["swaps"].clone();
    module.becomes(&guest("stamp-a"));
    proxy.filter_becomes("pw-auth", |filter| filter["swaps"] != before).await;
    assert_eq!(proxy.client().await.get("/").await.header("x-stamp"), Some("a"), "one of our own ABI");
}

scenario!(a_version_is_observed_beside_the_live_one);
async fn a_version_is_observed_beside_the_live_one() {
    let origin = origin().echo("*").run();
    let more = format!("observe = {{ module = '{}' }}", guest("pw-headers"));
    let proxy = Edge::HTTP1_PLAIN.proxy(chain(&origin, &[("pw-config", &more)]));
    let answer = proxy.client().await.get("/local").await;
    assert_eq!((answer.status, answer.header("x-config")), (200, Some("|")), "what is observed is not done");
    let series =
        "tamis_filter_observed_total{filter=\"pw-config@observed\",hook=\"request\",verdict=\"replied\",agrees=\"false\"}";
    proxy.metric_becomes(series, |count| count == 1.0).await;
}

scenario!(a_canary_gets_its_share);
async fn a_canary_gets_its_share() {
    let origin = origin().echo("*").run();
    let more = format!("canary = {{ module = '{}', percent = 50 }}", guest("pw-headers"));
    let proxy = Edge::HTTP1_PLAIN.proxy(chain(&origin, &[("pw-config", &more)]));
    let client = proxy.client().await;
    let (mut first, mut second) = (0, 0);
    for _ in 0..60 {
        let answer = client.get("/a").await;
        first += u32::from(answer.header("x-config").is_some());
        second += u32::from(answer.header("x-status-was").is_some());
    }
    assert_eq!(first + second, 60);
    assert!(first > 5 && second > 5, "{first} and {second}");
}
