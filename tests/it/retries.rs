//! What a cluster does for exchanges by itself: it sends them again, within a budget, holds them to its limits, and tells how much
//! time is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tamis_tests::{Edge, Gate, Origin, Proxy, Reply, client, matrix, origin};

/// A cluster of these endpoints, with more said of it.
fn to(edge: Edge, endpoints: &[&Origin], more: &str) -> Proxy {
    let endpoints: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
    edge.proxy(format!("[listeners.edge]\ncluster = 'users'\n[clusters.users]\nendpoints = {endpoints:?}\n{more}"))
}

/// Answers the first so many requests with this, and all others with 200.
fn failing(times: usize, answer: fn() -> Reply) -> Origin {
    let count = Arc::new(AtomicUsize::new(0));
    origin()
        .route_fn("/", move |_| {
            let fails = count.fetch_add(1, Ordering::SeqCst) < times;
            async move { if fails { answer() } else { Reply::new(200).body("at last") } }
        })
        .run()
}

/// What an endpoint says while it fails.
type Answers = fn() -> Reply;

async fn count(proxy: &Proxy, name: &str, label: &str) -> f64 {
    proxy.metric(&format!("tamis_cluster_{name}{{cluster=\"users\"{label}}}")).await.expect("the cluster is there")
}

matrix!(a_cluster_has_failures_tried_again);
async fn a_cluster_has_failures_tried_again(edge: Edge) {
    let busy = || Reply::new(503);
    let asks = || Reply::new(200).header("x-retriable", "yes");
    let cases: [(Answers, &str, &str, usize); 7] = [
        (busy, "on = ['5xx']", "GET", 2),
        (busy, "on = [503]", "PUT", 2),
        (busy, "on = ['reset', 429]", "GET", 1),
        (busy, "on = ['5xx']", "POST", 1),
        (busy, "on = ['5xx']\nmethods = 'any'", "POST", 2),
        (asks, "when-header = ['x-retriable']", "GET", 2),
        (asks, "when-header = ['x-retriable']", "POST", 1),
    ];
    for (answer, retry, method, expected) in cases {
        let origin = failing(1, answer);
        let proxy = to(edge, &[&origin], &format!("[clusters.users.retry]\n{retry}"));
        let client = proxy.client().await;
        let answer = client.request(method, "/").await;
        assert_eq!(origin.requests().len(), expected, "{method} with {retry}");
        assert_eq!(answer.text() == "at last", expected == 2, "{method} with {retry}");
        assert_eq!(proxy.access_log().line().await["attempts"], expected);
        assert_eq!(count(&proxy, "retries_total", "").await, expected as f64 - 1.0);
    }
}

matrix!(a_spent_budget_is_told);
async fn a_spent_budget_is_told(edge: Edge) {
    let origin = failing(usize::MAX, || Reply::new(503).body("busy"));
    let rules = "retry = { on = ['5xx'], backoff = '0s' }\nretry-budget = { percent = 30, minimum = 0, window = '60s' }";
    let proxy = to(edge, &[&origin], rules);
    let client = proxy.client().await;
    for _ in 0..50 {
        let answer = client.get("/").await;
        assert_eq!((answer.status, answer.text()), (503, "busy"), "the last answer, not one of the proxy's own");
    }
    assert_eq!(origin.requests().len(), 65);
    assert_eq!(count(&proxy, "retries_total", "").await, 15.0);
    assert_eq!(count(&proxy, "retries_refused_total", ",by=\"budget\"").await, 35.0);
}

matrix!(more_than_the_cluster_bears_is_refused_at_once);
async fn more_than_the_cluster_bears_is_refused_at_once(edge: Edge) {
    let gate = Gate::new();
    let origin = origin().gated("/", &gate, "through").run();
    let proxy = to(edge, &[&origin], "limits = { requests = 1 }");
    let (one, other) = (proxy.client().await, proxy.client().await);
    let first = async { one.get("/").await };
    let second = async {
        gate.arrived().await;
        assert_eq!(count(&proxy, "requests", "").await, 1.0);
        let refused = other.get("/").await;
        gate.open();
        refused
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.text(), second.status, second.reason()), ("through", 503, Some("cluster-overloaded")));
    assert_eq!(count(&proxy, "overflows_total", ",limit=\"requests\"").await, 1.0);
    assert_eq!(origin.requests().len(), 1);
}

matrix!(the_upstream_is_told_what_time_is_left);
async fn the_upstream_is_told_what_time_is_left(edge: Edge) {
    let origin = origin().echo("/").hang("/never").run();
    let listener = format!(
        "[listeners.edge]\ncluster = 'users'\ntimeout-header = 'x-request-timeout'\n[clusters.users]\nendpoints = ['{origin}']"
    );
    let proxy = edge.proxy(listener);
    let client = proxy.client().await;
    let told = async |value: &str| {
        let answer = client.get("/").header("x-request-timeout", value).await;
        answer.json()["headers"]["x-request-timeout"][0].as_str().map(str::to_owned).expect("it is told")
    };
    let left: u64 = told("60000").await.parse().expect("milliseconds");
    assert!((40_000..60_000).contains(&left), "{left}");
    let left: u64 = told("60.0s").await.strip_suffix("ms").expect("a unit").parse().expect("milliseconds");
    assert!((40_000..60_000).contains(&left), "{left}");
    assert_eq!(client.get("/").await.json()["headers"].get("x-request-timeout"), None);

    let late = client.get("/never").header("x-request-timeout", "100ms").await;
    assert_eq!((late.status, late.reason()), (504, Some("timeout")));
    let before = origin.requests().len();
    let past = client.get("/").header("x-request-timeout", "0").await;
    assert_eq!((past.status, past.reason()), (504, Some("deadline")));
    let wrong = proxy.client().await.get("/").header("x-request-timeout", "soon").await;
    assert_eq!((wrong.status, wrong.reason()), (400, Some("malformed-request")));
    assert_eq!(origin.requests().len(), before, "neither was sent");
}

matrix!(an_attempt_beside_a_silent_one_answers);
async fn an_attempt_beside_a_silent_one_answers(edge: Edge) {
    let (silent, quick) = (origin().hang("/").run(), origin().route("/", "quick").run());
    let proxy = to(edge, &[&silent, &quick], "balance = 'round-robin'\nretry = { hedge-after = '50ms' }");
    let client = proxy.client().await;
    for _ in 0..4 {
        assert_eq!(client.get("/").await.text(), "quick");
    }
    let asked = silent.requests().len();
    assert!(asked > 0, "in turns, the silent one was asked first at least once");
    assert_eq!(count(&proxy, "hedges_won_total", "").await, asked as f64);
}

/// Three of ten endpoints die and come back, while requests flow.
#[tokio::test]
async fn endpoints_that_die_and_come_back_are_not_noticed() {
    let mut origins: Vec<_> = (0..10).map(|_| origin().route("/", "well").forgetting().run()).collect();
    let all: Vec<_> = origins.iter().collect();
    let more = "retry = { attempts = 4, on = ['connect', 'reset'] }\n[listeners.edge.limits]\nrequests-per-connection = 0";
    let proxy = to(Edge::HTTP1_PLAIN, &all, more);
    let over = Arc::new(AtomicBool::new(false));
    let clients = (0..4).map(|_| {
        let (over, address) = (Arc::clone(&over), proxy.address());
        tokio::spawn(async move {
            let client = client::connect(address).edge(Edge::HTTP1_PLAIN).open().await;
            let mut asked = 0;
            while !over.load(Ordering::Relaxed) {
                assert_eq!(client.get("/").await.text(), "well");
                asked += 1;
            }
            asked
        })
    });
    let clients: Vec<_> = clients.collect();
    for _ in 0..3 {
        let dead: Vec<_> = origins.drain(..3).map(Origin::stop).collect();
        let before = count(&proxy, "retries_total", "").await;
        while count(&proxy, "retries_total", "").await < before + 20.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        origins.extend(dead.into_iter().map(|address| origin().route("/", "well").forgetting().run_at(address)));
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.await.expect("no client saw an error") > 0);
    }
}
