//! What is too large is refused with the status that says so, and configuration moves the limit.

use tamis_tests::{Answer, Edge, Origin, Proxy, matrix, origin};

fn limited(edge: Edge, origin: &Origin, limits: &str) -> Proxy {
    edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        [listeners.edge.limits]
        {limits}
        [clusters.origin]
        endpoints = ["{origin}"]
        "#
    ))
}

/// The field `x-tamis-reason` is missing where the HTTP library answers by itself; the access log has the reason always.
async fn head_too_large(proxy: &Proxy, answer: &Answer) {
    assert_eq!(answer.status, 431);
    let line = proxy.access_log().line_where("reason", "headers-too-large").await;
    assert_eq!(line["status"], 431);
}

matrix!(a_request_head_over_the_limit_is_431);
async fn a_request_head_over_the_limit_is_431(edge: Edge) {
    let origin = origin().route("/", "").run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let mut request = client.get("/");
    for number in 0..5 {
        request = request.header(&format!("x-{number}"), &"v".repeat(8 * 1024));
    }
    head_too_large(&proxy, &request.await).await;
    assert_eq!(origin.requests().len(), 0);
}

matrix!(a_request_head_under_the_limit_passes);
async fn a_request_head_under_the_limit_passes(edge: Edge) {
    let origin = origin().route("/", "").run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let mut request = client.get("/");
    for number in 0..3 {
        request = request.header(&format!("x-{number}"), &"v".repeat(8 * 1024));
    }
    assert_eq!(request.await.status, 200);
}

matrix!(the_limit_of_a_head_can_be_moved);
async fn the_limit_of_a_head_can_be_moved(edge: Edge) {
    let origin = origin().route("/", "").run();
    let proxy = limited(edge, &origin, "header-bytes = '1KiB'");
    let answer = proxy.client().await.get("/").header("x-a", &"v".repeat(1024)).await;
    head_too_large(&proxy, &answer).await;
}

matrix!(one_value_over_its_limit_is_431);
async fn one_value_over_its_limit_is_431(edge: Edge) {
    let origin = origin().route("/", "").run();
    let proxy = edge.forward_to(&origin);
    let answer = proxy.client().await.get("/").header("x-a", &"v".repeat(17 * 1024)).await;
    head_too_large(&proxy, &answer).await;
}

matrix!(too_many_fields_are_431);
async fn too_many_fields_are_431(edge: Edge) {
    let origin = origin().route("/", "").run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let with = |count: usize| (0..count).fold(client.get("/"), |request, number| request.header(&format!("x-{number}"), "v"));
    assert_eq!(with(90).await.status, 200);
    head_too_large(&proxy, &with(101).await).await;
    assert_eq!(origin.requests().len(), 1);
}

matrix!(a_target_over_the_limit_is_414);
async fn a_target_over_the_limit_is_414(edge: Edge) {
    let origin = origin().route("*", "").run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    assert_eq!(client.get(&format!("/{}", "a".repeat(8000))).await.status, 200);
    let answer = client.get(&format!("/{}", "a".repeat(8300))).await;
    assert_eq!((answer.status, answer.reason()), (414, Some("uri-too-long")));
    let line = proxy.access_log().line_where("reason", "uri-too-long").await;
    assert_eq!(line["status"], 414);
}

matrix!(an_exchange_too_many_is_503);
async fn an_exchange_too_many_is_503(edge: Edge) {
    let gate = tamis_tests::Gate::new();
    let origin = origin().gated("/", &gate, "late").run();
    let proxy = edge.proxy(format!(
        r#"
        workers = 1
        [limits]
        exchanges = 1
        [listeners.edge]
        cluster = "origin"
        [clusters.origin]
        endpoints = ["{origin}"]
        "#
    ));
    let first = tokio::spawn(proxy.client().await.get("/").into_future());
    gate.arrived().await;
    let second = proxy.client().await.get("/").await;
    assert_eq!((second.status, second.reason()), (503, Some("overloaded")));
    gate.open();
    assert_eq!(first.await.unwrap().text(), "late");
}

matrix!(a_connection_too_many_is_closed);
async fn a_connection_too_many_is_closed(edge: Edge) {
    let origin = origin().route("/", "").run();
    let proxy = limited(edge, &origin, "connections = 2");
    let (one, two) = (proxy.client().await, proxy.client().await);
    assert_eq!((one.get("/").await.status, two.get("/").await.status), (200, 200));
    let third = match tamis_tests::client::connect(proxy.address()).edge(edge).try_open().await {
        Ok(client) => client.get("/").whole().await.is_ok(),
        Err(_) => false,
    };
    assert!(!third, "the third connection was served");
    assert_eq!(one.get("/").await.status, 200, "the others go on");
}

matrix!(a_connection_ends_after_its_number_of_requests, http1, because "HTTP/2 connections have no such limit");
async fn a_connection_ends_after_its_number_of_requests(edge: Edge) {
    let origin = origin().route("/", "").run();
    let proxy = limited(edge, &origin, "requests-per-connection = 2");
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.header("connection"), None);
    assert_eq!(client.get("/").await.header("connection"), Some("close"));
    client.closed().await.expect("it ends in order");
}

matrix!(more_streams_than_allowed_wait, http2, because "HTTP/1 has one request at a time on a connection");
async fn more_streams_than_allowed_wait(edge: Edge) {
    let gate = tamis_tests::Gate::new();
    let origin = origin().gated("/", &gate, "done").route("/first", "").run();
    let proxy = limited(edge, &origin, "streams = 2");
    let client = proxy.client().await;
    assert_eq!(client.get("/first").await.status, 200, "by now the client knows the limit");
    let asked: Vec<_> = (0..5).map(|_| tokio::spawn(client.get("/").into_future())).collect();
    gate.arrived().await;
    gate.arrived().await;
    (0..5).for_each(|_| gate.open());
    for answer in asked {
        assert_eq!(answer.await.unwrap().text(), "done");
    }
}
