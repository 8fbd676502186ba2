//! Inputs of filters: files and resources of clusters, fetched at the start and watched.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tamis_tests::guests::hash;
use tamis_tests::proxy::replace;
use tamis_tests::{Client, Reply, chain, origin, proxy, refused, scenario};

fn told(bytes: &[u8]) -> Value {
    json!({ "bytes": bytes.len(), "hash": format!("{:016x}", hash(bytes)) })
}

/// Waits until the filter was configured with this.
async fn becomes(client: &Client, name: &str, content: &[u8]) {
    while client.get("/").await.json()[name] != told(content) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

scenario!(a_file_is_an_input_and_a_change_configures_anew);
async fn a_file_is_an_input_and_a_change_configures_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("blocked.txt");
    std::fs::write(&file, "10.0.0.1\n").unwrap();
    let inputs = format!("inputs = {{ blocked = '{}' }}", file.display());
    let toml = chain("127.0.0.1:1", &[("inputs", &inputs)]);
    let proxy = proxy(toml.replace("[listeners.edge]", "[listeners.edge]\nlimits = { requests-per-connection = 0 }"));
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.json(), json!({ "blocked": told(b"10.0.0.1\n") }));
    replace(&file, b"10.0.0.1\n10.0.0.2\n");
    becomes(&client, "blocked", b"10.0.0.1\n10.0.0.2\n").await;
    replace(&file, b"bad list\n");
    let filter = proxy.filter_becomes("inputs", |filter| !filter["failed"].is_null()).await;
    assert!(filter["failed"].to_string().contains("blocked"), "{filter}");
    assert_eq!(client.get("/").await.json()["blocked"], told(b"10.0.0.1\n10.0.0.2\n"), "what was serving keeps serving");
    replace(&file, b"10.0.0.3\n");
    becomes(&client, "blocked", b"10.0.0.3\n").await;
}

scenario!(a_refused_input_stops_the_start);
async fn a_refused_input_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("blocked.txt");
    std::fs::write(&file, "bad").unwrap();
    let toml = |file: &std::path::Path| {
        let inputs = format!("inputs = {{ blocked = '{}' }}", file.display());
        chain("127.0.0.1:1", &[("inputs", &inputs)]).replace("[listeners.edge]", "[listeners.edge]\nlisten = '127.0.0.1:0'")
    };
    assert!(refused(toml(&file)).contains("`blocked` is bad"));
    let missing = folder.path().join("missing.txt");
    assert!(refused(toml(&missing)).contains("missing.txt"));
}

scenario!(a_resource_of_a_cluster_is_fetched_and_fetched_again);
async fn a_resource_of_a_cluster_is_fetched_and_fetched_again() {
    let content = Arc::new(Mutex::new("one".to_owned()));
    let served = content.clone();
    let idp = origin()
        .route_fn("/jwks.json", move |_| {
            let body = served.lock().unwrap().clone();
            async move { if body.is_empty() { Reply::new(500) } else { Reply::new(200).body(body) } }
        })
        .run();
    let inputs = "inputs = { keys = { cluster = 'origin', url = '/jwks.json', every = '50ms' } }";
    let toml = chain(&idp, &[("inputs", inputs)]);
    let proxy = proxy(toml.replace("[listeners.edge]", "[listeners.edge]\nlimits = { requests-per-connection = 0 }"));
    let client = proxy.client().await;
    becomes(&client, "keys", b"one").await;
    *content.lock().unwrap() = "two, and longer".to_owned();
    becomes(&client, "keys", b"two, and longer").await;
    content.lock().unwrap().clear();
    let before = idp.requests().len();
    while idp.requests().len() < before + 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(client.get("/").await.json()["keys"], told(b"two, and longer"), "a failed fetch loses nothing");
}
