//! Bodies in filters made for proxy-wasm: seen in pieces, kept back, changed, refused.

use tamis_tests::{Edge, Origin, Proxy, Reply, body, chain, matrix, origin, scenario};

fn through(edge: Edge, origin: &Origin, more: &str) -> Proxy {
    edge.proxy(chain(origin, &[("pw-body", more)]))
}

matrix!(a_whole_body_is_changed_both_ways);
async fn a_whole_body_is_changed_both_ways(edge: Edge) {
    let origin = origin().reflect("/").run();
    let proxy = through(edge, &origin, "");
    let (feed, body) = body::channel();
    let request = proxy.client().await.request("POST", "/").header("x-mode", "whole").streaming(body);
    let answer = tokio::spawn(request.whole());
    for piece in ["one ", "two ", "three"] {
        assert!(feed.send(piece).await);
    }
    drop(feed);
    let answer = answer.await.unwrap().expect("an answer");
    assert_eq!((answer.status, answer.text()), (200, "[ONE TWO THREE]"));
    // The origin may begin to answer before it has heard all.
    assert_eq!(answer.header("x-end"), Some("false"));
}

matrix!(pieces_are_changed_as_they_pass);
async fn pieces_are_changed_as_they_pass(edge: Edge) {
    let origin = origin().reflect("/").run();
    let proxy = through(edge, &origin, "");
    let client = proxy.client().await;
    assert_eq!(client.post("/", "piece").header("x-mode", "prepend").await.text(), "<piece");
    assert_eq!(client.post("/", "piece").header("x-mode", "append").await.text(), "piece>");
}

matrix!(a_body_that_is_left_alone_keeps_its_length);
async fn a_body_that_is_left_alone_keeps_its_length(edge: Edge) {
    let origin = origin().reflect("/").run();
    let proxy = through(edge, &origin, "");
    for mode in ["none", "pause"] {
        let answer = proxy.client().await.post("/", "unchanged").header("x-mode", mode).await;
        assert_eq!((answer.text(), answer.header("content-length")), ("unchanged", Some("9")), "{mode}");
        let seen = origin.requests();
        let seen = seen.last().unwrap();
        assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (Some("9"), None), "{mode}");
    }
}

matrix!(a_request_is_refused_for_its_body);
async fn a_request_is_refused_for_its_body(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = through(edge, &origin, "");
    let answer = proxy.client().await.post("/", "bad").header("x-mode", "deny").await;
    assert_eq!((answer.status, answer.text(), answer.header("x-denied")), (403, "denied", Some("body")));
    assert_eq!(proxy.failures("pw-body").await, 0);
}

scenario!(a_length_that_is_no_longer_true_fails_the_exchange);
async fn a_length_that_is_no_longer_true_fails_the_exchange() {
    let origin = origin().echo("/").run();
    let proxy = through(Edge::HTTP1_PLAIN, &origin, "");
    let answer = proxy.client().await.post("/", "short").header("x-mode", "longer").await;
    assert_eq!((answer.status, answer.reason()), (500, Some("filter-failed")));
    assert_eq!(proxy.client().await.post("/", "a").await.status, 200, "nobody else is touched");
}

matrix!(a_body_that_waits_is_bounded);
async fn a_body_that_waits_is_bounded(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = through(edge, &origin, "proxy-wasm = { body-bytes = 1000 }");
    let client = proxy.client().await;
    assert_eq!(client.post("/", vec![b'x'; 1000]).header("x-mode", "pause").await.status, 200);
    for (piece, status) in [(500, 200), (501, 413)] {
        let (feed, sent) = body::channel();
        let request = proxy.client().await.request("POST", "/").header("x-mode", "pause").streaming(sent);
        let answer = tokio::spawn(request.whole());
        assert!(feed.send(vec![b'x'; piece]).await && feed.send(vec![b'x'; piece]).await);
        // More would come.
        let more = (status == 413).then_some(feed);
        assert_eq!(answer.await.unwrap().expect("an answer").status, status);
        drop(more);
    }
    assert_eq!(proxy.client().await.post("/", vec![b'x'; 5000]).await.status, 200, "what passes does not wait");
}

matrix!(trailers_are_seen_after_a_body_that_waits, http2, because "HTTP/1 trailers have to be announced");
async fn trailers_are_seen_after_a_body_that_waits(edge: Edge) {
    let origin = origin().echo("/").run();
    let more = "[clusters.origin]\nprotocol = 'h2'\n";
    let configuration = chain(&origin, &[("pw-body", "")]).replace("[clusters.origin]\n", more);
    let proxy = edge.proxy(configuration);
    for mode in ["none", "pause"] {
        let sent = body::with_trailers("body", &[("x-sum", "1")]);
        let request = proxy.client().await.request("POST", "/").header("x-mode", mode).streaming(sent);
        let answer = request.await.json();
        assert_eq!((&answer["body"], &answer["trailers"]["x-sum"][0]), (&"body".into(), &"1".into()), "{mode}: {answer}");
        assert_eq!(&answer["trailers"]["x-trailers"][0], "1", "{mode}");
    }
}

scenario!(an_answer_that_streams_passes_piece_by_piece);
async fn an_answer_that_streams_passes_piece_by_piece() {
    let (feed, streamed) = body::channel();
    let streamed = std::sync::Mutex::new(Some(streamed));
    let origin = origin()
        .route_fn("/", move |_| {
            let body = streamed.lock().unwrap().take().expect("one request");
            async move { Reply::new(200).streaming(body) }
        })
        .run();
    let proxy = through(Edge::HTTP1_PLAIN, &origin, "");
    let mut open = proxy.client().await.get("/").open().await.expect("a head");
    for piece in ["one", "two"] {
        assert!(feed.send(piece).await);
        assert_eq!(open.piece().await.unwrap().as_deref(), Some(piece.as_bytes()));
    }
    drop(feed);
    assert_eq!(open.piece().await.unwrap(), None);
}
