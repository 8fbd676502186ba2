//! Filters made for proxy-wasm ask other services: over HTTP and gRPC, by other names than the clusters', and in time.

use std::time::{Duration, Instant};

use serde_json::json;
use tamis_tests::{Edge, Gate, Proxy, Reply, body, chain, matrix, origin, scenario};

fn asking(edge: Edge, guest: &str, origin: impl std::fmt::Display, service: impl std::fmt::Display, more: &str) -> Proxy {
    let name = if guest == "pw-grpc" { "service" } else { "auth" };
    let protocol = if guest == "pw-grpc" { "protocol = 'h2'" } else { "" };
    let filter = format!("allow = {{ clusters = ['{name}'] }}\n{more}\n[clusters.{name}]\nendpoints = ['{service}']\n{protocol}");
    edge.proxy(chain(origin, &[(guest, &filter)]))
}

matrix!(a_service_lets_a_request_pass_or_not);
async fn a_service_lets_a_request_pass_or_not(edge: Edge) {
    let service = origin()
        .route_fn("/check", |request| async move {
            match request.headers().get("x-token").map(|token| token.as_bytes()) {
                Some(b"good") => Reply::new(200).body("alice"),
                _ => Reply::new(401).body("who?"),
            }
        })
        .run();
    let origin = origin().echo("/").run();
    let proxy = asking(edge, "pw-auth", &origin, &service, "");
    let client = proxy.client().await;
    let answer = client.get("/").header("x-token", "good").await;
    assert_eq!((answer.status, answer.header("x-passed")), (200, Some("yes")));
    assert_eq!(origin.request().header("x-user"), Some("alice"));
    let answer = client.get("/").header("x-token", "bad").await;
    assert_eq!((answer.status, answer.header("x-auth"), answer.text()), (403, Some("401"), "who?"));
    let asked = service.requests();
    let asked = &asked[0];
    assert_eq!((asked.method.as_str(), asked.target.as_str(), asked.header("host")), ("POST", "/check?a=b", Some("auth.test")));
}

matrix!(many_exchanges_wait_in_one_instance);
async fn many_exchanges_wait_in_one_instance(edge: Edge) {
    const EXCHANGES: usize = 20;
    let gate = Gate::new();
    let service = origin().gated("/check", &gate, "user").run();
    let origin = origin().echo("/").run();
    let proxy = edge.proxy(format!("workers = 1\n{}", {
        let filter = format!("allow = {{ clusters = ['auth'] }}\n[clusters.auth]\nendpoints = ['{service}']");
        chain(&origin, &[("pw-auth", &filter)])
    }));
    let mut waiting = Vec::new();
    for _ in 0..EXCHANGES {
        let client = proxy.client().await;
        waiting.push(tokio::spawn(async move { client.get("/").await.status }));
    }
    for _ in 0..EXCHANGES {
        gate.arrived().await;
    }
    assert_eq!(proxy.metric("tamis_filter_instances{filter=\"pw-auth\"}").await, Some(1.0));
    (0..EXCHANGES).for_each(|_| gate.open());
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), 200);
    }
}

scenario!(names_of_upstreams_are_mapped_and_need_a_grant);
async fn names_of_upstreams_are_mapped_and_need_a_grant() {
    let service = origin().route("/check", "user").run();
    let origin = origin().echo("/").run();
    let more = "proxy-wasm = { upstreams = { 'outbound|80||auth.dns' = 'auth', 'idp.static' = 'auth' } }";
    let proxy = asking(Edge::HTTP1_PLAIN, "pw-auth", &origin, &service, more);
    let client = proxy.client().await;
    for (name, status) in [
        ("auth", 200),
        ("outbound|80||auth.dns", 200),
        ("outbound|443|v1|idp.static", 200),
        ("idp.static", 200),
        ("outbound|80||other.dns", 500),
        ("origin", 500),
    ] {
        assert_eq!(client.get("/").header("x-upstream", name).await.status, status, "{name}");
    }
}

scenario!(a_call_ends_when_it_was_told_to_and_no_sooner);
async fn a_call_ends_when_it_was_told_to_and_no_sooner() {
    let service = origin().hang("*").run();
    let origin = origin().echo("/").run();
    let proxy = asking(Edge::HTTP1_PLAIN, "pw-auth", &origin, &service, "");
    let client = proxy.client().await;
    for _ in 0..10 {
        let began = Instant::now();
        let answer = client.get("/").header("x-timeout", "100").await;
        assert_eq!((answer.status, answer.header("x-auth")), (504, Some("timeout")));
        assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
    }
}

scenario!(a_service_that_is_not_there_is_told_at_once);
async fn a_service_that_is_not_there_is_told_at_once() {
    let nobody = origin().run().stop();
    let origin = origin().echo("/").run();
    let proxy = asking(Edge::HTTP1_PLAIN, "pw-auth", &origin, nobody, "");
    assert_eq!(proxy.client().await.get("/").await.status, 504);
}

scenario!(who_leaves_while_the_service_is_asked_leaves_nothing_behind);
async fn who_leaves_while_the_service_is_asked_leaves_nothing_behind() {
    let gate = Gate::new();
    let service = origin().gated("/check", &gate, "user").run();
    let origin = origin().echo("/").run();
    let proxy = asking(Edge::HTTP2_PLAIN, "pw-auth", &origin, &service, "");
    let client = proxy.client().await;
    let leaving = tokio::spawn(client.get("/").whole());
    gate.arrived().await;
    leaving.abort();
    let _ = leaving.await;
    gate.open();
    let staying = proxy.client().await;
    let staying = tokio::spawn(async move { staying.get("/").await.status });
    gate.arrived().await;
    gate.open();
    assert_eq!(staying.await.unwrap(), 200);
    assert_eq!(proxy.failures("pw-auth").await, 0);
}

fn framed(message: &str) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend_from_slice(message.as_bytes());
    framed
}

scenario!(a_service_of_grpc_is_asked);
async fn a_service_of_grpc_is_asked() {
    let service = origin()
        .route_fn("/test.Echo/Say", |_| async {
            let body = body::with_trailers(framed("said"), &[("grpc-status", "0")]);
            Reply::new(200).header("content-type", "application/grpc").streaming(body)
        })
        .route_fn("/test.Echo/Stream", |_| async {
            let both = [framed("first"), framed("second")].concat();
            let body = body::with_trailers(both, &[("grpc-status", "0")]);
            Reply::new(200).header("content-type", "application/grpc").streaming(body)
        })
        .run();
    let origin = origin().echo("/").run();
    let proxy = asking(Edge::HTTP1_PLAIN, "pw-grpc", &origin, &service, "");
    let client = proxy.client().await;
    let answer = client.get("/").await.json();
    assert_eq!(answer["headers"]["x-grpc"], json!(["said"]));
    let asked = service.request();
    assert_eq!((asked.header("x-meta"), asked.header("te")), (Some("1"), Some("trailers")));
    let answer = client.get("/").header("x-stream", "1").await.json();
    assert_eq!(answer["headers"]["x-grpc"], json!(["first,second 0"]));
}

scenario!(a_service_of_grpc_that_fails_is_told_by_its_status);
async fn a_service_of_grpc_that_fails_is_told_by_its_status() {
    let service = origin()
        .route_fn("/test.Echo/Say", |_| async {
            Reply::new(200).header("content-type", "application/grpc").header("grpc-status", "7").header("grpc-message", "no")
        })
        .run();
    let origin = origin().echo("/").run();
    let proxy = asking(Edge::HTTP1_PLAIN, "pw-grpc", &origin, &service, "");
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.header("x-grpc")), (502, Some("7 7 no")));
}
