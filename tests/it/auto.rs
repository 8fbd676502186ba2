//! One port for TLS, HTTP/1, HTTP/2 and anything else: the first bytes tell.

use tamis_tests::origin::RawOrigin;
use tamis_tests::{Edge, Origin, Proxy, Raw, certificates, client, matrix, origin, proxy, raw_origin, scenario};

use crate::tcp::{ALPN, say};

/// What HTTP goes to, and what everything else goes to.
async fn both() -> (Origin, RawOrigin) {
    let opaque = raw_origin(|mut connection| async move {
        connection.write("220 ready\r\n").await;
        let (mut from, mut to) = connection.0.split();
        tokio::io::copy(&mut from, &mut to).await.ok();
    });
    (origin().route("/", "http").run(), opaque.await)
}

fn config((http, opaque): &(Origin, RawOrigin), more: &str) -> String {
    format!(
        "[listeners.edge]\nprotocol = 'auto'\ncluster = 'http'\ntcp = {{ cluster = 'opaque' }}\n{more}\n\
         [clusters.http]\nendpoints = ['{http}']\n[clusters.opaque]\nendpoints = ['{opaque}']\n"
    )
}

fn plain(origins: &(Origin, RawOrigin)) -> Proxy {
    proxy(config(origins, "timeouts = { protocol-detect = '300ms' }"))
}

matrix!(http_is_http);
async fn http_is_http(edge: Edge) {
    let origins = both().await;
    let proxy = edge.proxy(config(&origins, ""));
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.text(), "http");
    assert_eq!(client.get("/").await.text(), "http", "the connection is one of HTTP from then on");
    let line = &proxy.access_log().lines(2).await[1];
    assert_eq!(line["protocol"], if edge.is_http2() { "h2" } else { "http/1.1" });
}

scenario!(anything_else_passes_as_it_is);
async fn anything_else_passes_as_it_is() {
    let origins = both().await;
    let proxy = plain(&origins);
    for bytes in [&b"\0\0\0\x08\x04\xd2\x16\x2f"[..], b"EHLO there\r\n", b"PRI * HTTP/2.0\r\n\r\nno", b"GET / FTP/1\r\n"] {
        let answer = say(proxy.address(), bytes).await;
        assert_eq!(answer, [b"220 ready\r\n", bytes].concat());
    }
    assert_eq!(proxy.access_log().lines(4).await[3]["protocol"], "tcp");
}

scenario!(where_the_server_speaks_first_the_deadline_decides);
async fn where_the_server_speaks_first_the_deadline_decides() {
    let origins = both().await;
    let proxy = plain(&origins);
    let mut raw = Raw::plain(proxy.address()).await;
    assert_eq!(raw.read(11).await, b"220 ready\r\n");
}

scenario!(a_slow_client_of_http_is_one_of_http);
async fn a_slow_client_of_http_is_one_of_http() {
    let origins = both().await;
    let proxy = proxy(config(&origins, "timeouts = { protocol-detect = '100ms', request-headers = '200ms' }"));
    for begun in ["G", "GET / HT", "\r\n"] {
        let mut slow = Raw::plain(proxy.address()).await;
        slow.send(begun).await;
        assert_eq!(slow.head().await.status, 408, "{begun:?}");
    }
    let mut after_all = Raw::plain(proxy.address()).await;
    after_all.send("\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(after_all.answer().await.1, "http");
}

scenario!(a_request_in_pieces_is_one);
async fn a_request_in_pieces_is_one() {
    let origins = both().await;
    let proxy = proxy(config(&origins, ""));
    let mut raw = Raw::plain(proxy.address()).await;
    for piece in ["G", "ET / HT", "TP/1.1\r", "\nhost: a\r\n\r\n"] {
        raw.send(piece).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(raw.answer().await.1, "http");
}

scenario!(tls_passes_through_where_it_does_not_end_here);
async fn tls_passes_through_where_it_does_not_end_here() {
    let origins = both().await;
    let secure =
        origin().route("/", "secure").tls_config(certificates::certificate(&["a.example"]).server_config_with(ALPN)).run();
    let proxy = proxy(format!(
        "{}[clusters.secure]\nendpoints = ['{secure}']\n",
        config(&origins, "").replace("cluster = 'opaque'", "cluster = 'opaque', sni = { 'a.example' = 'secure' }")
    ));
    let client = client::connect(proxy.address()).edge(Edge::HTTP2_TLS).name("a.example").open().await;
    assert_eq!(client.get("/").await.text(), "secure");
    let client = client::connect(proxy.address()).open().await;
    assert_eq!(client.get("/").await.text(), "http");
}

scenario!(within_tls_it_is_told_as_well);
async fn within_tls_it_is_told_as_well() {
    let origins = both().await;
    let tls = format!("tls = {{ mode = 'permissive', certificates = [{}] }}", certificates::edge().entry());
    let proxy = proxy(config(&origins, &format!("{tls}\ntimeouts = {{ protocol-detect = '300ms' }}")));
    let mut silent = Raw::tls_without_alpn(proxy.address()).await;
    assert_eq!(silent.read(11).await, b"220 ready\r\n", "the server speaks first, in TLS");
    let mut http = Raw::tls_without_alpn(proxy.address()).await;
    http.send("GET / HTTP/1.1\r\nhost: edge.test\r\n\r\n").await;
    assert_eq!(http.answer().await.1, "http");
    assert_eq!(say(proxy.address(), b"\0").await, b"220 ready\r\n\0", "and plain beside it");
    let client = client::connect(proxy.address()).open().await;
    assert_eq!(client.get("/").await.text(), "http");
}

scenario!(who_connects_and_leaves_is_nobody);
async fn who_connects_and_leaves_is_nobody() {
    let origins = both().await;
    let proxy = proxy(config(&origins, ""));
    assert_eq!(say(proxy.address(), b"").await, b"", "it ended before it said anything");
    assert_eq!(client::connect(proxy.address()).open().await.get("/").await.text(), "http");
    assert_eq!(proxy.access_log().lines(1).await[0]["protocol"], "http/1.1");
}
