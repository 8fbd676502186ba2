//! Bodies stream: the first piece passes before the last is sent, and a slow reader slows the writer instead of filling the proxy.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use tamis_tests::{Edge, Reply, body, matrix, origin};
use tokio::sync::mpsc;

const LARGE_BYTES: usize = 8 * 1024 * 1024;
const PIECE_BYTES: usize = 64 * 1024;
/// What may be on its way in sockets and windows, on both sides together, when nobody reads.
const UNDERWAY_BYTES_MAX: usize = 24 * 1024 * 1024;

fn over_http2(origin: &tamis_tests::Origin) -> String {
    format!("[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']\nprotocol = 'h2'")
}

matrix!(a_piece_of_the_answer_passes_before_the_next_is_sent);
async fn a_piece_of_the_answer_passes_before_the_next_is_sent(edge: Edge) {
    let (feed, answer) = body::channel();
    let answer = std::sync::Mutex::new(Some(answer));
    let origin = origin().route_fn("/", move |_| {
        let answer = answer.lock().unwrap().take().expect("it is asked once");
        async move { Reply::new(200).streaming(answer) }
    });
    let origin = origin.run();
    let proxy = edge.forward_to(&origin);
    let mut answer = proxy.client().await.get("/").open().await.unwrap();
    for piece in ["one", "two", "three"] {
        feed.send(piece).await;
        assert_eq!(answer.piece().await.unwrap().unwrap(), piece);
    }
    drop(feed);
    assert_eq!(answer.piece().await.unwrap(), None);
}

matrix!(a_piece_of_the_request_passes_before_the_next_is_sent);
async fn a_piece_of_the_request_passes_before_the_next_is_sent(edge: Edge) {
    let origin = origin().reflect("/").run();
    let proxy = edge.forward_to(&origin);
    let (feed, body) = body::channel();
    feed.send("first").await;
    let mut answer = proxy.client().await.post("/", "").streaming(body).open().await.unwrap();
    assert_eq!(answer.piece().await.unwrap().unwrap(), "first");
    for piece in ["one", "two", "three"] {
        feed.send(piece).await;
        assert_eq!(answer.piece().await.unwrap().unwrap(), piece);
    }
    drop(feed);
    assert_eq!(answer.piece().await.unwrap(), None);
}

matrix!(a_large_body_passes_both_ways);
async fn a_large_body_passes_both_ways(edge: Edge) {
    let origin = origin().reflect("/").run();
    let proxy = edge.forward_to(&origin);
    let large = body::pattern(LARGE_BYTES);
    let answer = proxy.client().await.post("/", large.clone()).await;
    assert!(answer.body == large, "{} of {} bytes came back, or others", answer.body.len(), large.len());
    let line = proxy.access_log().line().await;
    assert_eq!((&line["request_bytes"], &line["response_bytes"]), (&LARGE_BYTES.into(), &LARGE_BYTES.into()));
}

matrix!(a_large_body_passes_both_ways_over_http_2_upstream);
async fn a_large_body_passes_both_ways_over_http_2_upstream(edge: Edge) {
    let origin = origin().reflect("/").run();
    let proxy = edge.proxy(over_http2(&origin));
    let large = body::pattern(LARGE_BYTES);
    let answer = proxy.client().await.post("/", large.clone()).await;
    assert!(answer.body == large, "{} of {} bytes came back, or others", answer.body.len(), large.len());
}

matrix!(a_chunked_request_passes, http1, because "HTTP/2 has no chunked coding");
async fn a_chunked_request_passes(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.forward_to(&origin);
    let mut raw = proxy.raw().await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\n\r\n").await;
    let (head, body) = raw.answer().await;
    let seen: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((head.status, &seen["body"]), (200, &"hello!".into()));
}

/// Feeds until it is not taken any more for a while; returns how much was taken.
async fn feed_until_stuck(feed: &tamis_tests::Feed) -> usize {
    const STUCK_AFTER: Duration = Duration::from_millis(200);
    let piece = Bytes::from(vec![b'x'; PIECE_BYTES]);
    let mut taken = 0;
    while let Ok(true) = tokio::time::timeout(STUCK_AFTER, feed.send(piece.clone())).await {
        taken += PIECE_BYTES;
        assert!(taken < UNDERWAY_BYTES_MAX, "nobody reads, and still {taken} bytes were taken: the body is collected");
    }
    taken
}

matrix!(a_client_that_does_not_read_stops_the_origin);
async fn a_client_that_does_not_read_stops_the_origin(edge: Edge) {
    let (feed, answer) = body::channel();
    let answer = std::sync::Mutex::new(Some(answer));
    let origin = origin().route_fn("/", move |_| {
        let answer = answer.lock().unwrap().take().expect("it is asked once");
        async move { Reply::new(200).streaming(answer) }
    });
    let origin = origin.run();
    let proxy = edge.forward_to(&origin);
    let client = tamis_tests::client::connect(proxy.address()).edge(edge).window(PIECE_BYTES as u32).open().await;
    let answer = client.get("/").open().await.unwrap();
    let taken = feed_until_stuck(&feed).await;
    drop(feed);
    let whole = answer.whole().await.unwrap();
    assert!(whole.bytes.len() >= taken, "what was taken arrives once it is read");
}

matrix!(an_origin_that_does_not_read_stops_the_client);
async fn an_origin_that_does_not_read_stops_the_client(edge: Edge) {
    let (release, released) = mpsc::channel::<()>(1);
    let released = std::sync::Mutex::new(Some(released));
    let origin = origin().route_fn("/", move |request| {
        let mut released = released.lock().unwrap().take().expect("it is asked once");
        async move {
            released.recv().await;
            let length = request.into_body().collect().await.map(|body| body.to_bytes().len());
            Reply::new(200).body(format!("{}", length.unwrap_or_default()))
        }
    });
    let origin = origin.run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let (feed, body) = body::channel();
    let answer = tokio::spawn(client.post("/", "").streaming(body).into_future());
    let taken = feed_until_stuck(&feed).await;
    drop(feed);
    release.send(()).await.unwrap();
    let received: usize = answer.await.unwrap().text().parse().unwrap();
    assert!(received >= taken, "{taken} bytes were taken and {received} arrived");
}

matrix!(a_client_that_expects_100_is_told_to_continue, http1, because "an HTTP/2 client library does not wait for it");
async fn a_client_that_expects_100_is_told_to_continue(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.forward_to(&origin);
    let mut raw = proxy.raw().await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n").await;
    assert_eq!(raw.head().await.status, 100);
    raw.send("hello").await;
    let (head, body) = raw.answer().await;
    let seen: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((head.status, &seen["body"]), (200, &"hello".into()));
}

matrix!(a_client_that_expects_100_may_be_refused_instead, http1, because "an HTTP/2 client library does not wait for it");
async fn a_client_that_expects_100_may_be_refused_instead(edge: Edge) {
    let proxy = edge.proxy("[listeners.edge]");
    let mut raw = proxy.raw().await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n").await;
    assert_eq!(raw.head().await.status, 404);
}
