//! Trailers in the hands of filters, both ways, over HTTP/1 and HTTP/2.

use serde_json::json;
use tamis_tests::{Edge, Origin, Reply, body, chain, matrix, origin};

fn through(origin: &Origin, filters: &[(&str, &str)], protocol: &str) -> String {
    chain(origin, filters).replace("[clusters.origin]", &format!("[clusters.origin]\nprotocol = '{protocol}'"))
}

matrix!(a_requests_trailers_are_read_and_set);
async fn a_requests_trailers_are_read_and_set(edge: Edge) {
    for protocol in ["http/1.1", "h2"] {
        let origin = origin().echo("/").run();
        let proxy = edge.proxy(through(&origin, &[("trailers", "")], protocol));
        let announced = "x-sum, x-request-seen, x-framing";
        let request = proxy.client().await.post("/", "").header("trailer", announced);
        let answer = request.streaming(body::with_trailers("body", &[("x-sum", "42")])).await;
        assert_eq!(answer.header("x-early"), Some("refused"), "{protocol}: before they have come, none can be set");
        assert_eq!(answer.header("x-request-sum"), Some("42"), "{protocol}");
        let seen = answer.json();
        assert_eq!(seen["body"], "body", "{protocol}");
        let trailers = json!({ "x-sum": ["42"], "x-request-seen": ["42"], "x-framing": ["refused"] });
        assert_eq!(seen["trailers"], trailers, "{protocol}");
    }
}

matrix!(a_responses_trailers_are_read_and_set);
async fn a_responses_trailers_are_read_and_set(edge: Edge) {
    for protocol in ["http/1.1", "h2"] {
        let origin = origin()
            .route_fn("/", |_| async {
                Reply::new(200)
                    .header("trailer", "grpc-status, x-response-seen")
                    .streaming(body::with_trailers("body", &[("grpc-status", "0")]))
            })
            .run();
        let proxy = edge.proxy(through(&origin, &[("trailers", "")], protocol));
        let answer = proxy.client().await.get("/").header("te", "trailers").await;
        assert_eq!(answer.text(), "body", "{protocol}");
        assert_eq!(
            (&answer.trailers["grpc-status"], &answer.trailers["x-response-seen"]),
            (&"0".parse().unwrap(), &"0".parse().unwrap()),
            "{protocol}"
        );
    }
}

matrix!(a_message_without_trailers_calls_no_hook);
async fn a_message_without_trailers_calls_no_hook(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.proxy(chain(&origin, &[("trailers", "")]));
    let answer = proxy.client().await.post("/", "hello").header("te", "trailers").await;
    assert_eq!((answer.header("x-request-sum"), answer.trailers.len()), (None, 0));
    assert_eq!(answer.json()["headers"]["content-length"], json!(["5"]), "who only looks at trailers leaves the framing alone");
}

matrix!(trailers_of_a_grpc_call_pass, http2, because "gRPC is HTTP/2");
async fn trailers_of_a_grpc_call_pass(edge: Edge) {
    let origin = origin()
        .route_fn("/", |_| async {
            let body = body::with_trailers("\0\0\0\0\x01a", &[("grpc-status", "5"), ("grpc-message", "none")]);
            Reply::new(200).header("content-type", "application/grpc").streaming(body)
        })
        .run();
    let proxy = edge.proxy(through(&origin, &[("trailers", ""), ("chunks", "")], "h2"));
    let request = proxy.client().await.post("/", "x").header("content-type", "application/grpc").header("te", "trailers");
    let answer = request.await;
    let trailer = |name: &str| answer.trailers[name].to_str().unwrap().to_owned();
    assert_eq!(
        (trailer("grpc-status"), trailer("grpc-message"), trailer("x-response-seen")),
        ("5".into(), "none".into(), "5".into())
    );
}

matrix!(a_trap_at_the_trailers_cuts_or_passes);
async fn a_trap_at_the_trailers_cuts_or_passes(edge: Edge) {
    for (policy, whole) in [("closed", false), ("open", true)] {
        let origin = origin()
            .route_fn("/", |_| async {
                Reply::new(200).header("trailer", "x-sum").streaming(body::with_trailers("body", &[("x-sum", "42")]))
            })
            .run();
        let proxy = edge.proxy(chain(&origin, &[("trap-late", &format!("on-failure = '{policy}'"))]));
        let request = proxy.client().await.get("/").header("te", "trailers").header("x-trap-in", "trailers");
        match request.whole().await {
            Ok(answer) => assert_eq!((answer.text(), &answer.trailers["x-sum"], whole), ("body", &"42".parse().unwrap(), true)),
            Err(_) => assert!(!whole, "{policy}"),
        }
        let line = proxy.access_log().line().await;
        assert_eq!(line["reason"], if whole { "upstream" } else { "filter-failed" }, "{line}");
    }
}
