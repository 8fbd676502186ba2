//! TLS with endpoints: who is believed to be one, what the proxy shows of itself, and what is spoken.

use http::Version;
use serde_json::json;
use tamis_tests::certificates::{self, Authority, Certificate};
use tamis_tests::{Edge, Origin, Proxy, matrix, origin, proxy, refused, scenario};

const H2: &[&[u8]] = &[b"h2", b"http/1.1"];

/// A proxy with one worker whose cluster has this `tls`.
fn text(origin: &Origin, tls: &str, more: &str) -> String {
    format!(
        "workers = 1\n[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']\n\
         tls = {{ {tls} }}\n{more}\n"
    )
}

fn with(origin: &Origin, tls: &str) -> Proxy {
    proxy(text(origin, tls, ""))
}

/// The tests' authority is believed, and the endpoint is to have this name.
fn named(name: &str) -> String {
    format!("ca = ['{}'], server-name = '{name}'", certificates::authority_file().display())
}

fn known(authority: &Authority, more: &str) -> String {
    format!("ca = ['{}']{more}", authority.file().display())
}

fn secure(certificate: &Certificate) -> Origin {
    origin().echo("*").tls(certificate).run()
}

matrix!(what_is_spoken_is_agreed_on);
async fn what_is_spoken_is_agreed_on(edge: Edge) {
    let certificate = certificates::certificate(&["users.internal"]);
    for (alpn, protocol, expected) in [
        (H2, "auto", Version::HTTP_2),
        (&[b"http/1.1"], "auto", Version::HTTP_11),
        (&[], "auto", Version::HTTP_11),
        (H2, "http/1.1", Version::HTTP_11),
        (H2, "h2", Version::HTTP_2),
    ] {
        let origin = origin().echo("*").tls_config(certificate.server_config_with(alpn)).run();
        let proxy = edge.proxy(text(&origin, &named("users.internal"), &format!("protocol = '{protocol}'")));
        let client = proxy.client().await;
        for body in ["one", "two", ""] {
            let seen = client.post("/a?b=c", body).header("te", "trailers").await.json();
            assert_eq!((&seen["target"], &seen["body"]), (&json!("/a?b=c"), &json!(body)), "{protocol} {seen}");
            let host = if expected == Version::HTTP_2 { &seen["authority"] } else { &seen["headers"]["host"][0] };
            assert_eq!(host, "edge.test");
        }
        assert!(origin.requests().iter().all(|request| request.version == expected), "{protocol}: {:?}", origin.requests());
        assert_eq!(origin.connections(), 1, "{protocol}: it is kept");
    }
}

scenario!(a_burst_opens_one_connection_of_http_2);
async fn a_burst_opens_one_connection_of_http_2() {
    let certificate = certificates::certificate(&["users.internal"]);
    let origin = origin().echo("*").tls_config(certificate.server_config_with(H2)).run();
    let proxy = with(&origin, &named("users.internal"));
    let client = tamis_tests::client::connect(proxy.address()).edge(Edge::HTTP2_PLAIN).open().await;
    let asking: Vec<_> = (0..20).map(|_| tokio::spawn(client.get("/").into_future())).collect();
    for asking in asking {
        assert_eq!(asking.await.unwrap().status, 200);
    }
    assert_eq!(origin.connections(), 1);
}

/// What the client gets, what the log says and what is counted when there is no TLS.
async fn fails(proxy: &Proxy, why: &str, said: &str) {
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.reason()), (502, Some("upstream-tls")), "{why}");
    assert!(!answer.text().contains(said), "what is inside is not for the client: {}", answer.text());
    let line = proxy.access_log().line_where("reason", "upstream-tls").await;
    let error = line["error"].as_str().unwrap();
    assert!(error.contains(said), "{why}: {error}");
    let series = format!("tamis_cluster_tls_failures_total{{cluster=\"origin\",why=\"{why}\"}}");
    assert!(proxy.metric(&series).await.is_some_and(|count| count >= 1.0), "{series}");
}

scenario!(why_an_endpoint_is_not_believed_is_told);
async fn why_an_endpoint_is_not_believed_is_told() {
    let authority = certificates::authority();
    let good = authority.certificate(&["users.internal", "spiffe://prod/users"]).make();
    let of = |more: &str| known(&authority, &format!(", server-name = 'users.internal'{more}"));
    let origin = secure(&good);
    assert_eq!(with(&origin, &of("")).client().await.get("/").await.status, 200);
    fails(&with(&origin, &known(&authority, ", server-name = 'other.internal'")), "wrong-name", "other.internal").await;
    fails(&with(&origin, &known(&authority, "")), "wrong-name", "127.0.0.1").await;
    fails(&with(&origin, &named("users.internal")), "unknown-issuer", "UnknownIssuer").await;
    fails(&with(&origin, &of(&format!(", crl = ['{}']", authority.revoking(&[&good]).display()))), "revoked", "evoked").await;
    fails(&with(&origin, &of(", identities = ['spiffe://prod/orders']")), "identity", "spiffe://prod/users").await;
    fails(&with(&origin, &of(", trust-domain = 'test'")), "identity", "trust domain test").await;
    let expired = secure(&authority.certificate(&["users.internal"]).expired().make());
    fails(&with(&expired, &of("")), "expired", "expired").await;
    let plain = tamis_tests::origin().route("*", "plain").run();
    fails(&with(&plain, &of("")), "protocol", "corrupt message").await;
}

scenario!(identities_take_the_place_of_names);
async fn identities_take_the_place_of_names() {
    let authority = certificates::authority();
    let users = authority.certificate(&["spiffe://prod/ns/shop/sa/users"]).make();
    let origin = secure(&users);
    for (more, good) in [
        (", identities = ['spiffe://prod/ns/*/sa/users']", true),
        (", trust-domain = 'prod'", true),
        (", trust-domain = 'prod', identities = ['spiffe://prod/ns/shop/**']", true),
        (", identities = ['spiffe://prod/ns/*/sa/orders']", false),
        (", trust-domain = 'test'", false),
        // A name that is set is checked besides.
        (", trust-domain = 'prod', server-name = 'users.internal'", false),
    ] {
        let status = with(&origin, &known(&authority, more)).client().await.get("/").await.status;
        assert_eq!(status, if good { 200 } else { 502 }, "{more}");
    }
    let revoked = format!(", trust-domain = 'prod', crl = ['{}']", authority.revoking(&[&users]).display());
    fails(&with(&origin, &known(&authority, &revoked)), "revoked", "evoked").await;
    let stranger = secure(&certificates::certificate(&["spiffe://prod/ns/shop/sa/users"]));
    fails(&with(&stranger, &known(&authority, ", trust-domain = 'prod'")), "unknown-issuer", "UnknownIssuer").await;
    let expired = secure(&authority.certificate(&["spiffe://prod/ns/shop/sa/users"]).expired().make());
    fails(&with(&expired, &known(&authority, ", trust-domain = 'prod'")), "expired", "expired").await;
}

scenario!(without_verification_everybody_is_believed);
async fn without_verification_everybody_is_believed() {
    let expired = secure(&certificates::authority().certificate(&["nobody.test"]).expired().make());
    assert_eq!(with(&expired, "verify = 'none'").client().await.get("/").await.status, 200);
    let origin = secure(&certificates::authority().certificate(&["127.0.0.1"]).make());
    fails(&with(&origin, ""), "unknown-issuer", "UnknownIssuer").await;
}

scenario!(the_proxy_shows_a_certificate_of_its_own);
async fn the_proxy_shows_a_certificate_of_its_own() {
    let authority = certificates::authority();
    let own = authority.certificate(&["spiffe://prod/edge"]).make();
    let server = authority.certificate(&["users.internal"]).make();
    let origin = origin().echo("*").tls_config(server.mutual_server_config(&authority, H2)).run();
    let base = known(&authority, ", server-name = 'users.internal'");
    let shown = |of: &Certificate| format!("{base}, certificate = '{}', key = '{}'", of.chain.display(), of.key.display());
    let proxy = with(&origin, &shown(&own));
    assert_eq!(proxy.client().await.get("/").await.status, 200);
    assert_eq!(proxy.metric("tamis_cluster_tls_handshakes_total{cluster=\"origin\",kind=\"full\"}").await, Some(1.0));
    let series = "tamis_certificate_expiry_seconds{cluster=\"origin\",name=\"spiffe://prod/edge\"}";
    assert!(proxy.metric(series).await.is_some());
    // In TLS 1.3 an endpoint says only after the handshake that it does not want somebody.
    let nobody = with(&origin, &base);
    let answer = nobody.client().await.get("/").await;
    assert_eq!((answer.status, answer.reason()), (502, Some("upstream-reset")));
}

scenario!(new_connections_show_the_new_certificate_and_old_ones_go_on);
async fn new_connections_show_the_new_certificate_and_old_ones_go_on() {
    let authority = certificates::authority();
    let server = authority.certificate(&["users.internal"]).make();
    let (own, next) = (authority.certificate(&["spiffe://prod/a"]).make(), authority.certificate(&["spiffe://prod/b"]).make());
    let origin = origin().echo("*").tls_config(server.mutual_server_config(&authority, &[b"http/1.1"])).run();
    let tls = known(&authority, ", server-name = 'users.internal'");
    let proxy = with(&origin, &format!("{tls}, certificate = '{}', key = '{}'", own.chain.display(), own.key.display()));
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.status, 200);
    next.take_the_place_of(&own);
    let series = |name: &str| format!("tamis_certificate_expiry_seconds{{cluster=\"origin\",name=\"spiffe://prod/{name}\"}}");
    proxy.metric_becomes(&series("b"), |_| true).await;
    assert_eq!(proxy.metric(&series("a")).await, None);
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(origin.connections(), 1, "the connection from before goes on");
    origin.close_connections().await;
    assert_eq!(client.get("/").await.status, 200);
    let full = proxy.metric("tamis_cluster_tls_handshakes_total{cluster=\"origin\",kind=\"full\"}").await;
    assert_eq!(full, Some(2.0), "a session of the certificate before is not taken up");
}

scenario!(sessions_are_taken_up_again);
async fn sessions_are_taken_up_again() {
    let origin = secure(&certificates::certificate(&["users.internal"]));
    let proxy = with(&origin, &named("users.internal"));
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.status, 200);
    origin.close_connections().await;
    assert_eq!(client.get("/").await.status, 200);
    for kind in ["full", "resumed"] {
        let series = format!("tamis_cluster_tls_handshakes_total{{cluster=\"origin\",kind=\"{kind}\"}}");
        assert_eq!(proxy.metric(&series).await, Some(1.0), "{kind}");
    }
}

scenario!(checks_speak_tls);
async fn checks_speak_tls() {
    let certificate = certificates::certificate(&["users.internal"]);
    let origin = origin().echo("*").tls_config(certificate.server_config_with(H2)).run();
    let check = "health = { http = '/healthz', interval = '100ms', unhealthy = 1 }";
    let proxy = proxy(text(&origin, &named("users.internal"), check));
    loop {
        let seen = origin.requests();
        if let Some(checked) = seen.iter().find(|request| request.target == "/healthz") {
            assert_eq!(checked.version, Version::HTTP_2, "what TLS agrees on");
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(proxy.client().await.get("/").await.status, 200);
    let wrong = tamis_tests::proxy(text(&origin, &named("other.internal"), check));
    loop {
        let shown = wrong.admin("/clusters/origin").await;
        if shown.text().contains("there is no TLS with the upstream") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

matrix!(a_protocol_is_switched_over_tls, http1, because "HTTP/2 switches in another way");
async fn a_protocol_is_switched_over_tls(edge: Edge) {
    let certificate = certificates::certificate(&["users.internal"]);
    let origin = origin().echo("*").tls_config(certificate.server_config_with(H2)).run();
    let proxy = edge.proxy(text(&origin, &named("users.internal"), ""));
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.status, 200);
    let mut raw = proxy.raw().await;
    raw.send("GET /switch HTTP/1.1\r\nhost: edge.test\r\nconnection: upgrade\r\nupgrade: words\r\n\r\n").await;
    let versions: Vec<_> = loop {
        let versions: Vec<_> = origin.requests().iter().map(|request| request.version).collect();
        if versions.len() == 2 {
            break versions;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert_eq!(versions, [Version::HTTP_2, Version::HTTP_11], "only HTTP/1.1 can become another protocol");
}

scenario!(what_cannot_be_meant_is_told);
async fn what_cannot_be_meant_is_told() {
    let origin = origin().run();
    let missing = certificates::certificate(&["a.test"]);
    let listen = |tls: &str| text(&origin, tls, "").replace("cluster = 'origin'", "cluster = 'origin'\nlisten = '127.0.0.1:0'");
    for (tls, expected) in [
        ("ca = ['missing.pem']", "missing.pem"),
        ("certificate = 'a.pem'", "`certificate` needs `key`"),
        ("verify = 'none', trust-domain = 'prod'", "`trust-domain` has no effect"),
        ("verify = false", "expected \"full\" or \"none\""),
        ("server-name = 'users:443'", "without a port"),
        (&format!("certificate = '{0}', key = '{0}'", missing.chain.display()), "private key"),
    ] {
        let why = refused(listen(tls));
        assert!(why.contains(expected), "{tls}: {why}");
    }
}

scenario!(an_endpoint_is_asked_for_by_the_name_that_it_is_listed_by);
async fn an_endpoint_is_asked_for_by_the_name_that_it_is_listed_by() {
    let right = secure(&certificates::certificate(&["localhost"]));
    let ca = certificates::authority_file();
    let at = |endpoint: String| {
        proxy(format!(
            "workers = 1\n[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{endpoint}']\ntls = {{ ca = ['{}'] }}",
            ca.display()
        ))
    };
    let named = at(format!("localhost:{}", right.address.port()));
    assert_eq!(named.client().await.get("/").await.status, 200);
    fails(&at(right.to_string()), "wrong-name", "127.0.0.1").await;
    let by_address = secure(&certificates::certificate(&["127.0.0.1"]));
    assert_eq!(at(by_address.to_string()).client().await.get("/").await.status, 200);
}
