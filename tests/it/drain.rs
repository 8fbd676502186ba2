//! The proxy leaves without losing anything: readiness first, then listeners, then what is under way, and a deadline for all.

use tamis_tests::{Edge, Gate, Raw, body, client, matrix, origin, scenario};
use tokio::net::TcpStream;

matrix!(ready_says_when_to_send_no_more);
async fn ready_says_when_to_send_no_more(edge: Edge) {
    let gate = Gate::new();
    let origin = origin().gated("/", &gate, "late").run();
    let mut proxy = edge.forward_to(&origin);
    assert_eq!(proxy.admin("/ready").await.status, 200);
    let answer = tokio::spawn(proxy.client().await.get("/").into_future());
    gate.arrived().await;
    proxy.handle().drain();
    while proxy.admin("/ready").await.status == 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(proxy.admin("/ready").await.status, 503);
    gate.open();
    assert_eq!(answer.await.unwrap().text(), "late");
    proxy.ended().await;
}

matrix!(what_is_under_way_is_finished);
async fn what_is_under_way_is_finished(edge: Edge) {
    let gate = Gate::new();
    let origin = origin().gated("/", &gate, "late").run();
    let mut proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let answer = tokio::spawn(client.get("/").into_future());
    gate.arrived().await;
    proxy.handle().drain();
    while TcpStream::connect(proxy.address()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    gate.open();
    let answer = answer.await.unwrap();
    assert_eq!(answer.text(), "late");
    if edge.is_http1() {
        assert_eq!(answer.header("connection"), Some("close"), "the client learns that the connection ends");
    }
    client.closed().await.expect("the connection ends in order");
    proxy.ended().await;
}

matrix!(a_body_under_way_is_finished);
async fn a_body_under_way_is_finished(edge: Edge) {
    let origin = origin().reflect("/").run();
    let mut proxy = edge.forward_to(&origin);
    let (feed, body) = body::channel();
    feed.send("before").await;
    let mut answer = proxy.client().await.post("/", "").streaming(body).open().await.unwrap();
    assert_eq!(answer.piece().await.unwrap().unwrap(), "before");
    proxy.handle().drain();
    while TcpStream::connect(proxy.address()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    feed.send("after").await;
    assert_eq!(answer.piece().await.unwrap().unwrap(), "after");
    drop(feed);
    assert_eq!(answer.piece().await.unwrap(), None);
    drop(answer);
    proxy.ended().await;
}

matrix!(idle_connections_are_closed_in_order);
async fn idle_connections_are_closed_in_order(edge: Edge) {
    let origin = origin().route("/", "").run();
    let mut proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.status, 200);
    proxy.handle().drain();
    client.closed().await.expect("the connection ends in order");
    proxy.ended().await;
}

matrix!(a_new_stream_after_the_goodbye_is_not_lost_silently, http2, because "HTTP/1 has no streams");
async fn a_new_stream_after_the_goodbye_is_not_lost_silently(edge: Edge) {
    let gate = Gate::new();
    let origin = origin().gated("/late", &gate, "late").route("/more", "more").run();
    let mut proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let late = tokio::spawn(client.get("/late").into_future());
    gate.arrived().await;
    proxy.handle().drain();
    while TcpStream::connect(proxy.address()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    match client.get("/more").whole().await {
        Ok(answer) => assert_eq!(answer.text(), "more"),
        Err(error) => assert!(error.is_canceled() || error.to_string().contains("http2"), "{error:?}"),
    }
    gate.open();
    assert_eq!(late.await.unwrap().text(), "late");
    proxy.ended().await;
}

scenario!(no_queued_connection_is_lost);
async fn no_queued_connection_is_lost() {
    const QUEUED: usize = 200;
    let origin = origin().route("/", "here").run();
    let mut proxy = Edge::HTTP1_PLAIN.forward_to(&origin);
    let mut queued = Vec::new();
    for _ in 0..QUEUED {
        let mut raw = Raw::plain(proxy.address()).await;
        raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        queued.push(raw);
    }
    proxy.handle().drain();
    for mut raw in queued {
        assert_eq!(raw.answer().await.1, "here");
    }
    proxy.ended().await;
}

matrix!(the_deadline_ends_what_does_not_finish);
async fn the_deadline_ends_what_does_not_finish(edge: Edge) {
    let gate = Gate::new();
    let origin = origin().gated("/", &gate, "never").run();
    let mut proxy = edge.proxy(format!(
        r#"
        [drain]
        timeout = "200ms"
        [listeners.edge]
        cluster = "origin"
        [clusters.origin]
        endpoints = ["{origin}"]
        "#
    ));
    let client = proxy.client().await;
    let answer = tokio::spawn(client.get("/").whole());
    gate.arrived().await;
    proxy.handle().drain();
    proxy.ended().await;
    assert!(answer.await.unwrap().is_err(), "the client notices");
}

matrix!(before_the_listeners_close_requests_are_served);
async fn before_the_listeners_close_requests_are_served(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let mut proxy = edge.proxy(format!(
        r#"
        [drain]
        pre-stop = "300ms"
        [listeners.edge]
        cluster = "origin"
        [clusters.origin]
        endpoints = ["{origin}"]
        "#
    ));
    proxy.handle().drain();
    while proxy.admin("/ready").await.status == 200 {
        tokio::task::yield_now().await;
    }
    let client = client::connect(proxy.address()).edge(edge).try_open().await.expect("the listener is still open");
    assert_eq!(client.get("/").await.text(), "here");
    drop(client);
    proxy.ended().await;
}

matrix!(an_idle_proxy_ends_at_once);
async fn an_idle_proxy_ends_at_once(edge: Edge) {
    let mut proxy = edge.proxy("[listeners.edge]");
    proxy.handle().drain();
    proxy.ended().await;
}
