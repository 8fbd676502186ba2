//! A body that either side cuts off ends the other side as an error, never as a complete message.

use http_body_util::BodyExt;
use tamis_tests::{Edge, Origin, Proxy, Reply, body, matrix, origin, raw_origin};
use tokio::sync::mpsc;

/// An origin that sends the first half of an answer, and cuts it.
fn cutting(length: Option<&'static str>) -> Origin {
    origin()
        .route_fn("/", move |_| async move {
            let (feed, body) = body::channel();
            tokio::spawn(async move {
                feed.send("half").await;
                feed.cut().await;
            });
            let reply = Reply::new(200).streaming(body);
            match length {
                Some(length) => reply.header("content-length", length),
                None => reply,
            }
        })
        .run()
}

fn over_http2(edge: Edge, origin: &Origin) -> Proxy {
    edge.proxy(format!("[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']\nprotocol = 'h2'"))
}

async fn the_client_notices(proxy: &Proxy) {
    let client = proxy.client().await;
    let answer = client.get("/").open().await;
    if let Ok(answer) = answer {
        let whole = answer.whole().await;
        assert!(whole.is_err(), "the client took the cut body for a whole one: {whole:?}");
    }
    let line = proxy.access_log().line().await;
    assert_eq!(line["reason"], "upstream-reset", "{line}");
}

matrix!(an_answer_of_unknown_length_that_is_cut);
async fn an_answer_of_unknown_length_that_is_cut(edge: Edge) {
    let origin = cutting(None);
    the_client_notices(&edge.forward_to(&origin)).await;
}

matrix!(an_answer_of_known_length_that_is_cut);
async fn an_answer_of_known_length_that_is_cut(edge: Edge) {
    let origin = cutting(Some("100"));
    the_client_notices(&edge.forward_to(&origin)).await;
}

matrix!(an_answer_over_http_2_that_is_reset);
async fn an_answer_over_http_2_that_is_reset(edge: Edge) {
    let origin = cutting(None);
    the_client_notices(&over_http2(edge, &origin)).await;
}

matrix!(an_answer_that_ends_with_its_connection_is_whole);
async fn an_answer_that_ends_with_its_connection_is_whole(edge: Edge) {
    let origin = raw_origin(|mut connection| async move {
        connection.head().await;
        connection.write("HTTP/1.0 200 OK\r\n\r\nwhole").await;
    })
    .await;
    let proxy = edge.proxy(format!("[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']"));
    assert_eq!(proxy.client().await.get("/").await.text(), "whole");
}

/// What an origin tells of a request's body: each piece, and how it ended.
#[derive(Debug, PartialEq)]
enum Told {
    Piece(bytes::Bytes),
    Whole,
    Cut,
}

/// Tells how the body ended when it is dropped: a server drops a request whose stream was reset.
struct Ending(mpsc::UnboundedSender<Told>, Told);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.send(std::mem::replace(&mut self.1, Told::Cut)).ok();
    }
}

fn telling() -> (Origin, mpsc::UnboundedReceiver<Told>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let origin = origin().route_fn("/", move |request| {
        let sender = sender.clone();
        async move {
            let mut body = request.into_body();
            let mut end = Ending(sender, Told::Cut);
            loop {
                match body.frame().await {
                    None => break end.1 = Told::Whole,
                    Some(Err(_)) => break,
                    Some(Ok(frame)) => end.0.send(Told::Piece(frame.into_data().unwrap_or_default())).ok(),
                };
            }
            drop(end);
            Reply::new(200)
        }
    });
    (origin.run(), receiver)
}

async fn the_origin_notices(proxy: &Proxy, told: &mut mpsc::UnboundedReceiver<Told>) {
    let client = proxy.client().await;
    let (feed, body) = body::channel();
    let sending = tokio::spawn(client.post("/", "").streaming(body).whole());
    feed.send("half").await;
    assert_eq!(told.recv().await, Some(Told::Piece("half".into())));
    feed.cut().await;
    assert_eq!(told.recv().await, Some(Told::Cut));
    assert!(sending.await.unwrap().is_err(), "the client gets no answer");
    let line = proxy.access_log().line().await;
    assert_eq!(line["reason"], "client-gone", "{line}");
}

matrix!(a_request_that_is_cut);
async fn a_request_that_is_cut(edge: Edge) {
    let (origin, mut told) = telling();
    the_origin_notices(&edge.forward_to(&origin), &mut told).await;
}

matrix!(a_request_that_is_cut_on_the_way_to_http_2);
async fn a_request_that_is_cut_on_the_way_to_http_2(edge: Edge) {
    let (origin, mut told) = telling();
    the_origin_notices(&over_http2(edge, &origin), &mut told).await;
}

matrix!(a_request_of_known_length_that_is_cut, http1, because "a length is only binding there");
async fn a_request_of_known_length_that_is_cut(edge: Edge) {
    let (origin, mut told) = telling();
    let proxy = edge.forward_to(&origin);
    let mut raw = proxy.raw().await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf").await;
    assert_eq!(told.recv().await, Some(Told::Piece("half".into())));
    drop(raw);
    assert_eq!(told.recv().await, Some(Told::Cut));
    assert_eq!(proxy.access_log().line().await["reason"], "client-gone");
}

matrix!(a_client_that_leaves_while_it_reads_frees_the_upstream);
async fn a_client_that_leaves_while_it_reads_frees_the_upstream(edge: Edge) {
    let (gone, mut left) = mpsc::unbounded_channel();
    let origin = origin().route_fn("/", move |_| {
        let gone = gone.clone();
        async move { Reply::new(200).streaming(origin_body(gone)) }
    });
    let origin = origin.run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let mut answer = client.get("/").open().await.unwrap();
    assert_eq!(answer.piece().await.unwrap().unwrap(), "first");
    drop((answer, client));
    left.recv().await.expect("the origin's body is dropped");
    assert_eq!(proxy.access_log().line().await["reason"], "client-gone");
}

fn origin_body(gone: mpsc::UnboundedSender<()>) -> body::Body {
    tamis_tests::origin::noticing(tamis_tests::origin::unending("first"), gone)
}

matrix!(a_client_that_leaves_before_the_answer_frees_the_upstream);
async fn a_client_that_leaves_before_the_answer_frees_the_upstream(edge: Edge) {
    struct Dropped(mpsc::UnboundedSender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send(()).ok();
        }
    }
    let (came, mut arrived) = mpsc::unbounded_channel();
    let (gone, mut left) = mpsc::unbounded_channel();
    let origin = origin().route_fn("/", move |_| {
        let (came, dropped) = (came.clone(), Dropped(gone.clone()));
        async move {
            let _dropped = dropped;
            came.send(()).ok();
            std::future::pending().await
        }
    });
    let origin = origin.run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let asking = tokio::spawn(client.get("/").whole());
    drop(client);
    arrived.recv().await.expect("the request arrives");
    asking.abort();
    left.recv().await.expect("the origin's answer is given up");
    assert_eq!(proxy.access_log().line().await["reason"], "client-gone");
}

matrix!(an_early_answer_passes_while_the_request_still_streams);
async fn an_early_answer_passes_while_the_request_still_streams(edge: Edge) {
    let origin = origin().route_fn("/", |_| async { Reply::new(413).body("too much") }).run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let (feed, body) = body::channel();
    feed.send("a piece").await;
    let answer = client.post("/", "").streaming(body).await;
    assert_eq!((answer.status, answer.text()), (413, "too much"));
}
