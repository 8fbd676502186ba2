//! Trailers pass both ways, in every mixture of protocols that can carry them.

use serde_json::json;
use tamis_tests::{Edge, Origin, Reply, body, matrix, origin};

fn sending_trailers() -> Origin {
    origin()
        .route_fn("/", |_| async {
            Reply::new(200)
                .header("trailer", "x-sum, x-late")
                .streaming(body::with_trailers("body", &[("x-sum", "42"), ("x-late", "yes")]))
        })
        .run()
}

fn upstream(origin: &Origin, protocol: &str) -> String {
    format!("[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']\nprotocol = '{protocol}'")
}

matrix!(an_answers_trailers_pass);
async fn an_answers_trailers_pass(edge: Edge) {
    for protocol in ["http/1.1", "h2"] {
        let origin = sending_trailers();
        let proxy = edge.proxy(upstream(&origin, protocol));
        let answer = proxy.client().await.get("/").header("te", "trailers").await;
        assert_eq!(answer.text(), "body");
        assert_eq!((&answer.trailers["x-sum"], &answer.trailers["x-late"]), (&"42".parse().unwrap(), &"yes".parse().unwrap()));
    }
}

matrix!(an_http_1_client_that_does_not_ask_gets_no_trailers, http1, because "in HTTP/2 every client takes them");
async fn an_http_1_client_that_does_not_ask_gets_no_trailers(edge: Edge) {
    let origin = sending_trailers();
    let proxy = edge.proxy(upstream(&origin, "h2"));
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.text(), answer.trailers.len()), ("body", 0));
}

matrix!(a_requests_trailers_pass);
async fn a_requests_trailers_pass(edge: Edge) {
    for protocol in ["http/1.1", "h2"] {
        let origin = origin().echo("/").run();
        let proxy = edge.proxy(upstream(&origin, protocol));
        let request = proxy.client().await.post("/", "").header("trailer", "x-sum");
        let answer = request.streaming(body::with_trailers("body", &[("x-sum", "42")])).await.json();
        assert_eq!((&answer["body"], &answer["trailers"]["x-sum"]), (&json!("body"), &json!(["42"])), "{protocol}");
    }
}
