//! Upstream connections are kept and reused, and one that went stale costs no request.

use tamis_tests::{Edge, Gate, Origin, Proxy, Reply, body, matrix, origin};

/// One worker, so that what a pool keeps can be counted.
fn one_worker(edge: Edge, origin: &Origin, more: &str) -> Proxy {
    edge.proxy(format!("workers = 1\n[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']\n{more}"))
}

matrix!(a_connection_is_used_again);
async fn a_connection_is_used_again(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = one_worker(edge, &origin, "");
    for _ in 0..2 {
        let client = proxy.client().await;
        for _ in 0..5 {
            assert_eq!(client.post("/", "body").await.status, 200);
        }
    }
    assert_eq!(origin.connections(), 1, "ten requests of two clients one after the other need one connection");
}

matrix!(a_connection_is_not_used_again_when_nothing_may_be_kept);
async fn a_connection_is_not_used_again_when_nothing_may_be_kept(edge: Edge) {
    let origin = origin().route("/", "").run();
    let proxy = one_worker(edge, &origin, "limits = { idle-connections = 0 }");
    let client = proxy.client().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!(origin.connections(), 3);
}

async fn stale_connections_are_no_failure(edge: Edge, protocol: &str) {
    let origin = origin().route("/", "here").run();
    let proxy = one_worker(edge, &origin, &format!("protocol = '{protocol}'"));
    let client = proxy.client().await;
    for round in 1..=5 {
        let answer = client.get("/").await;
        assert_eq!((answer.status, answer.text()), (200, "here"), "in round {round}");
        origin.close_connections().await;
    }
    assert_eq!(origin.connections(), 5);
}

matrix!(a_connection_that_the_origin_closed_is_replaced);
async fn a_connection_that_the_origin_closed_is_replaced(edge: Edge) {
    stale_connections_are_no_failure(edge, "http/1.1").await;
}

matrix!(a_connection_that_the_origin_closed_is_replaced_over_http_2);
async fn a_connection_that_the_origin_closed_is_replaced_over_http_2(edge: Edge) {
    stale_connections_are_no_failure(edge, "h2").await;
}

matrix!(an_answer_that_is_not_read_to_its_end_frees_no_connection);
async fn an_answer_that_is_not_read_to_its_end_frees_no_connection(edge: Edge) {
    let origin = origin()
        .route_fn("/endless", |_| async { tamis_tests::Reply::new(200).streaming(tamis_tests::origin::unending("first")) })
        .route("/whole", "whole")
        .run();
    let proxy = one_worker(edge, &origin, "");
    let leaving = proxy.client().await;
    let mut answer = leaving.get("/endless").open().await.unwrap();
    answer.piece().await.unwrap();
    drop((answer, leaving));
    proxy.access_log().line().await;
    assert_eq!(proxy.client().await.get("/whole").await.text(), "whole", "nobody gets the rest of another's answer");
}

matrix!(exchanges_share_one_http_2_connection);
async fn exchanges_share_one_http_2_connection(edge: Edge) {
    const TOGETHER: usize = 20;
    let gate = Gate::new();
    let origin = origin().gated("/", &gate, "done").run();
    let proxy = one_worker(edge, &origin, "protocol = 'h2'");
    let mut asked = Vec::new();
    for _ in 0..TOGETHER {
        asked.push(tokio::spawn(proxy.client().await.get("/").into_future()));
    }
    for _ in 0..TOGETHER {
        gate.arrived().await;
    }
    assert_eq!(origin.connections(), 1, "all are under way at once");
    (0..TOGETHER).for_each(|_| gate.open());
    for answer in asked {
        assert_eq!(answer.await.unwrap().text(), "done");
    }
}

matrix!(exchanges_over_http_1_have_a_connection_each);
async fn exchanges_over_http_1_have_a_connection_each(edge: Edge) {
    let gate = Gate::new();
    let origin = origin().gated("/", &gate, "done").run();
    let proxy = one_worker(edge, &origin, "");
    let mut asked = Vec::new();
    for _ in 0..3 {
        asked.push(tokio::spawn(proxy.client().await.get("/").into_future()));
        gate.arrived().await;
    }
    assert_eq!(origin.connections(), 3);
    (0..3).for_each(|_| gate.open());
    for answer in asked {
        assert_eq!(answer.await.unwrap().text(), "done");
    }
}

matrix!(a_full_http_2_connection_is_joined_by_another);
async fn a_full_http_2_connection_is_joined_by_another(edge: Edge) {
    const TOGETHER: usize = 12;
    let gate = Gate::new();
    let origin = origin().gated("/", &gate, "done").run();
    let proxy = one_worker(edge, &origin, "protocol = 'h2'\nlimits = { streams = 10 }");
    let mut asked = Vec::new();
    for _ in 0..TOGETHER {
        asked.push(tokio::spawn(proxy.client().await.get("/").into_future()));
        gate.arrived().await;
    }
    assert_eq!(origin.connections(), 2);
    (0..TOGETHER).for_each(|_| gate.open());
    for answer in asked {
        assert_eq!(answer.await.unwrap().text(), "done");
    }
}

matrix!(a_connection_serves_again_after_an_answer_in_chunks);
async fn a_connection_serves_again_after_an_answer_in_chunks(edge: Edge) {
    let origin = origin()
        .route_fn("/", |_| async { Reply::new(200).streaming(body::with_trailers("in chunks", &[("x-sum", "1")])) })
        .run();
    let proxy = one_worker(edge, &origin, "");
    let client = proxy.client().await;
    for _ in 0..5 {
        assert_eq!(client.get("/").await.text(), "in chunks");
    }
    assert_eq!(origin.connections(), 1);
}
