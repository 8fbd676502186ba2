//! Requests that break a rule of HTTP are answered 400, on a connection that is then closed, and the access log has them.

use tamis_tests::{Edge, Origin, Proxy, matrix, origin};

/// Sends these bytes on a connection of their own, and says what happened other than being refused.
async fn not_refused(proxy: &Proxy, origin: &Origin, bytes: &str) -> Option<String> {
    let (lines, requests) = (proxy.access_log().present().len(), origin.requests().len());
    let mut raw = proxy.raw().await;
    raw.try_send(bytes).await;
    let status = raw.head().await.status;
    if origin.requests().len() > requests {
        return Some(format!("{bytes:?} reached the origin"));
    }
    if status != 400 {
        return Some(format!("{bytes:?} was answered {status}"));
    }
    let rest = String::from_utf8_lossy(&raw.rest().await).into_owned();
    if rest.contains("HTTP/1.1") {
        return Some(format!("after {bytes:?} the connection was not closed but went on: {rest}"));
    }
    let line = proxy.access_log().lines(lines + 1).await.pop()?;
    let logged = line["status"] == 400 && line["reason"] == "malformed-request";
    (!logged).then(|| format!("{bytes:?} was logged as {line}"))
}

async fn all_refused(edge: Edge, rows: &[&str]) {
    let mut mistakes = Vec::new();
    for row in rows {
        let origin = origin().echo("*").run();
        let proxy = edge.forward_to(&origin);
        mistakes.extend(not_refused(&proxy, &origin, row).await);
    }
    assert!(mistakes.is_empty(), "{mistakes:#?}");
}

matrix!(a_doubtful_end_of_the_body_is_refused, http1, because "HTTP/2 frames say where a body ends");
async fn a_doubtful_end_of_the_body_is_refused(edge: Edge) {
    all_refused(
        edge,
        &[
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5, 6\r\n\r\nhello!",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5, 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\nhello",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\nhello",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\nhello",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\nhello",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\nhello",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ],
    )
    .await;
}

matrix!(a_head_that_breaks_the_grammar_is_refused, http1, because "the bytes are those of HTTP/1");
async fn a_head_that_breaks_the_grammar_is_refused(edge: Edge) {
    all_refused(
        edge,
        &[
            "GET / HTTP/1.1\r\nhost: a\r\nx-a : b\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n: b\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx-a: b\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n x-a: b\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx-a: b\0c\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx-a: b\rc\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx(a: b\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nnonsense\r\n\r\n",
            "G@T / HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET / HTTP/1.2\r\nhost: a\r\n\r\n",
            "GET / HTTP/3.0\r\nhost: a\r\n\r\n",
            "GET /\r\nhost: a\r\n\r\n",
            "GET / a HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET nonsense HTTP/1.1\r\nhost: a\r\n\r\n",
            "\x16\x03\x01\x02\x00\x01\x00\x01\x00\r\n\r\n",
        ],
    )
    .await;
}

matrix!(two_ends_of_a_body_become_one, http1, because "HTTP/2 frames say where a body ends");
async fn two_ends_of_a_body_become_one(edge: Edge) {
    for fields in ["content-length: 5\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 5"] {
        let origin = origin().echo("*").run();
        let proxy = edge.forward_to(&origin);
        let mut raw = proxy.raw().await;
        raw.try_send(&format!(
            "POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
        ))
        .await;
        assert_eq!(raw.head().await.status, 200);
        let rest = String::from_utf8_lossy(&raw.rest().await).into_owned();
        assert!(!rest.contains("HTTP/1.1 "), "the connection ends after the answer: {rest}");
        let requests = origin.requests();
        assert_eq!(requests.len(), 1, "nothing was smuggled past the first request");
        assert!(!format!("{:?}", requests[0]).contains("content-length"), "one framing goes upstream: {:?}", requests[0]);
    }
}

matrix!(bare_line_feeds_do_not_go_upstream, http1, because "the bytes are those of HTTP/1");
async fn bare_line_feeds_do_not_go_upstream(edge: Edge) {
    for head in ["GET / HTTP/1.1\nhost: a\n\n", "GET / HTTP/1.1\r\nhost: a\nx-a: b\r\n\r\n"] {
        let (address, heads) = raw_origin_heads().await;
        let proxy = edge.proxy(format!("[listeners.edge]\ncluster = 'o'\n[clusters.o]\nendpoints = ['{address}']"));
        let mut raw = proxy.raw().await;
        raw.try_send(head).await;
        let sent = heads.await.expect("the head arrives");
        assert_eq!(sent.matches('\n').count(), sent.matches("\r\n").count(), "{sent:?}");
    }
}

/// An origin that reports the first head it gets, as it came.
async fn raw_origin_heads() -> (std::net::SocketAddr, tokio::sync::oneshot::Receiver<String>) {
    use tokio::io::AsyncReadExt;
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("bound");
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.expect("the proxy connects");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.expect("it reads") > 0 {}
        let _ = tell.send(String::from_utf8_lossy(&head).into_owned());
    });
    (address, told)
}

matrix!(a_chunked_body_that_breaks_the_grammar_ends_the_exchange, http1, because "HTTP/2 has no chunked coding");
async fn a_chunked_body_that_breaks_the_grammar_ends_the_exchange(edge: Edge) {
    for body in [
        "nonsense\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "-1\r\n\r\n",
        "fffffffffffffffff\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
    ] {
        let origin = origin().echo("*").run();
        let proxy = edge.forward_to(&origin);
        let mut raw = proxy.raw().await;
        raw.try_send(format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}")).await;
        let said = String::from_utf8_lossy(&raw.rest().await).into_owned();
        assert!(!said.starts_with("HTTP/1.1 2"), "{body:?} was taken for a whole body: {said}");
        let line = proxy.access_log().line().await;
        assert_ne!(line["status"], 200, "{body:?}: {line}");
    }
}

matrix!(the_host_must_be_one_and_valid, http1, because "HTTP/2 carries it in a pseudo-field");
async fn the_host_must_be_one_and_valid(edge: Edge) {
    all_refused(
        edge,
        &[
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a, b\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: user@a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n",
        ],
    )
    .await;
}

matrix!(a_host_that_contradicts_the_authority_is_refused, http2, because "in HTTP/1 the row above has it");
async fn a_host_that_contradicts_the_authority_is_refused(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = edge.forward_to(&origin);
    let answer = proxy.client().await.get("/").header("host", "other.test").await;
    assert_eq!((answer.status, answer.reason()), (400, Some("malformed-request")));
    assert_eq!(origin.requests().len(), 0);
}

matrix!(a_host_equal_to_the_authority_passes, http2, because "in HTTP/1 it is the rule");
async fn a_host_equal_to_the_authority_passes(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = edge.forward_to(&origin);
    let answer = proxy.client().await.get("/").header("host", "edge.test").await;
    assert_eq!((answer.status, &answer.json()["headers"]["host"]), (200, &serde_json::json!(["edge.test"])));
}

matrix!(connect_is_no_way_through, http1, because "an HTTP/2 client library speaks it by an interface of its own");
async fn connect_is_no_way_through(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = edge.forward_to(&origin);
    let mut raw = proxy.raw().await;
    raw.send("CONNECT origin.test:443 HTTP/1.1\r\nhost: origin.test:443\r\n\r\n").await;
    let head = raw.head().await;
    assert!((400..600).contains(&head.status), "{}", head.text);
    assert_eq!(origin.requests().len(), 0);
}

matrix!(a_refusal_says_why, http1, because "the bytes are those of HTTP/1");
async fn a_refusal_says_why(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = edge.forward_to(&origin);
    let mut raw = proxy.raw().await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await;
    let (head, body) = raw.answer().await;
    assert_eq!(head.header("x-tamis-reason"), Some("malformed-request"));
    assert!(body.contains("Host"), "the text says which rule: {body}");
}
