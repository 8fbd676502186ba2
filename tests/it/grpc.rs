//! A gRPC client learns of a failure in its own words: status 200 and the code in trailers that come without a body.

use tamis_tests::{Answer, Edge, Origin, Proxy, Reply, body, guest, matrix, origin, scenario};

fn to(edge: Edge, address: impl std::fmt::Display, more: &str) -> Proxy {
    edge.proxy(format!("[listeners.edge]\ncluster = 'grpc'\n[clusters.grpc]\nendpoints = ['{address}']\nprotocol = 'h2'\n{more}"))
}

async fn call(proxy: &Proxy, timeout: Option<&str>) -> Answer {
    let request = proxy
        .client()
        .await
        .post("/tests.Service/Unary", "\0\0\0\0\0")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    match timeout {
        Some(timeout) => request.header("grpc-timeout", timeout).await,
        None => request.await,
    }
}

#[track_caller]
fn failed(answer: &Answer, code: &str, reason: &str) {
    assert_eq!((answer.status, answer.header("content-type"), answer.text()), (200, Some("application/grpc"), ""));
    assert_eq!((answer.header("grpc-status"), answer.reason()), (Some(code), Some(reason)));
    assert!(answer.header("grpc-message").is_some_and(|message| !message.is_empty()), "{answer:?}");
}

matrix!(a_dead_upstream_is_unavailable, http2, because "gRPC is HTTP/2");
async fn a_dead_upstream_is_unavailable(edge: Edge) {
    let nobody = origin().run().stop();
    failed(&call(&to(edge, nobody, ""), None).await, "14", "connect-failed");
}

matrix!(no_route_is_unimplemented, http2, because "gRPC is HTTP/2");
async fn no_route_is_unimplemented(edge: Edge) {
    let proxy = edge.proxy("[listeners.edge]");
    failed(&call(&proxy, None).await, "12", "no-route");
}

matrix!(a_slow_upstream_exceeds_the_deadline_of_the_client, http2, because "gRPC is HTTP/2");
async fn a_slow_upstream_exceeds_the_deadline_of_the_client(edge: Edge) {
    let origin = origin().hang("*").run();
    let proxy = to(edge, &origin, "");
    let answer = call(&proxy, Some("200m")).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("4")));
    let told = milliseconds(origin.request().header("grpc-timeout").expect("the origin is told a deadline"));
    assert!(told <= 200, "the origin is told what is left: {told} ms");
}

/// `5m`, `5000u` and `5000000n` are all five milliseconds.
fn milliseconds(timeout: &str) -> u64 {
    let (count, unit) = timeout.split_at(timeout.len() - 1);
    let count: u64 = count.parse().unwrap_or_else(|_| panic!("{timeout} is no timeout of gRPC"));
    match unit {
        "m" => count,
        "u" => count / 1000,
        "n" => count / 1_000_000,
        _ => panic!("{timeout} is more than the client allowed"),
    }
}

matrix!(a_deadline_that_has_passed_is_not_forwarded, http2, because "gRPC is HTTP/2");
async fn a_deadline_that_has_passed_is_not_forwarded(edge: Edge) {
    let origin = origin().hang("*").run();
    let proxy = to(edge, &origin, "");
    failed(&call(&proxy, Some("0m")).await, "4", "deadline");
    assert_eq!(origin.requests().len(), 0);
}

matrix!(a_call_has_no_timeout_of_its_own, http2, because "gRPC is HTTP/2");
async fn a_call_has_no_timeout_of_its_own(edge: Edge) {
    let origin = origin()
        .route_fn("*", |_| async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            Reply::new(200).header("content-type", "application/grpc").streaming(body::with_trailers("", &[("grpc-status", "0")]))
        })
        .run();
    let unary = to(edge, &origin, "");
    assert_eq!(call(&unary, None).await.trailers["grpc-status"], "0");
}

matrix!(a_failed_filter_is_internal, http2, because "gRPC is HTTP/2");
async fn a_failed_filter_is_internal(edge: Edge) {
    let proxy = edge.proxy(format!("[listeners.edge]\nfilters = ['trap']\n[filters.trap]\nmodule = '{}'", guest("trap")));
    let request = proxy.client().await.post("/tests.Service/Unary", "").header("content-type", "application/grpc");
    failed(&request.header("x-trap", "1").await, "13", "filter-failed");
}

fn trailing() -> Origin {
    origin()
        .route_fn("*", |_| async {
            let trailers = body::with_trailers("\0\0\0\0\0", &[("grpc-status", "9"), ("grpc-message", "not today")]);
            Reply::new(200).header("content-type", "application/grpc").streaming(trailers)
        })
        .run()
}

matrix!(the_servers_own_status_passes_in_the_trailers, http2, because "gRPC is HTTP/2");
async fn the_servers_own_status_passes_in_the_trailers(edge: Edge) {
    let origin = trailing();
    let answer = call(&to(edge, &origin, ""), None).await;
    assert_eq!((answer.status, answer.body.len(), answer.header("grpc-status")), (200, 5, None));
    assert_eq!(
        (&answer.trailers["grpc-status"], &answer.trailers["grpc-message"]),
        (&"9".parse().unwrap(), &"not today".parse().unwrap())
    );
    assert_eq!(origin.request().header("te"), Some("trailers"));
}

scenario!(a_request_that_is_no_grpc_gets_a_status_of_http);
async fn a_request_that_is_no_grpc_gets_a_status_of_http() {
    let proxy = Edge::HTTP2_PLAIN.proxy("[listeners.edge]");
    let answer = proxy.client().await.post("/", "").header("content-type", "application/json").await;
    assert_eq!((answer.status, answer.header("grpc-status")), (404, None));
}
