//! The PROXY protocol: a trusted hop says who its client is, and endpoints are told.

use tamis_tests::origin::RawOrigin;
use tamis_tests::{Edge, Proxy, Raw, matrix, origin, proxy, raw_origin, refused, scenario};
use tokio::io::AsyncReadExt;

use crate::tcp::{echo, named, say};

const V1: &[u8] = b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f\xcb\x00\x71\x07\xc6\x33\x64\x01\x12\x67\x01\xbb\x04\0\0";
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 1.2.3.4\r\nconnection: close\r\n\r\n";
const TRUSTED: &str = "trusted = ['127.0.0.0/8']";

/// A listener of this kind before an endpoint.
fn of(endpoint: impl std::fmt::Display, listener: &str, cluster: &str) -> Proxy {
    proxy(format!(
        "[access-log]\nonly = ['source', 'reason', 'error', 'protocol']\n[listeners.edge]\ncluster = 'origin'\n{listener}\n[clusters.origin]\nendpoints = ['{endpoint}']\n{cluster}\n"
    ))
}

scenario!(the_client_is_whom_a_trusted_peer_says);
async fn the_client_is_whom_a_trusted_peer_says() {
    let origin = origin().echo("*").run();
    for mode in ["required", "optional"] {
        let proxy = of(&origin, &format!("{TRUSTED}\nproxy-protocol = '{mode}'"), "");
        for (at, header) in [V1, V2].into_iter().enumerate() {
            let mut raw = Raw::plain(proxy.address()).await;
            // It may come in pieces, and with what follows.
            let (first, rest) = header.split_at(14);
            raw.send(first).await;
            raw.send([rest, GET].concat()).await;
            let (_, body) = raw.answer().await;
            assert!(body.contains("203.0.113.7"), "{mode}: {body}");
            assert!(!body.contains("1.2.3.4"), "the client itself is not trusted: {body}");
            assert_eq!(proxy.access_log().lines(at + 1).await[at]["source"], "203.0.113.7");
        }
        let local = [&b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"[..], GET].concat();
        let mut raw = Raw::plain(proxy.address()).await;
        raw.send(local).await;
        assert!(raw.answer().await.1.contains("127.0.0.1"), "a check of the peer itself");
    }
}

matrix!(it_comes_before_tls, tls, because "without TLS there is nothing to come before");
async fn it_comes_before_tls(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = edge.proxy(format!(
        "[listeners.edge]\ncluster = 'origin'\n{TRUSTED}\nproxy-protocol = 'optional'\n[clusters.origin]\nendpoints = ['{origin}']\n"
    ));
    assert_eq!(proxy.client().await.get("/").await.status, 200, "without one, where it is optional");
    let mut stream = tokio::net::TcpStream::connect(proxy.address()).await.expect("the proxy accepts");
    tokio::io::AsyncWriteExt::write_all(&mut stream, V2).await.expect("the proxy reads");
    let alpn: &[u8] = b"http/1.1";
    let stream = tamis_tests::client::tls(stream, tamis_tests::certificates::EDGE_NAME, &[alpn]).await;
    let mut stream = stream.expect("the handshake follows the header");
    tokio::io::AsyncWriteExt::write_all(&mut stream, GET).await.expect("the proxy reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the proxy ends in order");
    assert!(answer.contains("203.0.113.7"), "{answer}");
}

scenario!(who_says_it_wrongly_or_not_at_all_is_closed);
async fn who_says_it_wrongly_or_not_at_all_is_closed() {
    let origin = named("one").await;
    let proxy = of(
        &origin,
        &format!(
            "protocol = 'tcp'\n{TRUSTED}\nproxy-protocol = 'required'\ntimeouts = {{ proxy-header = '200ms' }}\n\
             limits = {{ proxy-header-bytes = '232B' }}"
        ),
        "",
    );
    let never_ending = [b"PROXY ".as_slice(), &[b'x'; 4096]].concat();
    let hostile: [(&[u8], &str); 7] = [
        (GET, "something else"),
        (&never_ending, "at most 107 bytes"),
        (b"PROXY TCP4 203.0.113.7", "in time"),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", "two addresses"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", "at most 232 bytes"),
        (b"\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x0c", "version 2"),
        (b"\x16\x03\x01\x00\x00", "something else"),
    ];
    for (at, (bytes, why)) in hostile.into_iter().enumerate() {
        let mut raw = Raw::plain(proxy.address()).await;
        raw.try_send(bytes).await;
        raw.closed().await;
        let line = &proxy.access_log().lines(at + 1).await[at];
        assert_eq!(line["reason"], "proxy-header", "{line}");
        assert!(line["error"].as_str().is_some_and(|error| error.contains(why)), "{why}: {line}");
    }
    let stranger = of(&origin, "protocol = 'tcp'\ntrusted = ['10.0.0.0/8']\nproxy-protocol = 'required'", "");
    let mut raw = Raw::plain(stranger.address()).await;
    raw.try_send(V1).await;
    raw.closed().await;
    assert_eq!(stranger.access_log().line().await["reason"], "proxy-header");
    // Where it is optional, a stranger's is data like any other.
    let optional = of(&origin, "protocol = 'tcp'\ntrusted = ['10.0.0.0/8']\nproxy-protocol = 'optional'", "");
    assert_eq!(say(optional.address(), V1).await, [b"one:", V1].concat());
}

scenario!(where_it_is_optional_a_server_may_speak_first);
async fn where_it_is_optional_a_server_may_speak_first() {
    let origin = raw_origin(|mut connection| async move { connection.write("220 ready").await }).await;
    let proxy = of(
        &origin,
        &format!("protocol = 'tcp'\n{TRUSTED}\nproxy-protocol = 'optional'\ntimeouts = {{ proxy-header = '100ms' }}"),
        "",
    );
    assert_eq!(Raw::plain(proxy.address()).await.rest().await, b"220 ready");
}

/// What an endpoint is told first, for each connection.
async fn telling() -> (RawOrigin, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (told, tells) = tokio::sync::mpsc::unbounded_channel();
    let origin = raw_origin(move |mut connection| {
        let told = told.clone();
        async move {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                match connection.0.read_u8().await {
                    Ok(byte) => line.push(byte),
                    Err(_) => return,
                }
            }
            told.send(String::from_utf8_lossy(&line).trim_end().to_owned()).ok();
            while !connection.head().await.is_empty() {
                connection.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    })
    .await;
    (origin, tells)
}

scenario!(endpoints_are_told_and_connections_are_never_shared);
async fn endpoints_are_told_and_connections_are_never_shared() {
    let (origin, mut tells) = telling().await;
    let proxy = of(&origin, "", "proxy-protocol = 'v1'");
    let (one, two) = (proxy.client().await, proxy.client().await);
    for client in [&one, &two, &one, &two] {
        assert_eq!(client.get("/").await.status, 200);
    }
    let mut told = vec![tells.recv().await.expect("a connection"), tells.recv().await.expect("another one")];
    assert!(tells.try_recv().is_err(), "each client's connection serves all of its requests");
    let to = format!(" {}", proxy.address().port());
    assert!(told.iter().all(|line| line.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 ") && line.ends_with(&to)), "{told:?}");
    told.dedup();
    assert_eq!(told.len(), 2, "two clients");
    // What a client leaves behind is closed, and given to nobody.
    drop((one, two));
    let three = proxy.client().await;
    assert_eq!(three.get("/").await.status, 200);
    let line = tells.recv().await.expect("a connection of its own");
    assert!(!told.contains(&line));
}

scenario!(checks_speak_for_the_proxy_itself);
async fn checks_speak_for_the_proxy_itself() {
    let (origin, mut tells) = telling().await;
    let proxy = of(&origin, "", "proxy-protocol = 'v1'\nhealth = { interval = '100ms', http = '/' }");
    assert_eq!(tells.recv().await.as_deref(), Some("PROXY UNKNOWN"));
    drop(proxy);
}

scenario!(a_raw_connection_tells_what_it_was_told);
async fn a_raw_connection_tells_what_it_was_told() {
    let last = named("last").await;
    for version in ["v1", "v2"] {
        let inner = of(&last, &format!("protocol = 'tcp'\n{TRUSTED}\nproxy-protocol = 'required'"), "proxy-protocol = 'v1'");
        let outer = of(
            inner.address(),
            &format!("protocol = 'tcp'\n{TRUSTED}\nproxy-protocol = 'optional'"),
            &format!("proxy-protocol = '{version}'"),
        );
        let answer = say(outer.address(), &[V2, b"hello"].concat()).await;
        assert_eq!(answer, [b"last:", V1, b"hello"].concat(), "through two hops, {version} between them");
        assert_eq!(inner.access_log().line().await["source"], "203.0.113.7");
    }
}

scenario!(nobody_is_believed_where_nobody_is_trusted);
async fn nobody_is_believed_where_nobody_is_trusted() {
    let said = refused("[listeners.edge]\nlisten = '127.0.0.1:0'\nproxy-protocol = 'optional'");
    assert!(said.contains("expected `trusted` beside it"), "{said}");
    // Without the key, a header is no HTTP, and bytes of a raw connection.
    let origin = echo().await;
    let raw = of(&origin, &format!("protocol = 'tcp'\n{TRUSTED}"), "");
    assert_eq!(say(raw.address(), V1).await, V1);
    let http = of(&origin, TRUSTED, "");
    let mut client = Raw::plain(http.address()).await;
    client.try_send([V1, GET].concat()).await;
    assert_eq!(client.head().await.status, 400);
}
