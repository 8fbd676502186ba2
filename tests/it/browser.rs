//! The dashboard in a real browser: Debian's Chromium, driven by tests/browser/dashboard.mjs.

use tamis_tests::command::{output, repository, stderr, stdout};
use tamis_tests::{Edge, guest, origin, scenario};

scenario!(an_operator_sees_traffic_and_replaces_a_filter);
async fn an_operator_sees_traffic_and_replaces_a_filter() {
    let origin = origin().route("/", "").run();
    let stamp = guest("stamp-a");
    let proxy = Edge::HTTP1_PLAIN.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        filters = ["stamp"]
        [clusters.origin]
        endpoints = ["{origin}"]
        [filters.stamp]
        module = "{stamp}"
        "#
    ));
    let script = repository().join("tests/browser/dashboard.mjs");
    let (broken, good) = (guest("refuse").to_string(), guest("stamp-b").to_string());
    let (admin, edge) = (format!("http://{}", proxy.admin_address()), format!("http://{}", proxy.address()));
    // Where somebody wants to look, it leaves screenshots.
    let screenshots = std::env::var("TAMIS_SCREENSHOTS").unwrap_or_default();
    let mut arguments = vec![script.to_str().expect("a path"), &admin, &edge, &broken, &good];
    arguments.extend(Some(&*screenshots).filter(|folder| !folder.is_empty()));
    let ran = output("node", &arguments).await;
    assert!(ran.status.success() && stdout(&ran).ends_with("all seen\n"), "{}{}", stdout(&ran), stderr(&ran));
}
