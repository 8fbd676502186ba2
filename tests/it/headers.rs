//! Fields that the proxy itself sets, strips, or protects.

use serde_json::{Value, json};
use tamis_tests::{Edge, Origin, Proxy, Reply, matrix, origin};

fn field(seen: &Value, name: &str) -> Value {
    seen["headers"].get(name).cloned().unwrap_or(Value::Null)
}

fn trusting(edge: Edge, origin: &Origin) -> Proxy {
    edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        trusted = ["127.0.0.0/8"]
        [clusters.origin]
        endpoints = ["{origin}"]
        "#
    ))
}

matrix!(fields_of_one_hop_do_not_pass, http1, because "HTTP/2 forbids them: a request with one is malformed");
async fn fields_of_one_hop_do_not_pass(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.forward_to(&origin);
    let request = proxy
        .client()
        .await
        .get("/")
        .header("connection", "x-private, keep-alive")
        .header("x-private", "secret")
        .header("keep-alive", "timeout=5")
        .header("proxy-connection", "keep-alive")
        .header("proxy-authorization", "Basic eA==")
        .header("te", "gzip")
        .header("x-public", "stays");
    let seen = request.await.json();
    for name in ["x-private", "keep-alive", "proxy-connection", "proxy-authorization", "te", "upgrade"] {
        assert_eq!(field(&seen, name), Value::Null, "{name} is for the proxy alone");
    }
    assert_eq!(field(&seen, "x-public"), json!(["stays"]));
}

matrix!(fields_of_one_hop_do_not_come_back);
async fn fields_of_one_hop_do_not_come_back(edge: Edge) {
    let origin = origin()
        .route_fn("/", |_| async {
            Reply::new(200)
                .header("connection", "x-private")
                .header("x-private", "secret")
                .header("keep-alive", "timeout=5")
                .header("proxy-authenticate", "Basic")
                .header("x-public", "stays")
                .body("body")
        })
        .run();
    let proxy = edge.forward_to(&origin);
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.text(), answer.header("x-public")), (200, "body", Some("stays")));
    for name in ["x-private", "keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.header(name), None, "{name} is for the proxy alone");
    }
}

matrix!(connection_cannot_remove_what_others_rely_on, http1, because "HTTP/2 has no connection field");
async fn connection_cannot_remove_what_others_rely_on(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.forward_to(&origin);
    let named = "host, authorization, x-forwarded-for, x-forwarded-proto, x-request-id, traceparent";
    let request = proxy.client().await.get("/").header("connection", named).header("authorization", "Bearer t");
    let seen = request.header("traceparent", "00-1-2-01").header("x-request-id", "mine").await.json();
    assert_eq!(field(&seen, "host"), json!(["edge.test"]));
    assert_eq!(field(&seen, "authorization"), json!(["Bearer t"]));
    assert_eq!(field(&seen, "x-forwarded-for"), json!(["127.0.0.1"]));
    assert_eq!(field(&seen, "x-request-id"), json!(["mine"]));
    assert_eq!(field(&seen, "traceparent"), json!(["00-1-2-01"]));
    assert_eq!(field(&seen, "connection"), Value::Null);
}

matrix!(te_passes_only_for_trailers);
async fn te_passes_only_for_trailers(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy =
        edge.proxy(format!("[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']\nprotocol = 'h2'"));
    let seen = proxy.client().await.get("/").header("te", "trailers").await.json();
    assert_eq!(field(&seen, "te"), json!(["trailers"]), "gRPC servers ask for it");
}

matrix!(the_origin_learns_who_asked);
async fn the_origin_learns_who_asked(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.forward_to(&origin);
    let seen = proxy.client().await.get("/").await.json();
    assert_eq!(field(&seen, "x-forwarded-for"), json!(["127.0.0.1"]));
    assert_eq!(field(&seen, "x-forwarded-proto"), json!([edge.scheme()]));
    assert_eq!(field(&seen, "x-forwarded-host"), json!(["edge.test"]));
    assert_eq!(field(&seen, "host"), json!(["edge.test"]));
}

matrix!(a_stranger_cannot_say_who_asked);
async fn a_stranger_cannot_say_who_asked(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.forward_to(&origin);
    let request = proxy.client().await.get("/").header("x-forwarded-for", "10.9.8.7").header("x-forwarded-proto", "gopher");
    let request = request.header("x-forwarded-host", "bank.test").header("x-forwarded-port", "1").header("x-real-ip", "10.9.8.7");
    let seen = request.header("forwarded", "for=10.9.8.7").await.json();
    assert_eq!(field(&seen, "x-forwarded-for"), json!(["127.0.0.1"]));
    assert_eq!(field(&seen, "x-forwarded-proto"), json!([edge.scheme()]));
    assert_eq!(field(&seen, "x-forwarded-host"), json!(["edge.test"]));
    assert_ne!(field(&seen, "x-forwarded-port"), json!(["1"]));
    assert!(!seen.to_string().contains("10.9.8.7"), "the stranger's word reached the origin: {seen}");
}

matrix!(a_trusted_peer_is_believed);
async fn a_trusted_peer_is_believed(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = trusting(edge, &origin);
    let request = proxy.client().await.get("/").header("x-forwarded-for", "10.9.8.7").header("x-forwarded-proto", "https");
    let seen = request.header("x-forwarded-host", "shop.test").await.json();
    let chain: Vec<_> =
        field(&seen, "x-forwarded-for").as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect();
    assert_eq!(chain.join(", "), "10.9.8.7, 127.0.0.1", "the peer adds itself to what it was told");
    assert_eq!(field(&seen, "x-forwarded-proto"), json!(["https"]));
    assert_eq!(field(&seen, "x-forwarded-host"), json!(["shop.test"]));
}

matrix!(a_request_id_is_made);
async fn a_request_id_is_made(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let id = field(&client.get("/").await.json(), "x-request-id");
        let id = id[0].as_str().expect("the origin is given an id").to_owned();
        assert!(id.len() >= 16, "{id} is too short to be unique");
        ids.push(id);
    }
    assert_ne!(ids[0], ids[1]);
    let lines = proxy.access_log().lines(2).await;
    let logged: Vec<_> = lines.iter().map(|line| line["request_id"].as_str().unwrap()).collect();
    assert_eq!(logged, ids, "the log has the id that the origin saw");
}

matrix!(a_request_id_is_kept);
async fn a_request_id_is_kept(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.forward_to(&origin);
    let seen = proxy.client().await.get("/").header("x-request-id", "from-the-client").await.json();
    assert_eq!(field(&seen, "x-request-id"), json!(["from-the-client"]));
    assert_eq!(proxy.access_log().line().await["request_id"], "from-the-client");
}

matrix!(an_empty_request_id_is_replaced);
async fn an_empty_request_id_is_replaced(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.forward_to(&origin);
    let seen = proxy.client().await.get("/").header("x-request-id", "").await.json();
    let ids = field(&seen, "x-request-id");
    assert!(ids.as_array().is_some_and(|ids| ids.len() == 1 && ids[0].as_str().is_some_and(|id| !id.is_empty())), "{ids}");
}

matrix!(underscores_are_refused);
async fn underscores_are_refused(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.forward_to(&origin);
    let answer = proxy.client().await.get("/").header("x_forwarded_for", "10.9.8.7").await;
    assert_eq!((answer.status, answer.reason()), (400, Some("malformed-request")));
    assert_eq!(origin.requests().len(), 0);
}

matrix!(underscores_pass_where_they_are_allowed);
async fn underscores_pass_where_they_are_allowed(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        header-underscores = "pass"
        [clusters.origin]
        endpoints = ["{origin}"]
        "#
    ));
    let seen = proxy.client().await.get("/").header("x_mine", "1").await.json();
    assert_eq!(field(&seen, "x_mine"), json!(["1"]));
}

matrix!(the_proxy_adds_nothing_to_an_answer);
async fn the_proxy_adds_nothing_to_an_answer(edge: Edge) {
    let origin = origin().route("/", "body").run();
    let proxy = edge.forward_to(&origin);
    let answer = proxy.client().await.get("/").await;
    let mut names: Vec<_> = answer.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "date"]);
}
