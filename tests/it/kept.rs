//! Filters that were built against an older interface run on the host of today. tests/guests/kept has them, and says how they were
//! made.

use serde_json::json;
use tamis_tests::command::repository;
use tamis_tests::{Edge, Origin, Proxy, matrix, origin};

fn keeping(edge: Edge, origin: &Origin) -> Proxy {
    let module = repository().join("tests/guests/kept/complete-0.1.0.wasm");
    edge.proxy(format!(
        "[listeners.edge]\ncluster = 'origin'\nfilters = ['f']\n[filters.f]\nmodule = '{}'\ndeadline = '1s'\nallow = {{ stores = ['outcomes'] }}\n[stores.outcomes]\n[clusters.origin]\nendpoints = ['{origin}']\n",
        module.display()
    ))
}

matrix!(a_filter_of_0_1_0_runs);
async fn a_filter_of_0_1_0_runs(edge: Edge) {
    let origin = origin().reflect("/a").run();
    let proxy = keeping(edge, &origin);
    let client = proxy.client().await;
    assert_eq!(client.post("/a", "hello").header("x-request-id", "one").await.text(), "hello");
    let told = loop {
        let answer = client.get("/outcomes/one").await;
        if answer.status == 200 {
            break answer.json();
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    let seen = (&told["status"], &told["request-bytes"], &told["upstream"], &told["cluster"]);
    assert_eq!(seen, (&json!(200), &json!(5), &json!(origin.to_string()), &json!("origin")), "{told}");
}
