//! Certificates of clients: who is let in, what the rest of the proxy hears of them, and when a ticket is worth nothing any more.

use std::sync::Arc;

use rustls::{ClientConfig, HandshakeKind};
use serde_json::json;
use tamis_tests::certificates::{self, Authority, Certificate, EDGE_NAME};
use tamis_tests::{Client, Edge, Origin, Proxy, client, matrix, origin, proxy, refused, scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn text(auth: &str, origin: &Origin) -> String {
    format!(
        "[listeners.edge]\ncluster = 'origin'\ntls = {{ certificates = [{}], client-auth = {{ {auth} }} }}\n\
         [clusters.origin]\nendpoints = ['{origin}']",
        certificates::certificate(&[EDGE_NAME, "other.test"]).entry()
    )
}

fn with(auth: &str, origin: &Origin) -> Proxy {
    proxy(text(auth, origin))
}

fn believing(authority: &Authority, more: &str) -> String {
    format!("mode = 'required', ca = ['{}']{more}", authority.file().display())
}

/// The answer to one request, for in TLS 1.3 a client hears only then that it was refused.
async fn ask(proxy: &Proxy, edge: Edge, config: Option<&Arc<ClientConfig>>) -> anyhow::Result<u16> {
    let connect = client::connect(proxy.address()).edge(edge);
    let client = match config {
        Some(config) => connect.tls(config).try_open().await?,
        None => connect.try_open().await?,
    };
    Ok(client.get("/").whole().await?.status)
}

fn shown(certificate: &Certificate) -> Arc<ClientConfig> {
    certificates::client_config_as(certificate, &[])
}

matrix!(a_required_certificate_has_to_be_good, tls, because "certificates are shown in TLS");
async fn a_required_certificate_has_to_be_good(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let (known, stranger) = (certificates::authority(), certificates::authority());
    let proxy = with(&believing(&known, ""), &origin);
    assert!(ask(&proxy, edge, None).await.is_err(), "none is shown");
    assert!(
        ask(&proxy, edge, Some(&shown(&stranger.certificate(&["a.test"]).make()))).await.is_err(),
        "nobody knows who signed it"
    );
    assert!(ask(&proxy, edge, Some(&shown(&known.certificate(&["a.test"]).expired().make()))).await.is_err(), "it has expired");
    assert_eq!(ask(&proxy, edge, Some(&shown(&known.certificate(&["a.test"]).make()))).await.unwrap(), 200);
    proxy.metric_becomes("tamis_tls_handshakes_failed_total{listener=\"edge\"}", |failed| failed == 3.0).await;
    assert_eq!(proxy.metric("tamis_connections_mode_total{listener=\"edge\",mode=\"mtls\"}").await, Some(1.0));
    assert_eq!(proxy.metric("tamis_connections_mode_total{listener=\"edge\",mode=\"tls\"}").await, None);
}

matrix!(an_optional_certificate_has_to_be_good_if_there_is_one, tls, because "certificates are shown in TLS");
async fn an_optional_certificate_has_to_be_good_if_there_is_one(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let (known, stranger) = (certificates::authority(), certificates::authority());
    let proxy = with(&believing(&known, "").replace("required", "optional"), &origin);
    assert_eq!(ask(&proxy, edge, None).await.unwrap(), 200);
    assert!(ask(&proxy, edge, Some(&shown(&stranger.certificate(&["a.test"]).make()))).await.is_err());
    assert_eq!(ask(&proxy, edge, Some(&shown(&known.certificate(&["a.test"]).make()))).await.unwrap(), 200);
    for mode in ["tls", "mtls"] {
        let series = format!("tamis_connections_mode_total{{listener=\"edge\",mode=\"{mode}\"}}");
        proxy.metric_becomes(&series, |count| count == 1.0).await;
    }
}

scenario!(a_revoked_certificate_is_refused_and_its_ticket_too);
async fn a_revoked_certificate_is_refused_and_its_ticket_too() {
    let origin = origin().route("/", "here").run();
    let known = certificates::authority();
    let (good, bad) = (known.certificate(&["good.test"]).make(), known.certificate(&["bad.test"]).make());
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("revoked.pem");
    std::fs::copy(known.revoking(&[]), &list).unwrap();
    let proxy = with(&believing(&known, &format!(", crl = ['{}']", list.display())), &origin);
    let (of_good, of_bad) = (shown(&good), shown(&bad));
    for config in [&of_good, &of_bad] {
        assert_eq!(ask(&proxy, Edge::HTTP1_TLS, Some(config)).await.unwrap(), 200);
    }
    assert_eq!(kind(&proxy, &of_bad).await, Some(HandshakeKind::Resumed), "until it is revoked");
    tamis_tests::proxy::replace(&list, &std::fs::read(known.revoking(&[&bad])).unwrap());
    while ask(&proxy, Edge::HTTP1_TLS, Some(&shown(&bad))).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(ask(&proxy, Edge::HTTP1_TLS, Some(&of_bad)).await.is_err(), "its ticket is of the time before");
    assert_eq!(ask(&proxy, Edge::HTTP1_TLS, Some(&of_good)).await.unwrap(), 200);
}

/// How the handshake of another connection goes that is used for one request.
async fn kind(proxy: &Proxy, config: &Arc<ClientConfig>) -> Option<HandshakeKind> {
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let mut stream = client::tls_with(stream, EDGE_NAME, config.clone()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: edge.test\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    stream.get_ref().1.handshake_kind()
}

matrix!(only_those_who_are_wanted_are_let_in, tls, because "certificates are shown in TLS");
async fn only_those_who_are_wanted_are_let_in(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let known = certificates::authority();
    let proxy = with(&believing(&known, ", identities = ['spiffe://prod/ns/*/sa/web', '*.internal']"), &origin);
    for (name, let_in) in [
        ("spiffe://prod/ns/shop/sa/web", true),
        ("spiffe://prod/ns/shop/sa/db", false),
        ("spiffe://test/ns/shop/sa/web", false),
        ("a.internal", true),
        ("internal", false),
    ] {
        let answer = ask(&proxy, edge, Some(&shown(&known.certificate(&[name]).make()))).await;
        assert_eq!(answer.ok(), let_in.then_some(200), "{name}");
    }
    let line = proxy.access_log().line_where("reason", "malformed-request").await;
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("the identity is not allowed: spiffe://prod/ns/shop/sa/db"), "{error}");
}

matrix!(a_trust_domain_keeps_out_the_others, tls, because "certificates are shown in TLS");
async fn a_trust_domain_keeps_out_the_others(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let known = certificates::authority();
    let proxy = with(&believing(&known, ", trust-domain = 'prod'"), &origin);
    for (names, let_in) in [
        (&["spiffe://prod/web"][..], true),
        (&["spiffe://prod/web", "web.internal"], true),
        (&["spiffe://test/web"], false),
        (&["spiffe://prod/web", "spiffe://prod/db"], false),
        (&["web.internal"], false),
    ] {
        let answer = ask(&proxy, edge, Some(&shown(&known.certificate(names).make()))).await;
        assert_eq!(answer.ok(), let_in.then_some(200), "{names:?}");
    }
}

async fn at(proxy: &Proxy, edge: Edge, config: &Arc<ClientConfig>, sni: &str, host: &str) -> Client {
    client::connect(proxy.address()).edge(edge).tls(config).sni(sni).name(host).open().await
}

matrix!(a_request_for_another_host_is_misdirected, tls, because "without TLS nobody names a host before");
async fn a_request_for_another_host_is_misdirected(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let known = certificates::authority();
    let config = shown(&known.certificate(&["a.test"]).make());
    let strict = with(&believing(&known, ""), &origin);
    let answer = at(&strict, edge, &config, EDGE_NAME, "other.test").await.get("/").await;
    assert_eq!((answer.status, answer.reason()), (421, Some("misdirected")));
    assert_eq!(at(&strict, edge, &config, EDGE_NAME, "EDGE.test:443").await.get("/").await.status, 200);
    let lax = with(&believing(&known, ", strict-sni = false"), &origin);
    assert_eq!(at(&lax, edge, &config, EDGE_NAME, "other.test").await.get("/").await.status, 200);
    let nobody = edge.forward_to(&origin);
    let client = client::connect(nobody.address()).edge(edge).sni(EDGE_NAME).name("other.test").open().await;
    assert_eq!(client.get("/").await.status, 200, "who the client is does not depend on it");
}

matrix!(the_upstream_is_told_whose_certificate_it_is, tls, because "certificates are shown in TLS");
async fn the_upstream_is_told_whose_certificate_it_is(edge: Edge) {
    let origin = origin().echo("/").run();
    let known = certificates::authority();
    let config = shown(&known.certificate(&["spiffe://prod/web", "web.internal"]).make());
    let field = "x-forwarded-client-cert";
    let told = with(&believing(&known, ", forward = true"), &origin);
    let client = client::connect(told.address()).edge(edge).tls(&config).open().await;
    let seen = client.get("/").header(field, "URI=spiffe://prod/admin").await.json();
    let values = seen["headers"][field].as_array().unwrap();
    let value = values[0].as_str().unwrap();
    assert!(
        values.len() == 1 && value.starts_with("Hash=") && value.ends_with(";URI=spiffe://prod/web;DNS=web.internal"),
        "{seen}"
    );
    let untold = edge.forward_to(&origin);
    let seen = untold.client().await.get("/").header(field, "URI=spiffe://prod/admin").await.json();
    assert_eq!(seen["headers"][field], json!(null), "what a client claims of itself is worth nothing");
}

scenario!(what_cannot_be_meant_is_told);
async fn what_cannot_be_meant_is_told() {
    let origin = origin().run();
    let known = certificates::authority();
    let listen = |auth: &str| text(auth, &origin).replace("cluster = 'origin'", "cluster = 'origin'\nlisten = '127.0.0.1:0'");
    for (auth, expected) in [
        ("mode = 'required'", "client certificates need `ca`"),
        ("ca = ['ca.pem']", "`ca` has no effect"),
        ("mode = 'required', ca = ['missing.pem']", "missing.pem"),
        (&believing(&known, ", identities = ['spiffe://prod/a*']"), "a whole segment"),
        (&believing(&known, ", trust-domain = 'spiffe://prod'"), "write it as \"prod\""),
        (&believing(&known, &format!(", crl = ['{}']", known.file().display())), "revocation list"),
    ] {
        let why = refused(listen(auth));
        assert!(why.contains(expected), "{auth}: {why}");
    }
}
