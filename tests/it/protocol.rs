//! A listener tells the protocols apart by their first bytes, within a deadline.

use http::Version;
use tamis_tests::{Edge, Raw, matrix, origin, proxy, scenario};

matrix!(the_protocol_of_the_client_is_spoken);
async fn the_protocol_of_the_client_is_spoken(edge: Edge) {
    let origin = origin().route("/", "").run();
    let proxy = edge.forward_to(&origin);
    let answer = proxy.client().await.get("/").await;
    let (version, logged) = if edge.is_http2() { (Version::HTTP_2, "h2") } else { (Version::HTTP_11, "http/1.1") };
    assert_eq!(answer.version, version);
    assert_eq!(proxy.access_log().line().await["protocol"], logged);
}

matrix!(both_protocols_share_a_port, plain, because "over TLS the handshake tells, see tls.rs");
async fn both_protocols_share_a_port(edge: Edge) {
    let origin = origin().route("/", "").run();
    let proxy = edge.forward_to(&origin);
    for client in [Edge::HTTP1_PLAIN, Edge::HTTP2_PLAIN, Edge::HTTP1_PLAIN] {
        let client = tamis_tests::client::connect(proxy.address()).edge(client).open().await;
        assert_eq!(client.get("/").await.status, 200);
    }
}

scenario!(first_bytes_may_come_one_by_one);
async fn first_bytes_may_come_one_by_one() {
    let origin = origin().route("/", "here").run();
    let proxy = Edge::HTTP1_PLAIN.forward_to(&origin);
    let mut raw = proxy.raw().await;
    for byte in b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n" {
        raw.send([*byte]).await;
    }
    assert_eq!(raw.answer().await.1, "here", "a P could also have begun HTTP/2");
}

scenario!(a_client_that_says_nothing_is_idle);
async fn a_client_that_says_nothing_is_idle() {
    let proxy = proxy("[listeners.edge]\ntimeouts = { idle = '100ms' }");
    Raw::plain(proxy.address()).await.closed().await;
}

scenario!(a_client_that_stops_within_the_preface_is_left_after_the_deadline);
async fn a_client_that_stops_within_the_preface_is_left_after_the_deadline() {
    let proxy = proxy("[listeners.edge]\ntimeouts = { protocol-detect = '100ms' }");
    let mut raw = proxy.raw().await;
    raw.send("PRI * HTTP/2.0\r\n").await;
    raw.rest().await;
}

scenario!(a_client_that_speaks_tls_to_a_plain_listener_is_refused);
async fn a_client_that_speaks_tls_to_a_plain_listener_is_refused() {
    let proxy = proxy("[listeners.edge]");
    let tls = Edge { tls: true, ..Edge::HTTP1_PLAIN };
    assert!(tamis_tests::client::connect(proxy.address()).edge(tls).try_open().await.is_err());
}
