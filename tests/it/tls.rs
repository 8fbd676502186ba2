//! TLS towards clients: the certificate is chosen by the name, the protocol by ALPN.

use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, HandshakeKind, NamedGroup, SignatureScheme};
use tamis_tests::certificates::{self, EDGE_NAME};
use tamis_tests::{Edge, Origin, Proxy, client, matrix, origin, proxy, refused, scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

matrix!(the_certificate_is_chosen_by_the_name, tls, because "a plain connection names nobody");
async fn the_certificate_is_chosen_by_the_name(edge: Edge) {
    let [one, two, wild] = [
        certificates::certificate(&["one.test"]),
        certificates::certificate(&["two.test", "zwei.test"]),
        certificates::certificate(&["*.wild.test"]),
    ];
    let origin = origin().echo("/").run();
    let proxy = proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        tls = {{ certificates = [{}, {}, {}] }}
        [clusters.origin]
        endpoints = ["{origin}"]
        "#,
        one.entry(),
        two.entry(),
        wild.entry()
    ));
    for (name, expected) in [("one.test", &one), ("two.test", &two), ("zwei.test", &two), ("a.wild.test", &wild)] {
        let client = client::connect(proxy.address()).edge(edge).name(name).open().await;
        assert!(expected.is(client.certificate()), "{name} is answered with another's certificate");
        assert_eq!(client.get("/").await.json()["headers"]["x-forwarded-host"], serde_json::json!([name]));
    }
    for unknown in ["three.test", "a.b.wild.test"] {
        let refused = client::connect(proxy.address()).edge(edge).name(unknown).try_open().await;
        assert!(refused.is_err(), "{unknown} is in no certificate, so the client must not trust the first one");
    }
}

/// What a client that offers these protocols agrees on with the proxy.
async fn agreed(proxy: &Proxy, offered: &[&[u8]]) -> Option<Vec<u8>> {
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let stream = client::tls(stream, EDGE_NAME, offered).await.expect("the handshake succeeds");
    stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)
}

scenario!(http_2_is_preferred_and_nothing_is_forced);
async fn http_2_is_preferred_and_nothing_is_forced() {
    let origin = origin().route("/", "").run();
    let proxy = Edge::HTTP2_TLS.forward_to(&origin);
    assert_eq!(agreed(&proxy, &[b"http/1.1", b"h2"]).await.as_deref(), Some(b"h2".as_slice()));
    assert_eq!(agreed(&proxy, &[b"http/1.1"]).await.as_deref(), Some(b"http/1.1".as_slice()));
    assert_eq!(agreed(&proxy, &[]).await, None);
}

scenario!(a_client_without_alpn_is_served);
async fn a_client_without_alpn_is_served() {
    let origin = origin().route("/", "here").run();
    let proxy = Edge::HTTP1_TLS.forward_to(&origin);
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let mut stream = client::tls(stream, EDGE_NAME, &[]).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
}

scenario!(both_versions_of_tls_are_spoken);
async fn both_versions_of_tls_are_spoken() {
    let origin = origin().run();
    let proxy = Edge::HTTP1_TLS.forward_to(&origin);
    for version in [&TLS12, &TLS13] {
        let connector = TlsConnector::from(certificates::client_config_of(&[version], &[]));
        let stream = TcpStream::connect(proxy.address()).await.unwrap();
        let stream = connector.connect(EDGE_NAME.try_into().unwrap(), stream).await;
        assert_eq!(stream.expect("the handshake succeeds").get_ref().1.protocol_version(), Some(version.version));
    }
}

scenario!(a_certificate_that_cannot_be_used_stops_the_start);
async fn a_certificate_that_cannot_be_used_stops_the_start() {
    let (good, other) = (certificates::certificate(&["good.test"]), certificates::certificate(&["other.test"]));
    let listener = |chain: &str, key: &str| {
        format!("[listeners.edge]\nlisten = '127.0.0.1:0'\ntls = {{ certificates = [{{ chain = '{chain}', key = '{key}' }}] }}")
    };
    let (chain, key) = (good.chain.display().to_string(), good.key.display().to_string());
    let missing = refused(listener("missing.pem", &key));
    assert!(missing.contains("missing.pem"), "{missing}");
    let wrong_kind = refused(listener(&key, &key));
    assert!(wrong_kind.contains(&key), "{wrong_kind}");
    let strangers = refused(listener(&chain, &other.key.display().to_string()));
    assert!(strangers.contains("other.test"), "the key belongs to another certificate: {strangers}");
}

/// A proxy whose listener has this `tls`.
fn with(tls: &str, origin: &Origin) -> Proxy {
    proxy(format!("workers = 1\n[listeners.edge]\ncluster = 'origin'\n{tls}\n[clusters.origin]\nendpoints = ['{origin}']"))
}

async fn open(proxy: &Proxy, name: &str, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    client::tls_with(TcpStream::connect(proxy.address()).await.unwrap(), name, config.clone()).await
}

/// One request on a connection of HTTP/1.1, which ends with it. What a client learns for resumption comes behind the handshake.
async fn ask(mut stream: TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: edge.test\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

scenario!(the_default_certificate_is_for_whoever_names_nobody);
async fn the_default_certificate_is_for_whoever_names_nobody() {
    let one = certificates::certificate(&["one.test"]);
    let two = certificates::certificate(&["two.test", "127.0.0.1"]);
    let origin = origin().run();
    let default = two.entry().replace('}', ", default = true }");
    let proxy = with(&format!("tls = {{ certificates = [{}, {default}] }}", one.entry()), &origin);
    for (name, expected) in [("127.0.0.1", &two), ("one.test", &one), ("two.test", &two)] {
        let stream = open(&proxy, name, &certificates::client_config(&[])).await.expect("the name is in the certificate");
        assert!(expected.is(&stream.get_ref().1.peer_certificates().unwrap()[0]), "{name}");
    }
    let twice = format!("[listeners.edge]\nlisten = '127.0.0.1:0'\ntls = {{ certificates = [{default}, {default}] }}");
    assert!(refused(twice).contains("at most one certificate with `default`, found 2"));
}

scenario!(the_oldest_version_can_be_raised);
async fn the_oldest_version_can_be_raised() {
    let origin = origin().run();
    let proxy = with(&format!("tls = {{ certificates = [{}], min-version = '1.3' }}", certificates::edge().entry()), &origin);
    assert!(open(&proxy, EDGE_NAME, &certificates::client_config_of(&[&TLS12], &[])).await.is_err());
    open(&proxy, EDGE_NAME, &certificates::client_config_of(&[&TLS13], &[])).await.expect("1.3 is spoken");
}

scenario!(only_what_is_listed_is_agreed_on);
async fn only_what_is_listed_is_agreed_on() {
    let origin = origin().run();
    let only =
        |alpn: &str| with(&format!("tls = {{ certificates = [{}], alpn = {alpn} }}", certificates::edge().entry()), &origin);
    let proxy = only("['http/1.1']");
    assert_eq!(agreed(&proxy, &[b"h2", b"http/1.1"]).await.as_deref(), Some(b"http/1.1".as_slice()));
    assert!(open(&proxy, EDGE_NAME, &certificates::client_config(&[b"h2"])).await.is_err(), "nothing is left to agree on");
    let proxy = only("['http/1.1', 'h2']");
    assert_eq!(agreed(&proxy, &[b"h2", b"http/1.1"]).await.as_deref(), Some(b"http/1.1".as_slice()), "the proxy prefers");
    assert_eq!(agreed(&only("[]"), &[b"h2"]).await, None);
}

scenario!(the_keys_are_agreed_on_against_quantum_computers_too);
async fn the_keys_are_agreed_on_against_quantum_computers_too() {
    let origin = origin().run();
    let proxy = Edge::HTTP1_TLS.forward_to(&origin);
    let stream = open(&proxy, EDGE_NAME, &certificates::client_config(&[])).await.unwrap();
    let session = stream.get_ref().1;
    assert_eq!(session.negotiated_key_exchange_group().map(|group| group.name()), Some(NamedGroup::X25519MLKEM768));
    assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full), "without another round trip");
}

scenario!(a_session_is_taken_up_by_any_worker_and_after_a_reload);
async fn a_session_is_taken_up_by_any_worker_and_after_a_reload() {
    let origin = origin().route("/", "here").run();
    for version in [&TLS13, &TLS12] {
        let shown = certificates::certificate(&[EDGE_NAME]);
        let proxy = proxy(format!(
            "workers = 2\n[listeners.edge]\ncluster = 'origin'\ntls = {{ certificates = [{}] }}\n[clusters.origin]\nendpoints = ['{origin}']",
            shown.entry()
        ));
        let config = certificates::client_config_of(&[version], &[]);
        let first = open(&proxy, EDGE_NAME, &config).await.unwrap();
        assert_eq!(first.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        assert!(ask(first).await.ends_with("here"));
        // The kernel deals connections out, so that some come to the other worker.
        for _ in 0..8 {
            let next = open(&proxy, EDGE_NAME, &config).await.unwrap();
            assert_eq!(next.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
            assert!(ask(next).await.ends_with("here"));
        }
        certificates::certificate(&[EDGE_NAME]).take_the_place_of(&shown);
        proxy.handle().reload();
        let renewed = loop {
            let stream = open(&proxy, EDGE_NAME, &certificates::client_config(&[])).await.unwrap();
            let presented = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
            if !shown.is(&presented) {
                break presented;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        };
        let next = open(&proxy, EDGE_NAME, &config).await.unwrap();
        assert_eq!(next.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed), "{renewed:?} changes no session");
        assert!(ask(next).await.ends_with("here"));
        proxy.metric_becomes("tamis_tls_handshakes_resumed_total{listener=\"edge\"}", |count| count == 9.0).await;
    }
}

/// What a client is shown by OCSP.
#[derive(Debug, Default)]
struct Stapled(Mutex<Vec<u8>>);

impl ServerCertVerifier for Stapled {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        staple: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = staple.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

scenario!(what_the_authority_says_is_stapled);
async fn what_the_authority_says_is_stapled() {
    let origin = origin().run();
    let folder = tempfile::tempdir().unwrap();
    let staple = folder.path().join("staple.der");
    let response = [0x30, 5, 0x0a, 1, 0, 0xa0, 0];
    std::fs::write(&staple, response).unwrap();
    let entry = certificates::edge().entry().replace('}', &format!(", ocsp = '{}' }}", staple.display()));
    let proxy = with(&format!("tls = {{ certificates = [{entry}] }}"), &origin);
    let seen = Arc::new(Stapled::default());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.dangerous().with_custom_certificate_verifier(seen.clone()).with_no_client_auth();
    open(&proxy, EDGE_NAME, &Arc::new(config)).await.unwrap();
    assert_eq!(*seen.0.lock().unwrap(), response);
    std::fs::write(&staple, "no DER").unwrap();
    let why = refused(format!("[listeners.edge]\nlisten = '127.0.0.1:0'\ntls = {{ certificates = [{entry}] }}"));
    assert!(why.contains("expected a successful OCSP response in DER"), "{why}");
}

scenario!(handshakes_wait_for_each_other);
async fn handshakes_wait_for_each_other() {
    let origin = origin().run();
    let listener = format!(
        "tls = {{ certificates = [{}] }}\nlimits = {{ handshakes = 1 }}\ntimeouts = {{ tls-handshake = '20s' }}",
        certificates::edge().entry()
    );
    let proxy = with(&listener, &origin);
    let mut silent = TcpStream::connect(proxy.address()).await.unwrap();
    // The first byte of a handshake takes the place; whoever says nothing at all takes none.
    silent.write_all(&[0x16]).await.unwrap();
    proxy.metric_becomes("tamis_connections_active{listener=\"edge\"}", |open| open == 1.0).await;
    let config = certificates::client_config(&[]);
    let mut second = std::pin::pin!(open(&proxy, EDGE_NAME, &config));
    tokio::select! {
        _ = &mut second => panic!("the only place is taken"),
        _ = proxy.metric_becomes("tamis_connections_active{listener=\"edge\"}", |open| open == 2.0) => {}
    }
    drop(silent);
    second.await.expect("it has its turn");
}

scenario!(who_waits_for_a_handshake_too_long_is_let_go);
async fn who_waits_for_a_handshake_too_long_is_let_go() {
    let origin = origin().run();
    let listener = format!(
        "tls = {{ certificates = [{}] }}\nlimits = {{ handshakes = 1 }}\ntimeouts = {{ tls-handshake = '200ms' }}",
        certificates::edge().entry()
    );
    let proxy = with(&listener, &origin);
    let mut silent = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(&[0x16]).await.unwrap();
        silent.push(stream);
    }
    proxy.metric_becomes("tamis_tls_handshakes_late_total{listener=\"edge\"}", |late| late >= 1.0).await;
    let line = proxy.access_log().line_where("reason", "client-timeout").await;
    assert_eq!(line["protocol"], "tls");
    drop(silent);
}
