//! Nothing waits forever: each deadline ends what it is for, and says so.

use tamis_tests::{Edge, Gate, Origin, Proxy, Raw, Reply, body, matrix, origin, scenario};

fn with(edge: Edge, origin: &Origin, listener: &str, cluster: &str) -> Proxy {
    edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        timeouts = {{ {listener} }}
        [clusters.origin]
        endpoints = ["{origin}"]
        timeouts = {{ {cluster} }}
        "#
    ))
}

matrix!(a_slow_upstream_is_504);
async fn a_slow_upstream_is_504(edge: Edge) {
    let origin = origin().hang("/").run();
    let proxy = with(edge, &origin, "", "request = '100ms'");
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.reason()), (504, Some("timeout")));
    let line = proxy.access_log().line().await;
    assert_eq!((&line["reason"], &line["endpoint"]), (&"timeout".into(), &origin.to_string().into()));
    assert!(line["duration_us"].as_u64().unwrap() >= 100_000, "{line}");
}

matrix!(a_slow_upstream_over_http_2_is_504);
async fn a_slow_upstream_over_http_2_is_504(edge: Edge) {
    let origin = origin().hang("/slow").route("/quick", "quick").run();
    let proxy = edge.proxy(format!(
        "workers = 1\n[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']\nprotocol = 'h2'\ntimeouts = {{ request = '100ms' }}"
    ));
    let client = proxy.client().await;
    let answer = client.get("/slow").await;
    assert_eq!((answer.status, answer.reason()), (504, Some("timeout")));
    assert_eq!(client.get("/quick").await.text(), "quick");
    assert_eq!(origin.connections(), 1, "one slow exchange does not cost the others their connection");
}

matrix!(the_time_that_the_request_takes_is_not_the_upstreams);
async fn the_time_that_the_request_takes_is_not_the_upstreams(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = with(edge, &origin, "", "request = '300ms'");
    let (feed, body) = body::channel();
    let answer = tokio::spawn(proxy.client().await.post("/", "").streaming(body).into_future());
    for _ in 0..5 {
        feed.send("x").await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    drop(feed);
    let answer = answer.await.unwrap();
    assert_eq!((answer.status, &answer.json()["body"]), (200, &"xxxxx".into()));
}

matrix!(an_answer_that_streams_is_not_cut_by_the_request_timeout);
async fn an_answer_that_streams_is_not_cut_by_the_request_timeout(edge: Edge) {
    let origin = origin()
        .route_fn("/", |_| async {
            let (feed, body) = body::channel();
            tokio::spawn(async move {
                for _ in 0..5 {
                    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
                    feed.send("x").await;
                }
            });
            Reply::new(200).streaming(body)
        })
        .run();
    let proxy = with(edge, &origin, "", "request = '150ms'");
    assert_eq!(proxy.client().await.get("/").await.text(), "xxxxx");
}

matrix!(a_request_head_that_never_ends_is_given_up, http1, because "an HTTP/2 head is one frame here");
async fn a_request_head_that_never_ends_is_given_up(edge: Edge) {
    let origin = origin().run();
    let proxy = with(edge, &origin, "request-headers = '100ms'", "");
    let mut raw = proxy.raw().await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n").await;
    if let Some(head) = raw.try_head().await {
        assert_eq!(head.status, 408, "{}", head.text);
    }
    raw.rest().await;
    let line = proxy.access_log().line().await;
    assert_eq!(line["reason"], "client-timeout", "{line}");
}

matrix!(a_request_body_that_stops_is_given_up);
async fn a_request_body_that_stops_is_given_up(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = with(edge, &origin, "progress = '100ms'", "");
    let (feed, body) = body::channel();
    feed.send("begun").await;
    let answer = proxy.client().await.post("/", "").streaming(body).whole().await;
    if let Ok(answer) = &answer {
        assert_eq!((answer.status, answer.reason()), (408, Some("client-timeout")));
    }
    let line = proxy.access_log().line().await;
    assert_eq!(line["reason"], "client-timeout", "{line}");
    drop(feed);
}

matrix!(an_idle_connection_is_closed);
async fn an_idle_connection_is_closed(edge: Edge) {
    let origin = origin().route("/", "").run();
    let proxy = with(edge, &origin, "idle = '100ms'", "");
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.status, 200);
    client.closed().await.expect("it ends in order");
}

matrix!(a_connection_with_an_exchange_is_not_idle);
async fn a_connection_with_an_exchange_is_not_idle(edge: Edge) {
    let gate = Gate::new();
    let origin = origin().gated("/", &gate, "late").run();
    let proxy = with(edge, &origin, "idle = '50ms'", "");
    let answer = tokio::spawn(proxy.client().await.get("/").into_future());
    gate.arrived().await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    gate.open();
    assert_eq!(answer.await.unwrap().text(), "late");
}

matrix!(an_old_connection_is_drained);
async fn an_old_connection_is_drained(edge: Edge) {
    let gate = Gate::new();
    let origin = origin().gated("/", &gate, "late").run();
    let proxy = with(edge, &origin, "connection-age = '100ms'", "");
    let client = proxy.client().await;
    let answer = tokio::spawn(client.get("/").into_future());
    gate.arrived().await;
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    gate.open();
    assert_eq!(answer.await.unwrap().text(), "late", "what is under way is finished");
    client.closed().await.expect("it ends in order");
}

matrix!(a_stream_in_which_nothing_moves_is_ended);
async fn a_stream_in_which_nothing_moves_is_ended(edge: Edge) {
    let origin = origin().route_fn("/", |_| async { Reply::new(200).streaming(tamis_tests::origin::unending("first")) }).run();
    let proxy = with(edge, &origin, "stream-idle = '100ms'", "");
    let mut answer = proxy.client().await.get("/").open().await.unwrap();
    assert_eq!(answer.piece().await.unwrap().unwrap(), "first");
    assert!(answer.piece().await.is_err(), "the answer is cut, not ended");
    let line = proxy.access_log().line().await;
    assert_eq!(line["reason"], "timeout", "{line}");
}

matrix!(a_reader_that_stops_is_given_up);
async fn a_reader_that_stops_is_given_up(edge: Edge) {
    let origin = origin().route("/", body::pattern(64 * 1024 * 1024)).run();
    let proxy = with(edge, &origin, "progress = '200ms'", "");
    let client = tamis_tests::client::connect(proxy.address()).edge(edge).window(65_535).open().await;
    let answer = client.get("/").open().await.unwrap();
    let line = proxy.access_log().line().await;
    assert_eq!(line["reason"], "client-timeout", "{line}");
    assert!(answer.whole().await.is_err(), "the answer is cut, not ended");
}

matrix!(an_upstream_that_does_not_accept_is_given_up);
async fn an_upstream_that_does_not_accept_is_given_up(edge: Edge) {
    let (address, _queue) = full_queue().await;
    let proxy = edge.proxy(format!(
        "[listeners.edge]\ncluster = 'full'\n[clusters.full]\nendpoints = ['{address}']\ntimeouts = {{ connect = '100ms' }}"
    ));
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.reason()), (504, Some("connect-timeout")));
}

/// A socket whose queue is full, so that the kernel answers nobody any more; and what fills it.
async fn full_queue() -> (std::net::SocketAddr, impl Sized) {
    const FULL_AFTER: std::time::Duration = std::time::Duration::from_millis(100);
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) = tokio::time::timeout(FULL_AFTER, tokio::net::TcpStream::connect(address)).await {
        waiting.push(connected.unwrap());
    }
    (address, (listener, waiting))
}

scenario!(a_tls_handshake_that_never_ends_is_given_up);
async fn a_tls_handshake_that_never_ends_is_given_up() {
    let origin = origin().run();
    let proxy = with(Edge::HTTP1_TLS, &origin, "tls-handshake = '100ms'", "");
    Raw::plain(proxy.address()).await.closed().await;
}

matrix!(an_upstream_that_does_not_read_is_given_up);
async fn an_upstream_that_does_not_read_is_given_up(edge: Edge) {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let proxy = edge.proxy(format!(
        "[listeners.edge]\ncluster = 'deaf'\ntimeouts = {{ progress = '300ms' }}\n[clusters.deaf]\nendpoints = ['{address}']"
    ));
    let deaf = tokio::spawn(async move { (socket.accept().await, std::future::pending::<()>().await) });
    let client = proxy.client().await;
    let sent = client.post("/", body::pattern(32 * 1024 * 1024)).whole().await;
    if let Ok(answer) = sent {
        assert_eq!((answer.status, answer.reason()), (504, Some("timeout")));
    }
    assert_eq!(proxy.access_log().line().await["reason"], "timeout");
    deaf.abort();
}
