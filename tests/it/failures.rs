//! When the proxy answers by itself, the status, the reason and the access log say why.

use tamis_tests::{Edge, Reply, matrix, origin, raw_origin};

fn to(address: impl std::fmt::Display) -> String {
    format!("[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{address}']")
}

matrix!(a_dead_upstream_is_502);
async fn a_dead_upstream_is_502(edge: Edge) {
    let nobody = origin().run().stop();
    let proxy = edge.proxy(to(nobody));
    let answer = proxy.client().await.get("/x").await;
    assert_eq!((answer.status, answer.reason()), (502, Some("connect-failed")));
    assert!(!answer.text().is_empty() && !answer.text().contains("127.0.0.1"), "the text tells no address: {}", answer.text());
    let line = proxy.access_log().line().await;
    assert_eq!((&line["status"], &line["reason"], &line["cluster"]), (&502.into(), &"connect-failed".into(), &"origin".into()));
}

matrix!(no_endpoint_is_503);
async fn no_endpoint_is_503(edge: Edge) {
    let proxy = edge.proxy("[listeners.edge]\ncluster = 'empty'\n[clusters.empty]\nendpoints = []");
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.reason()), (503, Some("no-endpoint")));
    assert_eq!(proxy.access_log().line().await["reason"], "no-endpoint");
}

matrix!(no_route_is_404);
async fn no_route_is_404(edge: Edge) {
    let proxy = edge.proxy("[listeners.edge]");
    let answer = proxy.client().await.get("/nowhere").await;
    assert_eq!((answer.status, answer.reason()), (404, Some("no-route")));
    let line = proxy.access_log().line().await;
    assert_eq!((&line["status"], &line["reason"], &line["path"]), (&404.into(), &"no-route".into(), &"/nowhere".into()));
}

matrix!(a_failed_request_leaves_the_connection_usable);
async fn a_failed_request_leaves_the_connection_usable(edge: Edge) {
    let proxy = edge.proxy("[listeners.edge]");
    let client = proxy.client().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.status, 404);
    }
}

matrix!(an_upstream_that_closes_without_an_answer_is_502);
async fn an_upstream_that_closes_without_an_answer_is_502(edge: Edge) {
    let origin = raw_origin(|mut connection| async move { drop(connection.head().await) }).await;
    let proxy = edge.proxy(to(&origin));
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.reason()), (502, Some("upstream-reset")));
}

matrix!(an_upstream_that_speaks_nonsense_is_502);
async fn an_upstream_that_speaks_nonsense_is_502(edge: Edge) {
    for nonsense in [
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nx y: z\r\n\r\n",
    ] {
        let origin = raw_origin(move |mut connection| async move {
            connection.head().await;
            connection.write(nonsense).await;
        })
        .await;
        let proxy = edge.proxy(to(&origin));
        let answer = proxy.client().await.get("/").await;
        assert_eq!((answer.status, answer.reason()), (502, Some("upstream-protocol")), "{nonsense:?}");
    }
}

matrix!(an_answer_head_that_is_too_large_is_502);
async fn an_answer_head_that_is_too_large_is_502(edge: Edge) {
    let origin = origin()
        .route_fn("/", |_| async {
            (0..9).fold(Reply::new(200), |reply, number| reply.header(&format!("x-{number}"), &"v".repeat(8 * 1024)))
        })
        .run();
    let proxy = edge.forward_to(&origin);
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.reason()), (502, Some("upstream-protocol")));
}

matrix!(an_upstream_of_the_wrong_protocol_is_502);
async fn an_upstream_of_the_wrong_protocol_is_502(edge: Edge) {
    let origin = raw_origin(|mut connection| async move {
        connection.write("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    let proxy = edge.proxy(format!("{}\nprotocol = 'h2'", to(&origin)));
    let answer = proxy.client().await.get("/").await;
    assert_eq!(answer.status, 502);
    assert_ne!(answer.reason(), None);
}

matrix!(a_failure_answers_head_without_a_body);
async fn a_failure_answers_head_without_a_body(edge: Edge) {
    let proxy = edge.proxy("[listeners.edge]");
    let client = proxy.client().await;
    let answer = client.request("HEAD", "/").await;
    assert_eq!((answer.status, answer.reason(), answer.text()), (404, Some("no-route"), ""));
    assert_eq!(client.get("/").await.status, 404, "the connection is still good");
}

matrix!(an_upstreams_own_reason_is_not_taken_for_the_proxys);
async fn an_upstreams_own_reason_is_not_taken_for_the_proxys(edge: Edge) {
    let origin = origin().route_fn("/", |_| async { Reply::new(503).body("busy") }).run();
    let proxy = edge.forward_to(&origin);
    assert_eq!(proxy.client().await.get("/").await.status, 503);
    assert_eq!(proxy.access_log().line().await["reason"], "upstream");
}

matrix!(a_dead_endpoint_beside_a_living_one_is_passed_over);
async fn a_dead_endpoint_beside_a_living_one_is_passed_over(edge: Edge) {
    let origin = origin().echo("/").run();
    // Bound and never listened on: a connection is refused, and nobody else can take the port meanwhile.
    let dead = tokio::net::TcpSocket::new_v4().unwrap();
    dead.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = dead.local_addr().unwrap();
    let proxy = edge.proxy(format!(
        "[listeners.edge]\ncluster = 'both'\n[clusters.both]\nendpoints = ['{address}', '{origin}']\nbalance = 'round-robin'"
    ));
    let client = proxy.client().await;
    for _ in 0..4 {
        assert_eq!(client.post("/", "kept").await.status, 200);
    }
    let lines = proxy.access_log().lines(4).await;
    let twice = lines.iter().filter(|line| line["attempts"] == 2).count();
    assert!(twice >= 2, "the turns of the dead one were taken by the other: {lines:#?}");
    assert!(lines.iter().all(|line| line["endpoint"] == origin.to_string()));
}
