//! Filters made for proxy-wasm, after the examples of its SDK: heads, configuration, metrics, shared data, queues, ticks.

use tamis_tests::{Edge, Origin, Proxy, chain, matrix, origin, refused, scenario};

fn through(edge: Edge, origin: &Origin, guest: &str, more: &str) -> Proxy {
    edge.proxy(chain(origin, &[(guest, more)]))
}

matrix!(heads_are_read_and_changed_both_ways);
async fn heads_are_read_and_changed_both_ways(edge: Edge) {
    let origin = origin().echo("/a").run();
    let proxy = through(edge, &origin, "pw-headers", "proxy-wasm = { root-id = 'mine' }");
    let request = proxy.client().await.get("/a").header("x-remove", "1").header("x-token", "t");
    let answer = request.await;
    let seen = origin.request();
    assert_eq!((seen.header("x-seen-count"), seen.header("x-seen-end")), (Some("true"), Some("true")));
    assert_eq!(seen.header("x-seen-first"), Some(":authority :path :method :scheme"));
    let added: Vec<_> = seen.headers.get_all("x-added").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!((added, seen.header("x-remove")), (vec!["one", "two"], None));
    assert_eq!((answer.status, answer.header("x-status-was"), answer.header("x-context")), (200, Some("200"), Some("true")));
    assert_eq!(answer.header("x-properties"), Some("GET /a pw-headers mine origin"));
    assert_eq!(answer.header("x-kept"), Some("kept"));
}

matrix!(a_filter_answers_itself_ends_and_rewrites);
async fn a_filter_answers_itself_ends_and_rewrites(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = through(edge, &origin, "pw-headers", "");
    let client = proxy.client().await;
    let answer = client.get("/local").header("x-token", "t").await;
    assert_eq!((answer.status, answer.text(), answer.header("x-token-was")), (418, "local", Some("t")));
    assert_eq!((answer.header("content-type"), answer.header("powered-by")), (Some("text/plain"), Some("proxy-wasm")));
    assert_eq!(answer.header("x-status-was"), Some("418"), "it sees its own answer pass");
    assert_eq!(client.get("/rewrite").await.status, 200);
    let seen = origin.request();
    assert_eq!(seen.target.as_str(), "/rewritten?a=b");
    assert_eq!(client.get("/status").await.status, 202);
    client.get("/reset").whole().await.expect_err("there is no answer");
    let client = proxy.client().await;
    assert_eq!(client.get("/after").await.status, 200, "nothing is wrong with the instance");
    assert_eq!(proxy.failures("pw-headers").await, 0);
}

matrix!(a_field_that_cannot_be_fails_its_exchange_and_no_other);
async fn a_field_that_cannot_be_fails_its_exchange_and_no_other(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = through(edge, &origin, "pw-headers", "");
    let client = proxy.client().await;
    let answer = client.get("/wrong").await;
    assert_eq!((answer.status, answer.reason()), (500, Some("filter-failed")));
    assert_eq!(client.get("/right").await.status, 200);
    assert_eq!(proxy.failures("pw-headers").await, 1);
}

scenario!(configurations_arrive_as_they_are);
async fn configurations_arrive_as_they_are() {
    let origin = origin().route("/", "").run();
    for (more, expected) in [
        ("", "|"),
        ("config = 'a: 1'\nproxy-wasm = { vm-config = 'vm' }", "vm|a: 1"),
        ("config = { a = 1 }\nproxy-wasm = { vm-config = { b = 2 } }", r#"{"b":2}|{"a":1}"#),
    ] {
        let proxy = through(Edge::HTTP1_PLAIN, &origin, "pw-config", more);
        assert_eq!(proxy.client().await.get("/").await.header("x-config"), Some(expected), "{more}");
    }
}

#[test]
fn what_cannot_be_is_told_when_the_configuration_is_read() {
    let listening = "[listeners.edge]\nlisten = '127.0.0.1:0'\n";
    let told = |more| refused(chain("127.0.0.1:1", &[("pw-config", more)]).replace("[listeners.edge]\n", listening));
    assert!(told("config = 'refuse'").contains("`proxy_on_configure` said no"));
    assert!(told("isolation = 'fresh'").contains("isolation"));
    assert!(told("proxy-wasm = { upstreams = { a = 'nowhere' } }").contains("nowhere"));
}

scenario!(metrics_are_counted_and_shown);
async fn metrics_are_counted_and_shown() {
    let origin = origin().echo("/").run();
    let proxy = through(Edge::HTTP1_PLAIN, &origin, "pw-metrics", "");
    let client = proxy.client().await;
    for count in ["2", "4"] {
        client.get("/").await;
        assert_eq!(origin.requests().last().unwrap().header("x-count"), Some(count));
    }
    let series = |name: &str| format!("wasmcustom_pw_test_{name}{{filter=\"pw-metrics\"}}");
    assert_eq!(proxy.metric(&series("Counter")).await, Some(4.0));
    assert_eq!(proxy.metric(&series("Gauge")).await, Some(6.0));
    assert_eq!(proxy.metric(&series("Histogram_count")).await, Some(2.0));
    assert_eq!(proxy.metric(&series("Histogram_sum")).await, Some(14.0));
}

scenario!(data_is_shared_by_all_instances);
async fn data_is_shared_by_all_instances() {
    let origin = origin().echo("/").run();
    let proxy = Edge::HTTP1_PLAIN.proxy(format!("workers = 2\n{}", chain(&origin, &[("pw-shared", "")])));
    // Whoever finds no value has no version to compare, and writes over that of another: only the first one may.
    assert_eq!(proxy.client().await.get("/").await.status, 200);
    let mut asking = Vec::new();
    for _ in 0..8 {
        let client = proxy.client().await;
        asking.push(tokio::spawn(async move {
            for _ in 0..10 {
                assert_eq!(client.get("/").await.status, 200);
            }
        }));
    }
    for asking in asking {
        asking.await.unwrap();
    }
    let mut counts: Vec<u32> = origin.requests().iter().map(|seen| seen.header("x-count").unwrap().parse().unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=81).collect::<Vec<_>>());
}

scenario!(a_queue_is_emptied_by_who_registered_it_last);
async fn a_queue_is_emptied_by_who_registered_it_last() {
    let origin = origin().echo("*").run();
    let proxy = Edge::HTTP1_PLAIN.proxy(format!("workers = 2\n{}", chain(&origin, &[("pw-queue", "")])));
    let client = proxy.client().await;
    for path in ["/a", "/b", "/c"] {
        assert_eq!(client.get(path).await.status, 200);
    }
    loop {
        if client.get("/all").await.text() == "/a/b/c" {
            break;
        }
        tokio::task::yield_now().await;
    }
}

scenario!(it_ticks_and_calls_in_its_ticks);
async fn it_ticks_and_calls_in_its_ticks() {
    let keys = origin().route("/keys", "the keys").run();
    let more = format!("allow = {{ clusters = ['keys'] }}\n[clusters.keys]\nendpoints = ['{keys}']");
    let proxy = through(Edge::HTTP1_PLAIN, &keys, "pw-timer", &more);
    let client = proxy.client().await;
    loop {
        let answer = client.get("/").await;
        let ticks: u32 = answer.header("x-ticks").unwrap().parse().unwrap();
        if ticks >= 3 && answer.header("x-answer") == Some("the keys") {
            break;
        }
    }
    assert_eq!(keys.requests()[0].header("host"), Some("keys.test"));
}
