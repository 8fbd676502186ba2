//! Who a client is by its certificate, seen by filters, by the access log and in the metrics; and plain connections beside TLS.

use std::sync::Arc;

use rustls::ClientConfig;
use serde_json::json;
use tamis_tests::certificates::{self, Authority};
use tamis_tests::{Client, Edge, Proxy, client, matrix, origin, scenario, shipped};
use tokio::net::TcpStream;

fn mutual(authority: &Authority) -> String {
    format!(
        "tls = {{ certificates = [{}], client-auth = {{ mode = 'optional', ca = ['{}'] }} }}",
        certificates::edge().entry(),
        authority.file().display()
    )
}

fn shown(authority: &Authority, names: &[&str]) -> Arc<ClientConfig> {
    certificates::client_config_as(&authority.certificate(names).make(), &[])
}

async fn connect(proxy: &Proxy, edge: Edge, config: &Arc<ClientConfig>) -> Client {
    client::connect(proxy.address()).edge(edge).tls(config).open().await
}

matrix!(the_acl_filter_goes_by_identities, tls, because "certificates are shown in TLS");
async fn the_acl_filter_goes_by_identities(edge: Edge) {
    let payments = origin().route("*", "here").run();
    let authority = certificates::authority();
    let text = shipped("acl", "mesh", &[("payments", &payments)]).replace("listeners.inbound", "listeners.edge");
    let text = text.replace("[listeners.edge]", &format!("[listeners.edge]\n{}", mutual(&authority)));
    let proxy = edge.proxy(text);
    let nobody = client::connect(proxy.address()).edge(edge).open().await;
    assert_eq!(nobody.get("/payments.v1.Payments/Get").await.status, 403);
    let support = connect(&proxy, edge, &shown(&authority, &["spiffe://example.org/ns/support/sa/desk"])).await;
    assert_eq!(support.get("/payments.v1.Payments/Get").await.status, 200);
    assert_eq!(support.post("/payments.v1.Payments/Pay", "").await.status, 403);
    let shop = connect(&proxy, edge, &shown(&authority, &["spiffe://example.org/ns/shop/sa/checkout"])).await;
    assert_eq!(shop.post("/payments.v1.Payments/Pay", "").await.status, 200);
    assert_eq!(shop.get("/payments.v1.Payments/Get").await.status, 403);
    let lines = proxy.access_log().lines(5).await;
    assert_eq!((&lines[0]["identity"], &lines[1]["identity"]), (&json!(null), &json!("spiffe://example.org/ns/support/sa/desk")));
}

matrix!(identities_come_in_order_with_the_fingerprint, tls, because "certificates are shown in TLS");
async fn identities_come_in_order_with_the_fingerprint(edge: Edge) {
    let app = origin().route("*", "here").run();
    let authority = certificates::authority();
    let proxy = edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "app"
        filters = ["attributes"]
        {}
        [filters.attributes]
        module = "builtin:attributes"
        deadline = "1s"
        [[filters.attributes.config.attributes]]
        name = "who"
        value = "{{identity}}"
        [clusters.app]
        endpoints = ["{app}"]
        "#,
        mutual(&authority)
    ));
    let config = shown(&authority, &["web.internal", "https://web.internal/", "spiffe://prod/web"]);
    assert_eq!(connect(&proxy, edge, &config).await.get("/").await.status, 200);
    let line = proxy.access_log().line().await;
    assert_eq!((&line["notes"]["who"], &line["identity"]), (&json!("spiffe://prod/web"), &json!("spiffe://prod/web")));
}

scenario!(plain_and_tls_share_a_port_while_a_fleet_moves);
async fn plain_and_tls_share_a_port_while_a_fleet_moves() {
    let origin = origin().echo("/").run();
    let tls = certificates::edge().entry();
    let text = |mode: &str| {
        format!(
            "[listeners.edge]\ncluster = 'origin'\ntls = {{ certificates = [{tls}], mode = '{mode}' }}\n\
             [clusters.origin]\nendpoints = ['{origin}']"
        )
    };
    let proxy = tamis_tests::proxy(text("permissive"));
    for edge in [Edge::HTTP1_PLAIN, Edge::HTTP2_PLAIN, Edge::HTTP1_TLS, Edge::HTTP2_TLS] {
        let client = client::connect(proxy.address()).edge(edge).open().await;
        let seen = client.get("/").await.json();
        assert_eq!(seen["headers"]["x-forwarded-proto"], json!([edge.scheme()]));
    }
    for (mode, count) in [("plain", 2.0), ("tls", 2.0)] {
        let series = format!("tamis_connections_mode_total{{listener=\"edge\",mode=\"{mode}\"}}");
        assert_eq!(proxy.metric(&series).await, Some(count));
    }
    // One that says nothing holds no handshake up, and is no failure.
    drop(TcpStream::connect(proxy.address()).await.unwrap());
    proxy.rewrite(text("strict"));
    loop {
        let client = client::connect(proxy.address()).open().await;
        if client.get("/").whole().await.is_err() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let client = client::connect(proxy.address()).edge(Edge::HTTP2_TLS).open().await;
    assert_eq!(client.get("/").await.status, 200);
}
