//! Clients that leave while a filter waits: the filter is stopped, nobody counts it as a failure, and nothing is lost.

use tamis_tests::{Client, Edge, Origin, Proxy, body, chain, matrix, origin};

/// One instance for everything: what is not given back is missed.
fn waiting(edge: Edge, origin: &Origin) -> Proxy {
    edge.proxy(format!("workers = 1\n{}", chain(origin, &[("sleeper", "instances-max = 1\ninstances-wait = '100ms'")])))
}

/// The exchange has ended as one that the client left, and another gets its answer.
async fn left_and_well(proxy: &Proxy) {
    let line = proxy.access_log().line().await;
    assert_eq!(line["reason"], "client-gone", "{line}");
    assert_eq!(proxy.failures("sleeper").await, 0);
    assert_eq!(proxy.client().await.get("/").await.text(), "here");
}

async fn leave(client: Client, asking: tokio::task::JoinHandle<()>) {
    asking.abort();
    asking.await.ok();
    drop(client);
}

/// Waits until the proxy's only instance is at work.
async fn is_busy(proxy: &Proxy) {
    while proxy.client().await.get("/").await.status == 200 {}
}

matrix!(a_client_leaves_while_the_request_hook_waits);
async fn a_client_leaves_while_the_request_hook_waits(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let proxy = waiting(edge, &origin);
    let client = proxy.client().await;
    let request = client.get("/").header("x-sleep", "25000").header("x-request-id", "leaving");
    let asking = tokio::spawn(async move { drop(request.whole().await) });
    is_busy(&proxy).await;
    let refused = proxy.failures("sleeper").await;
    leave(client, asking).await;
    let line = proxy.access_log().line_where("request_id", "leaving").await;
    assert_eq!(line["reason"], "client-gone", "{line}");
    assert_eq!(proxy.client().await.get("/").await.text(), "here");
    assert_eq!(proxy.failures("sleeper").await, refused, "only those that found no instance");
}

matrix!(a_client_leaves_while_the_response_hook_waits);
async fn a_client_leaves_while_the_response_hook_waits(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let proxy = waiting(edge, &origin);
    let client = proxy.client().await;
    let request = client.get("/").header("x-sleep-response", "25000");
    let asking = tokio::spawn(async move { drop(request.whole().await) });
    while origin.requests().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    leave(client, asking).await;
    left_and_well(&proxy).await;
}

matrix!(a_client_leaves_while_a_chunk_hook_waits);
async fn a_client_leaves_while_a_chunk_hook_waits(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let proxy = waiting(edge, &origin);
    let client = proxy.client().await;
    let request = client.get("/").header("x-sleep-chunk", "25000");
    let asking = tokio::spawn(async move { drop(request.whole().await) });
    while origin.requests().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    leave(client, asking).await;
    left_and_well(&proxy).await;
}

/// A request with a body that nobody reads while the hook sleeps, from a client that leaves meanwhile.
async fn leaves_with_an_unread_body(edge: Edge, sleep: &str) {
    let origin = origin().reflect("/").run();
    let proxy = waiting(edge, &origin);
    let client = proxy.client().await;
    let (feed, body) = body::channel();
    let request = client.post("/", "").streaming(body).header("x-sleep", sleep).header("x-request-id", "leaving");
    let asking = tokio::spawn(async move { drop(request.whole().await) });
    feed.send(body::pattern(1000)).await;
    is_busy(&proxy).await;
    leave(client, asking).await;
    let line = proxy.access_log().line_where("request_id", "leaving").await;
    assert_eq!(line["reason"], "client-gone", "{line}");
}

matrix!(a_client_leaves_whose_body_nobody_reads_yet, http2, because "in HTTP/1 the end of a connection comes behind the body");
async fn a_client_leaves_whose_body_nobody_reads_yet(edge: Edge) {
    leaves_with_an_unread_body(edge, "25000").await;
}

matrix!(a_client_that_left_with_its_body_unread_is_noticed_after_the_hook, http1, because "HTTP/2 resets the stream");
async fn a_client_that_left_with_its_body_unread_is_noticed_after_the_hook(edge: Edge) {
    leaves_with_an_unread_body(edge, "1000").await;
}
