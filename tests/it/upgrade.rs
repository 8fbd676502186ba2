//! An HTTP/1.1 connection that becomes something else: after 101, bytes pass both ways until one side ends.

use hyper_util::rt::TokioIo;
use tamis_tests::{Edge, Origin, Proxy, Raw, Reply, matrix, origin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ASK: &str = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";

/// An origin that upgrades and then sends back what it is sent, in capitals, until it is told `bye`.
fn shouting() -> Origin {
    origin()
        .route_fn("/chat", |mut request| async move {
            let asked = request.headers().get("upgrade").cloned();
            if asked.as_ref().is_none_or(|asked| asked != "websocket") {
                return Reply::new(426).body(format!("{asked:?}"));
            }
            let upgrading = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrading.await.expect("the proxy upgrades"));
                let mut piece = [0; 1024];
                while let Ok(count @ 1..) = stream.read(&mut piece).await {
                    stream.write_all(piece[..count].to_ascii_uppercase().as_slice()).await.ok();
                    if &piece[..count] == b"bye" {
                        return;
                    }
                }
            });
            Reply::new(101)
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        })
        .route("/hello", "hello")
        .run()
}

async fn upgraded(proxy: &Proxy) -> Raw {
    let mut raw = proxy.raw().await;
    raw.send(ASK).await;
    let head = raw.head().await;
    assert_eq!(head.status, 101, "{}", head.text);
    assert_eq!(head.header("upgrade"), Some("websocket"));
    assert!(head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")), "{}", head.text);
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    raw
}

matrix!(bytes_pass_both_ways_after_the_upgrade, http1, because "HTTP/2 has no Upgrade");
async fn bytes_pass_both_ways_after_the_upgrade(edge: Edge) {
    let origin = shouting();
    let proxy = edge.forward_to(&origin);
    let mut raw = upgraded(&proxy).await;
    for word in ["one", "two", "three"] {
        raw.send(word).await;
        assert_eq!(raw.read(word.len()).await, word.to_uppercase().as_bytes());
    }
    raw.send("bye").await;
    assert_eq!(raw.rest().await, b"BYE", "when the origin ends, the client's connection ends");
    drop(raw);
    let line = proxy.access_log().line().await;
    assert_eq!((&line["status"], &line["reason"]), (&101.into(), &"upstream".into()));
}

matrix!(what_comes_with_the_request_passes, http1, because "HTTP/2 has no Upgrade");
async fn what_comes_with_the_request_passes(edge: Edge) {
    let origin = shouting();
    let proxy = edge.forward_to(&origin);
    let mut raw = proxy.raw().await;
    raw.send(format!("{ASK}early")).await;
    assert_eq!(raw.head().await.status, 101);
    assert_eq!(raw.read(5).await, b"EARLY");
}

matrix!(the_origin_notices_when_the_client_leaves, http1, because "HTTP/2 has no Upgrade");
async fn the_origin_notices_when_the_client_leaves(edge: Edge) {
    let origin = shouting();
    let proxy = edge.forward_to(&origin);
    drop(upgraded(&proxy).await);
    assert_eq!(proxy.access_log().line().await["status"], 101, "the exchange ends with the client");
}

matrix!(an_upgrade_that_is_declined_is_an_answer_like_any, http1, because "HTTP/2 has no Upgrade");
async fn an_upgrade_that_is_declined_is_an_answer_like_any(edge: Edge) {
    let origin = shouting();
    let proxy = edge.forward_to(&origin);
    let mut raw = proxy.raw().await;
    raw.send(ASK.replace("/chat", "/hello")).await;
    let (head, body) = raw.answer().await;
    assert_eq!((head.status, body.as_str()), (200, "hello"));
    raw.send("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(raw.answer().await.1, "hello", "the connection goes on");
}

matrix!(an_upgrade_field_without_the_connection_option_is_not_passed, http1, because "HTTP/2 has no Upgrade");
async fn an_upgrade_field_without_the_connection_option_is_not_passed(edge: Edge) {
    let origin = shouting();
    let proxy = edge.forward_to(&origin);
    let answer = proxy.client().await.get("/chat").header("upgrade", "websocket").await;
    assert_eq!((answer.status, answer.text()), (426, "None"));
}

matrix!(an_upgraded_connection_without_traffic_is_ended, http1, because "HTTP/2 has no Upgrade");
async fn an_upgraded_connection_without_traffic_is_ended(edge: Edge) {
    let origin = shouting();
    let proxy = edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        timeouts = {{ upgrade-idle = "100ms" }}
        [clusters.origin]
        endpoints = ["{origin}"]
        "#
    ));
    let mut raw = upgraded(&proxy).await;
    raw.send("one").await;
    assert_eq!(raw.read(3).await, b"ONE");
    raw.closed().await;
}
