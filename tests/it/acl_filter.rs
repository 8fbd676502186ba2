//! The acl filter that ships: its examples do what its page says, and a list that changes counts at once.

use tamis_tests::{Edge, Reply, matrix, origin, scenario, shipped};

matrix!(office);
async fn office(edge: Edge) {
    let app = origin().route("*", "here").run();
    let proxy = edge.proxy(shipped("acl", "office", &[("app", &app)]));
    let client = proxy.client().await;
    assert_eq!((client.get("/").await.status, client.get("/admin/health").await.status), (200, 200));
    let denied = client.get("/admin/users").header("x-request-id", "denied").await;
    assert_eq!((denied.status, denied.text()), (403, "This page is for the office.\n"));
    assert_eq!(client.post("/admin/health", "x").await.status, 403, "health is for GET");
    let line = proxy.access_log().line_where("request_id", "denied").await;
    assert_eq!((&line["notes"]["acl.rule"], &line["notes"]["acl.decision"]), (&"admin".into(), &"denied".into()));
    let denials = r#"acl_decisions_total{filter="acl",rule="admin",decision="denied"}"#;
    assert_eq!(proxy.metric(denials).await, Some(2.0));
}

matrix!(mesh);
async fn mesh(edge: Edge) {
    let payments = origin().route("*", "here").run();
    let text = shipped("acl", "mesh", &[("payments", &payments)]).replace("listeners.inbound", "listeners.edge");
    let proxy = edge.proxy(text);
    let client = proxy.client().await;
    assert_eq!(client.get("/healthz").await.status, 200);
    assert_eq!(client.get("/payments.v1.Payments/Get").await.status, 403, "nobody has shown a certificate");
    let call = client.post("/payments.v1.Payments/Pay", "").header("content-type", "application/grpc").whole().await.unwrap();
    let trailer = call.trailers.get("grpc-status").and_then(|status| status.to_str().ok());
    let status = call.header("grpc-status").or(trailer);
    assert_eq!((call.status, status), (200, Some("7")));
}

scenario!(blocklist);
async fn blocklist() {
    let app = origin().route_fn("*", |_| async { Reply::new(200) }).run();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let text = shipped("acl", "blocklist", &[("app", &app)]);
    let text = ["blocked.txt", "suspects.txt"].iter().fold(text, |text, name| {
        let path = file(name).display().to_string();
        text.replace(&format!("\"{name}\""), &format!("{path:?}"))
    });
    std::fs::write(file("blocked.txt"), "203.0.113.0/24\n").unwrap();
    std::fs::write(file("suspects.txt"), "127.0.0.1\n").unwrap();
    let proxy = tamis_tests::proxy(text);
    let client = proxy.client().await;
    let answer = client.get("/").header("x-request-id", "suspect").await;
    assert_eq!(answer.status, 200);
    let line = proxy.access_log().line_where("request_id", "suspect").await;
    assert_eq!((&line["notes"]["acl.rule"], &line["notes"]["acl.decision"]), (&"suspects".into(), &"would-deny".into()));

    tamis_tests::proxy::replace(&file("blocked.txt"), b"# it was us\n127.0.0.0/8\n");
    let (client, denied) = loop {
        // Another one each time: a connection has so many requests and no more.
        let client = proxy.client().await;
        let answer = client.get("/").await;
        if answer.status != 200 {
            break (client, answer);
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((denied.status, denied.header("retry-after")), (429, Some("3600")));
    assert_eq!(client.get("/").header("user-agent", "our-monitor/1").await.status, 200);
    // A list with a mistake is refused, and the old one stays.
    tamis_tests::proxy::replace(&file("blocked.txt"), b"everybody\n");
    assert_eq!(client.get("/").await.status, 429);
}
