//! One meaning of a path: what filters, routes and the origin see is normalized, or refused.

use tamis_tests::{Edge, matrix, origin};

matrix!(dot_segments_and_doubled_slashes_are_resolved);
async fn dot_segments_and_doubled_slashes_are_resolved(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    for (sent, seen) in [
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/../../etc/passwd", "/etc/passwd"),
        ("/public/%2e%2e/admin", "/admin"),
        ("/public/.%2E/admin?next=/../x//y", "/admin?next=/../x//y"),
        ("//a///b//", "/a/b/"),
        ("/a/..%3Fx", "/a/..%3Fx"),
        ("/a/...", "/a/..."),
    ] {
        assert_eq!(client.get(sent).await.json()["target"], seen, "{sent}");
    }
}

matrix!(a_path_is_left_alone_where_that_is_asked_for);
async fn a_path_is_left_alone_where_that_is_asked_for(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        paths = {{ normalize = false, merge-slashes = false, escaped-slashes = "keep" }}
        [clusters.origin]
        endpoints = ["{origin}"]
        "#
    ));
    let client = proxy.client().await;
    for target in ["/a/../b", "/a//b", "/a%2Fb", "/a%5cb"] {
        assert_eq!(client.get(target).await.json()["target"], target);
    }
}

matrix!(escaped_slashes_and_nul_are_refused);
async fn escaped_slashes_and_nul_are_refused(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = edge.forward_to(&origin);
    for target in ["/a%2Fb", "/a%2fb", "/a%5Cb", "/a%5cb", "/a%00b"] {
        let answer = proxy.client().await.get(target).await;
        assert_eq!((answer.status, answer.reason()), (400, Some("malformed-request")), "{target}");
    }
    assert_eq!(origin.requests().len(), 0);
}

matrix!(an_escape_in_the_query_is_nobodys_business);
async fn an_escape_in_the_query_is_nobodys_business(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = edge.forward_to(&origin);
    let answer = proxy.client().await.get("/a?b=%2F%5C%00").await;
    assert_eq!(answer.json()["target"], "/a?b=%2F%5C%00");
}
