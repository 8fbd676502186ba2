//! A connection of HTTP/1 that has nothing to do gives its buffers back, and is as good as ever with its next byte.

use tamis_tests::{Edge, Origin, Proxy, Reply, matrix, origin};

const RESTING: &str = "tamis_connections_resting{listener=\"edge\"}";

fn resting(edge: Edge, origin: &Origin, timeouts: &str) -> Proxy {
    edge.proxy(format!(
        "[listeners.edge]\ncluster = 'origin'\ntimeouts = {{ rest = '20ms', {timeouts} }}\n[clusters.origin]\nendpoints = ['{origin}']"
    ))
}

matrix!(a_resting_connection_goes_on, http1, because "HTTP/2 keeps what it knows of its fields");
async fn a_resting_connection_goes_on(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = resting(edge, &origin, "");
    let mut raw = proxy.raw().await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    raw.send(request("/first")).await;
    assert!(raw.answer().await.1.contains("/first"));
    proxy.metric_becomes(RESTING, |count| count == 1.0).await;
    // Its next bytes wake it, however few.
    raw.send("G").await;
    proxy.metric_becomes(RESTING, |count| count == 0.0).await;
    raw.send("ET /second HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(raw.answer().await.1.contains("/second"));
    proxy.metric_becomes(RESTING, |count| count == 1.0).await;
    raw.send(request("/third") + &request(&format!("/fourth{}", "h".repeat(500)))).await;
    assert!(raw.answer().await.1.contains("/third"));
    assert!(raw.answer().await.1.contains("/fourth"));
}

matrix!(a_head_that_began_with_the_last_request_is_whole, http1, because "HTTP/2 has frames");
async fn a_head_that_began_with_the_last_request_is_whole(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = resting(edge, &origin, "");
    let (mut raw, mut other) = (proxy.raw().await, proxy.raw().await);
    let pad = "p".repeat(500);
    raw.send(format!("GET /first HTTP/1.1\r\nhost: a\r\n\r\nGET /second HTTP/1.1\r\nhost: a\r\nx-pad: {pad}")).await;
    assert!(raw.answer().await.1.contains("/first"));
    other.send("GET /other HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(other.answer().await.1.contains("/other"));
    // The other one had less time to be idle in.
    proxy.metric_becomes(RESTING, |count| count == 1.0).await;
    raw.send("\r\n\r\n").await;
    let answer = raw.answer().await.1;
    assert!(answer.contains("/second") && answer.contains(&pad), "{answer}");
}

matrix!(a_head_that_began_with_the_last_request_has_its_deadline, http1, because "HTTP/2 has frames");
async fn a_head_that_began_with_the_last_request_has_its_deadline(edge: Edge) {
    let origin = origin().echo("*").run();
    for rest in ["0s", "1h", "20ms"] {
        let proxy = edge.proxy(format!(
            "[listeners.edge]\ncluster = 'origin'\ntimeouts = {{ rest = '{rest}', request-headers = '300ms' }}\n\
             [clusters.origin]\nendpoints = ['{origin}']"
        ));
        let mut raw = proxy.raw().await;
        raw.send("GET /first HTTP/1.1\r\nhost: a\r\n\r\nGET /second HTTP/1.1\r\nhost").await;
        assert!(raw.answer().await.1.contains("/first"), "rest = {rest}");
        assert_eq!(raw.answer().await.0.status, 408, "rest = {rest}");
        raw.closed().await;
        // Who has begun nothing is merely idle.
        let mut idle = proxy.raw().await;
        for path in ["/third", "/fourth"] {
            idle.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
            assert!(idle.answer().await.1.contains(path), "rest = {rest}");
            tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        }
    }
}

matrix!(an_empty_line_begins_no_head, http1, because "HTTP/2 has frames");
async fn an_empty_line_begins_no_head(edge: Edge) {
    let origin = origin().echo("*").run();
    for rest in ["0s", "20ms"] {
        let proxy = edge.proxy(format!(
            "[listeners.edge]\ncluster = 'origin'\ntimeouts = {{ rest = '{rest}', request-headers = '300ms' }}\n\
             [clusters.origin]\nendpoints = ['{origin}']"
        ));
        let (mut raw, mut late) = (proxy.raw().await, proxy.raw().await);
        raw.send("POST /first HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx\r\n").await;
        assert!(raw.answer().await.1.contains("/first"), "rest = {rest}");
        late.send("GET / HTTP/1.1\r\nhost").await;
        assert_eq!(late.answer().await.0.status, 408, "rest = {rest}");
        // It would have been late before.
        raw.send("GET /second HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(raw.answer().await.1.contains("/second"), "rest = {rest}");
    }
}

matrix!(a_resting_connection_ends_like_any_other, http1, because "HTTP/2 does not rest");
async fn a_resting_connection_ends_like_any_other(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let proxy = resting(edge, &origin, "idle = '2s'");
    let mut idle = proxy.raw().await;
    idle.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(idle.answer().await.1, "here");
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.text(), "here");
    proxy.metric_becomes(RESTING, |count| count == 2.0).await;
    drop(client);
    idle.closed().await;
    proxy.metric_becomes("tamis_connections_active{listener=\"edge\"}", |count| count == 0.0).await;
    assert_eq!(proxy.metric(RESTING).await.unwrap_or(0.0), 0.0);
}

matrix!(what_is_left_of_a_request_is_no_next_one, http1, because "HTTP/2 has frames");
async fn what_is_left_of_a_request_is_no_next_one(edge: Edge) {
    // Answers before it has read the request, and goes on reading.
    let origin = origin()
        .route_fn("/early", |request| async {
            tokio::spawn(http_body_util::BodyExt::collect(request.into_body()));
            Reply::new(200).body("early")
        })
        .route("*", "here")
        .run();
    let proxy = resting(edge, &origin, "");
    let inner = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut raw = proxy.raw().await;
    raw.send(format!("POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\nfive!", 5 + inner.len())).await;
    assert_eq!(raw.answer().await.1, "early");
    let mut other = proxy.raw().await;
    other.send("GET /other HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(other.answer().await.1, "here");
    // The other one had less time to be idle in.
    proxy.metric_becomes(RESTING, |count| count == 1.0).await;
    raw.try_send(inner).await;
    raw.try_send("GET /next HTTP/1.1\r\nhost: a\r\n\r\n").await;
    // Whether or not it is kept for another request.
    let _ = raw.try_head().await;
    let asked: Vec<_> = origin.requests().iter().map(|seen| seen.target.clone()).collect();
    assert!(!asked.iter().any(|path| path == "/smuggled"), "{asked:?}");
}
