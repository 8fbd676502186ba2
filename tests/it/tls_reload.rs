//! Certificates change while connections come and go: new ones see the newest, those that are there go on, and what cannot be
//! used changes nothing.

use std::path::Path;

use tamis_tests::certificates::{self, Certificate, EDGE_NAME};
use tamis_tests::{Client, Edge, Origin, Proxy, client, matrix, origin, proxy, scenario};

const NAMES: [&str; 1] = [EDGE_NAME];

fn with(certificate: &Certificate, origin: &Origin) -> Proxy {
    proxy(format!(
        "[listeners.edge]\ncluster = 'origin'\ntls = {{ certificates = [{}] }}\n[clusters.origin]\nendpoints = ['{origin}']",
        certificate.entry()
    ))
}

async fn connect(proxy: &Proxy, edge: Edge) -> Client {
    client::connect(proxy.address()).edge(edge).open().await
}

/// Opens connections until one is shown this certificate.
async fn shows(proxy: &Proxy, edge: Edge, certificate: &Certificate) -> Client {
    loop {
        let client = connect(proxy, edge).await;
        if certificate.is(client.certificate()) {
            return client;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

matrix!(a_new_certificate_is_for_new_connections, tls, because "there is none without TLS");
async fn a_new_certificate_is_for_new_connections(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let (file, next) = (certificates::certificate(&NAMES), certificates::certificate(&NAMES));
    let proxy = with(&file, &origin);
    let before = connect(&proxy, edge).await;
    assert!(file.is(before.certificate()));
    assert_eq!(before.get("/").await.text(), "here");
    next.take_the_place_of(&file);
    assert_eq!(shows(&proxy, edge, &next).await.get("/").await.text(), "here");
    assert_eq!(before.get("/").await.text(), "here", "the connection from before goes on");
    for _ in 0..8 {
        assert!(next.is(connect(&proxy, edge).await.certificate()), "on every worker");
    }
}

scenario!(what_cannot_be_used_changes_nothing);
async fn what_cannot_be_used_changes_nothing() {
    let origin = origin().route("/", "here").run();
    let (file, next) = (certificates::certificate(&NAMES), certificates::certificate(&NAMES));
    let proxy = with(&file, &origin);
    let failures = "tamis_certificate_reload_failures_total{section=\"listeners\",name=\"edge\"}";
    assert_eq!(proxy.metric(failures).await, None);
    tamis_tests::proxy::replace(&file.chain, b"no certificate");
    let failed = proxy.metric_becomes(failures, |count| count >= 1.0).await;
    assert!(file.is(connect(&proxy, Edge::HTTP1_TLS).await.certificate()), "the last good one is kept");
    // A chain without its key: what a tool that writes one file after the other leaves for a moment.
    tamis_tests::proxy::replace(&file.chain, &std::fs::read(&next.chain).unwrap());
    proxy.metric_becomes(failures, |count| count > failed).await;
    assert!(file.is(connect(&proxy, Edge::HTTP1_TLS).await.certificate()));
    tamis_tests::proxy::replace(&file.key, &std::fs::read(&next.key).unwrap());
    shows(&proxy, Edge::HTTP1_TLS, &next).await;
}

scenario!(a_bad_file_of_one_listener_does_not_hold_up_another);
async fn a_bad_file_of_one_listener_does_not_hold_up_another() {
    let origin = origin().route("/", "here").run();
    let [one, two, next] = [(); 3].map(|()| certificates::certificate(&NAMES));
    let proxy = proxy(format!(
        "[listeners.edge]\ncluster = 'origin'\ntls = {{ certificates = [{}] }}\n\
         [listeners.second]\ncluster = 'origin'\ntls = {{ certificates = [{}] }}\n[clusters.origin]\nendpoints = ['{origin}']",
        one.entry(),
        two.entry()
    ));
    std::fs::remove_file(&two.key).unwrap();
    next.take_the_place_of(&one);
    shows(&proxy, Edge::HTTP1_TLS, &next).await;
    let second = client::connect(proxy.listener("second")).edge(Edge::HTTP1_TLS).open().await;
    assert!(two.is(second.certificate()));
}

scenario!(a_folder_that_is_swapped_by_a_link_is_seen);
async fn a_folder_that_is_swapped_by_a_link_is_seen() {
    let origin = origin().route("/", "here").run();
    let (first, second) = (certificates::certificate(&NAMES), certificates::certificate(&NAMES));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // As secrets are mounted: the files are links into a folder that is a link.
    for (version, certificate) in [("1", &first), ("2", &second)] {
        std::fs::create_dir(at(version)).unwrap();
        std::fs::copy(&certificate.chain, at(version).join("tls.crt")).unwrap();
        std::fs::copy(&certificate.key, at(version).join("tls.key")).unwrap();
    }
    let link = |to: &str, from: &Path| std::os::unix::fs::symlink(to, from).unwrap();
    link("1", &at("..data"));
    link("..data/tls.crt", &at("tls.crt"));
    link("..data/tls.key", &at("tls.key"));
    let proxy = proxy(format!(
        "[listeners.edge]\ncluster = 'origin'\ntls = {{ certificates = [{{ chain = '{}', key = '{}' }}] }}\n\
         [clusters.origin]\nendpoints = ['{origin}']",
        at("tls.crt").display(),
        at("tls.key").display()
    ));
    assert!(first.is(connect(&proxy, Edge::HTTP1_TLS).await.certificate()));
    link("2", &at("..data.next"));
    std::fs::rename(at("..data.next"), at("..data")).unwrap();
    shows(&proxy, Edge::HTTP1_TLS, &second).await;
}

scenario!(when_certificates_end_is_in_the_metrics);
async fn when_certificates_end_is_in_the_metrics() {
    let origin = origin().route("/", "here").run();
    let file = certificates::describe(&NAMES).until(2050, 1, 1).make();
    let proxy = with(&file, &origin);
    let series = format!("tamis_certificate_expiry_seconds{{listener=\"edge\",name=\"{EDGE_NAME}\"}}");
    assert_eq!(proxy.metric(&series).await, Some(2_524_608_000.0));
    certificates::describe(&NAMES).until(2051, 1, 1).make().take_the_place_of(&file);
    proxy.metric_becomes(&series, |end| end == 2_556_144_000.0).await;
}
