//! Where filters send exchanges: clusters, endpoints, chains, retries, copies, and how fast the answer flows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tamis_tests::{Edge, Gate, Origin, Reply, body, chain, guest, matrix, origin, raw_origin};

fn cluster(name: &str, endpoint: impl std::fmt::Display) -> String {
    format!("[clusters.{name}]\nendpoints = ['{endpoint}']\n")
}

/// Fails so many times, each in its own way, and answers then.
fn failing(times: usize, status: u16) -> Origin {
    let count = Arc::new(AtomicUsize::new(0));
    origin()
        .route_fn("/", move |request| {
            let fails = count.fetch_add(1, Ordering::SeqCst) < times;
            async move {
                use http_body_util::BodyExt;
                let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                if fails { Reply::new(status) } else { Reply::new(200).body(body) }
            }
        })
        .run()
}

matrix!(a_filter_chooses_the_cluster);
async fn a_filter_chooses_the_cluster(edge: Edge) {
    let (one, two) = (origin().route("/", "one").run(), origin().route("/", "two").run());
    let proxy = edge.proxy(format!("{}{}", chain(&one, &[("steer", "")]), cluster("two", &two)));
    let client = proxy.client().await;
    let answer = client.get("/").await;
    assert_eq!((answer.text(), answer.header("x-to-cluster"), answer.header("x-by-route")), ("one", Some("origin"), None));
    let answer = client.get("/").header("x-cluster", "two").header("x-route", "second").await;
    assert_eq!((answer.text(), answer.header("x-to-cluster"), answer.header("x-by-route")), ("two", Some("two"), Some("second")));
    let lines = proxy.access_log().lines(2).await;
    assert!(lines.iter().any(|line| (&line["cluster"], &line["route"]) == (&json!("two"), &json!("second"))), "{lines:#?}");
    for (field, value) in [
        ("x-cluster", "none"),
        ("x-fallback", "none"),
        ("x-chain", "none"),
        ("x-mirror", "none"),
        ("x-endpoint", "10.0.0.1:1"),
        ("x-endpoint", "nowhere"),
        ("x-retry", "2 sometimes"),
        ("x-retry", "0 connect"),
    ] {
        let answer = client.get("/").header(field, value).await;
        assert_eq!(answer.status, 400, "{field}: {value}");
        assert!(answer.json()[field].is_string(), "{field}: {value}: {}", answer.text());
    }
}

matrix!(a_cluster_without_an_endpoint_has_a_fallback);
async fn a_cluster_without_an_endpoint_has_a_fallback(edge: Edge) {
    let other = origin().route("/", "other").run();
    let empty = "[clusters.empty]\nendpoints = []\n";
    let proxy = edge.proxy(format!("{}{empty}", chain(&other, &[("steer", "")])));
    let client = proxy.client().await;
    let answer = client.get("/").header("x-cluster", "empty").await;
    assert_eq!((answer.status, answer.reason()), (503, Some("no-endpoint")));
    let answer = client.get("/").header("x-cluster", "empty").header("x-fallback", "origin").await;
    assert_eq!((answer.text(), answer.header("x-to-cluster")), ("other", Some("origin")));
}

matrix!(a_filter_chooses_the_endpoint);
async fn a_filter_chooses_the_endpoint(edge: Edge) {
    let (one, two) = (origin().route("/", "one").run(), origin().route("/", "two").run());
    let toml = chain(&one, &[("steer", "")]).replace(
        &format!("endpoints = ['{one}']"),
        &format!("endpoints = [{{ address = '{one}', labels = {{ zone = 'a' }} }}, {{ address = '{two}', labels = {{ zone = 'b', tier = '1' }} }}]"),
    );
    let proxy = edge.proxy(toml);
    let client = proxy.client().await;
    for _ in 0..5 {
        for (origin, text) in [(&one, "one"), (&two, "two")] {
            assert_eq!(client.get("/").header("x-endpoint", &origin.to_string()).await.text(), text);
        }
        for (subset, text) in [("zone=a", "one"), ("zone=b", "two"), ("tier=1,zone=b", "two")] {
            assert_eq!(client.get("/").header("x-subset", subset).await.text(), text, "{subset}");
        }
    }
    let answer = client.get("/").header("x-subset", "zone=c").await;
    assert_eq!((answer.status, answer.reason()), (503, Some("no-endpoint")));
}

matrix!(a_hash_key_finds_the_same_endpoint);
async fn a_hash_key_finds_the_same_endpoint(edge: Edge) {
    let origins: Vec<_> = (0..4).map(|number| origin().route("/", number.to_string()).run()).collect();
    let endpoints: Vec<_> = origins.iter().map(ToString::to_string).collect();
    let toml = chain("127.0.0.1:1", &[("steer", "")]);
    let proxy = edge.proxy(toml.replace("endpoints = ['127.0.0.1:1']", &format!("endpoints = {endpoints:?}\nbalance = 'hash'")));
    let mut found = std::collections::BTreeSet::new();
    for key in 0..16 {
        let key = format!("user-{key}");
        let first = proxy.client().await.get("/").header("x-hash-key", &key).await.text().to_owned();
        for _ in 0..3 {
            assert_eq!(proxy.client().await.get("/").header("x-hash-key", &key).await.text(), first, "{key}");
        }
        found.insert(first);
    }
    assert!(found.len() > 1, "keys are spread: {found:?}");
}

matrix!(a_filter_has_failures_tried_again);
async fn a_filter_has_failures_tried_again(edge: Edge) {
    for (times, status, retry, expected, attempts) in [
        (1, 503, "2 5xx", 200, 2),
        (2, 500, "3 5xx", 200, 3),
        (2, 503, "2 5xx", 503, 2),
        (1, 429, "2 429", 200, 2),
        (1, 404, "2 5xx", 404, 1),
        (1, 503, "2 connect", 503, 1),
    ] {
        let origin = failing(times, status);
        let proxy = edge.proxy(chain(&origin, &[("steer", "")]));
        let answer = proxy.client().await.post("/", "the body").header("x-retry", retry).await;
        assert_eq!((answer.status, origin.requests().len()), (expected, attempts), "{times} times {status} with {retry}");
        if expected == 200 {
            assert_eq!(answer.text(), "the body", "it was sent again");
        }
        assert_eq!(proxy.access_log().line().await["attempts"], attempts);
    }
}

matrix!(a_connection_that_breaks_is_tried_again);
async fn a_connection_that_breaks_is_tried_again(edge: Edge) {
    let count = Arc::new(AtomicUsize::new(0));
    let asked = count.clone();
    let origin = raw_origin(move |mut connection| {
        let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            connection.head().await;
            if !first {
                connection.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    let proxy = edge.proxy(chain(&origin, &[("steer", "")]));
    assert_eq!(proxy.client().await.get("/").header("x-retry", "2 reset").await.text(), "ok");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

matrix!(an_attempt_that_takes_too_long_is_tried_again);
async fn an_attempt_that_takes_too_long_is_tried_again(edge: Edge) {
    let gate = Gate::new();
    let count = Arc::new(AtomicUsize::new(0));
    let held = gate.clone();
    let origin = origin()
        .route_fn("/", move |_| {
            let first = count.fetch_add(1, Ordering::SeqCst) == 0;
            let held = held.clone();
            async move {
                if first {
                    held.pass().await;
                }
                Reply::new(200).body("quick")
            }
        })
        .run();
    let proxy = edge.proxy(chain(&origin, &[("steer", "")]));
    assert_eq!(proxy.client().await.get("/").header("x-retry", "2 timeout 100").await.text(), "quick");
}

matrix!(a_body_that_is_too_large_is_sent_once);
async fn a_body_that_is_too_large_is_sent_once(edge: Edge) {
    for (length, attempts) in [(64 * 1024, 2), (64 * 1024 + 1, 1)] {
        let origin = failing(1, 503);
        let proxy = edge.proxy(chain(&origin, &[("steer", "")]));
        let answer = proxy.client().await.post("/", body::pattern(length)).header("x-retry", "2 5xx").await;
        assert_eq!((answer.status, origin.requests().len()), (if attempts == 2 { 200 } else { 503 }, attempts), "{length}");
    }
}

matrix!(what_is_sent_again_is_what_left_the_filters);
async fn what_is_sent_again_is_what_left_the_filters(edge: Edge) {
    let origin = failing(1, 503);
    let proxy = edge.proxy(chain(&origin, &[("steer", ""), ("chunks", "")]));
    let request = proxy.client().await.post("/", "hello").header("x-retry", "2 5xx").header("x-request-chunks", "sign");
    let answer = request.await;
    assert_eq!(answer.text(), "hello-- signed");
    assert!(answer.header("x-request-chunks-seen").unwrap().starts_with("5 bytes"), "the filters saw it once: {answer:?}");
}

matrix!(a_copy_goes_to_another_cluster);
async fn a_copy_goes_to_another_cluster(edge: Edge) {
    let copies = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let seen = copies.clone();
    let copy = origin()
        .route_fn("*", move |request| {
            let (seen, sender) = (seen.clone(), sender.clone());
            async move {
                use http_body_util::BodyExt;
                let body = request.into_body().collect().await.unwrap().to_bytes();
                seen.lock().unwrap().push(body.clone());
                sender.send(body).ok();
                Reply::new(200)
            }
        })
        .run();
    let origin = origin().reflect("/").run();
    let proxy = edge.proxy(format!("{}{}", chain(&origin, &[("steer", "")]), cluster("copies", &copy)));
    let client = proxy.client().await;
    for length in [0, 100, 64 * 1024] {
        let sent = body::pattern(length);
        assert!(client.post("/", sent.clone()).header("x-mirror", "copies").await.body == sent);
        assert!(received.recv().await.unwrap() == sent, "{length} bytes");
    }
    assert!(client.post("/", body::pattern(64 * 1024 + 1)).header("x-mirror", "copies").await.body.len() > 64 * 1024);
    client.post("/", "last").header("x-mirror", "copies").await;
    assert_eq!(received.recv().await.unwrap(), "last", "the one that was too large was not copied");
}

matrix!(a_copy_is_never_waited_for);
async fn a_copy_is_never_waited_for(edge: Edge) {
    let slow = origin().hang("/").run();
    let dead = origin().run().stop();
    let origin = origin().reflect("/").run();
    let more = [cluster("slow", &slow), cluster("dead", dead)].concat();
    let proxy = edge.proxy(format!("{}{more}", chain(&origin, &[("steer", "")])));
    let client = proxy.client().await;
    for mirror in ["slow", "dead"] {
        assert_eq!(client.post("/", "x").header("x-mirror", mirror).await.text(), "x", "{mirror}");
    }
}

matrix!(an_answer_flows_as_fast_as_a_filter_says);
async fn an_answer_flows_as_fast_as_a_filter_says(edge: Edge) {
    const BYTES: usize = 100_000;
    let origin = origin().route("/", body::pattern(BYTES)).run();
    let proxy = edge.proxy(chain(&origin, &[("steer", "")]));
    let began = Instant::now();
    let answer = proxy.client().await.get("/").header("x-rate", "100000").await;
    assert_eq!(answer.body.len(), BYTES);
    assert!(began.elapsed() >= Duration::from_millis(500), "half a second at the least: {:?}", began.elapsed());
}

matrix!(a_filter_sets_how_long_it_may_take);
async fn a_filter_sets_how_long_it_may_take(edge: Edge) {
    let origin = origin().hang("/").run();
    let proxy = edge.proxy(chain(&origin, &[("steer", "")]));
    let answer = proxy.client().await.get("/").header("x-timeout", "100").await;
    assert_eq!((answer.status, answer.reason()), (504, Some("timeout")));
}

matrix!(a_slow_rate_is_no_silence_but_counts);
async fn a_slow_rate_is_no_silence_but_counts(edge: Edge) {
    let origin = origin().route("/", body::pattern(4000)).run();
    // A piece of 1024 bytes takes a quarter of a second: longer than the answer may be silent.
    let chain = chain(&origin, &[("steer", "")]).replacen(
        "[listeners.edge]",
        "[listeners.edge]\ntimeouts = { stream-idle = '100ms' }",
        1,
    );
    let proxy = edge.proxy(chain);
    let client = proxy.client().await;
    assert_eq!(client.get("/").header("x-rate", "4000").await.body.len(), 4000);
    client.get("/").header("x-rate", "1000").header("x-timeout", "200").whole().await.expect_err("the answer is cut, not ended");
    let line = proxy.access_log().line_where("reason", "timeout").await;
    assert!(line["duration_us"].as_u64().unwrap() < 900_000, "the pause of a second is not waited for: {line}");
}

matrix!(an_answer_that_always_has_more_ends_in_time);
async fn an_answer_that_always_has_more_ends_in_time(edge: Edge) {
    let origin = origin()
        .route_fn("/", |_| async {
            let (feed, body) = body::channel();
            tokio::spawn(async move { while feed.send(body::pattern(4096)).await {} });
            Reply::new(200).streaming(body)
        })
        .run();
    let proxy = edge.proxy(chain(&origin, &[("steer", "")]));
    proxy.client().await.get("/").header("x-timeout", "200").whole().await.expect_err("the answer is cut, not ended");
    assert_eq!(proxy.access_log().line().await["reason"], "timeout");
}

fn chains() -> String {
    format!("[chains.more]\nfilters = ['more']\n[filters.more]\nmodule = '{}'\ndeadline = '1s'\n", guest("stamp-b"))
}

matrix!(another_chain_goes_on_where_this_one_ends);
async fn another_chain_goes_on_where_this_one_ends(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let proxy = edge.proxy(format!("{}{}", chain(&origin, &[("steer", "")]), chains()));
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.header("x-stamp"), None);
    let answer = client.get("/").header("x-chain", "more").await;
    assert_eq!((answer.text(), answer.header("x-stamp")), ("here", Some("b")));
    let order = edge.proxy(format!("{}{}", chain(&origin, &[("steer", ""), ("stamp-a", "")]), chains()));
    let answer = order.client().await.get("/").header("x-chain", "more").await;
    assert_eq!(answer.header("x-stamp"), Some("a"), "it comes last for requests, so first for responses");
}

matrix!(an_exchange_goes_through_so_many_filters_and_no_more);
async fn an_exchange_goes_through_so_many_filters_and_no_more(edge: Edge) {
    let origin = origin().route("/", "here").run();
    // A chain that appends itself.
    let itself =
        format!("[chains.itself]\nfilters = ['again']\n[filters.again]\nmodule = '{}'\ndeadline = '1s'\n", guest("steer"));
    let proxy = edge.proxy(format!("{}{itself}", chain(&origin, &[("steer", "")])));
    let answer = proxy.client().await.get("/").header("x-chain", "itself").await;
    assert_eq!((answer.status, answer.reason()), (500, Some("filter-failed")));
    let line: Value = proxy.access_log().line().await;
    assert!(line["error"].as_str().unwrap().contains("64"), "{line}");
}
