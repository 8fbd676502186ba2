//! TLS towards clients: the certificate is chosen by the name, the protocol by ALPN.

use rustls::version::{TLS12, TLS13};
use tamis_tests::certificates::{self, EDGE_NAME};
use tamis_tests::{Edge, Proxy, client, matrix, origin, proxy, refused, scenario};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

matrix!(the_certificate_is_chosen_by_the_name, tls, because "a plain connection names nobody");
async fn the_certificate_is_chosen_by_the_name(edge: Edge) {
    let [one, two, wild] = [
        certificates::certificate(&["one.test"]),
        certificates::certificate(&["two.test", "zwei.test"]),
        certificates::certificate(&["*.wild.test"]),
    ];
    let origin = origin().echo("/").run();
    let proxy = proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        tls = {{ certificates = [{}, {}, {}] }}
        [clusters.origin]
        endpoints = ["{origin}"]
        "#,
        one.entry(),
        two.entry(),
        wild.entry()
    ));
    for (name, expected) in [("one.test", &one), ("two.test", &two), ("zwei.test", &two), ("a.wild.test", &wild)] {
        let client = client::connect(proxy.address()).edge(edge).name(name).open().await;
        assert!(expected.is(client.certificate()), "{name} is answered with another's certificate");
        assert_eq!(client.get("/").await.json()["headers"]["x-forwarded-host"], serde_json::json!([name]));
    }
    for unknown in ["three.test", "a.b.wild.test"] {
        let refused = client::connect(proxy.address()).edge(edge).name(unknown).try_open().await;
        assert!(refused.is_err(), "{unknown} is in no certificate, so the client must not trust the first one");
    }
}

/// What a client that offers these protocols agrees on with the proxy.
async fn agreed(proxy: &Proxy, offered: &[&[u8]]) -> Option<Vec<u8>> {
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let stream = client::tls(stream, EDGE_NAME, offered).await.expect("the handshake succeeds");
    stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)
}

scenario!(http_2_is_preferred_and_nothing_is_forced);
async fn http_2_is_preferred_and_nothing_is_forced() {
    let origin = origin().route("/", "").run();
    let proxy = Edge::HTTP2_TLS.forward_to(&origin);
    assert_eq!(agreed(&proxy, &[b"http/1.1", b"h2"]).await.as_deref(), Some(b"h2".as_slice()));
    assert_eq!(agreed(&proxy, &[b"http/1.1"]).await.as_deref(), Some(b"http/1.1".as_slice()));
    assert_eq!(agreed(&proxy, &[]).await, None);
}

scenario!(a_client_without_alpn_is_served);
async fn a_client_without_alpn_is_served() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let origin = origin().route("/", "here").run();
    let proxy = Edge::HTTP1_TLS.forward_to(&origin);
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let mut stream = client::tls(stream, EDGE_NAME, &[]).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
}

scenario!(both_versions_of_tls_are_spoken);
async fn both_versions_of_tls_are_spoken() {
    let origin = origin().run();
    let proxy = Edge::HTTP1_TLS.forward_to(&origin);
    for version in [&TLS12, &TLS13] {
        let connector = TlsConnector::from(certificates::client_config_of(&[version], &[]));
        let stream = TcpStream::connect(proxy.address()).await.unwrap();
        let stream = connector.connect(EDGE_NAME.try_into().unwrap(), stream).await;
        assert_eq!(stream.expect("the handshake succeeds").get_ref().1.protocol_version(), Some(version.version));
    }
}

scenario!(a_certificate_that_cannot_be_used_stops_the_start);
async fn a_certificate_that_cannot_be_used_stops_the_start() {
    let (good, other) = (certificates::certificate(&["good.test"]), certificates::certificate(&["other.test"]));
    let listener = |chain: &str, key: &str| {
        format!("[listeners.edge]\nlisten = '127.0.0.1:0'\ntls = {{ certificates = [{{ chain = '{chain}', key = '{key}' }}] }}")
    };
    let (chain, key) = (good.chain.display().to_string(), good.key.display().to_string());
    let missing = refused(listener("missing.pem", &key));
    assert!(missing.contains("missing.pem"), "{missing}");
    let wrong_kind = refused(listener(&key, &key));
    assert!(wrong_kind.contains(&key), "{wrong_kind}");
    let strangers = refused(listener(&chain, &other.key.display().to_string()));
    assert!(strangers.contains("other.test"), "the key belongs to another certificate: {strangers}");
}
