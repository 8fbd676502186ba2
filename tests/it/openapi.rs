//! The description of the admin for machines is what the admin does.

use std::collections::BTreeSet;

use serde_json::Value;
use tamis_tests::{guest, proxy, scenario};

/// Every path with its methods, as GET /openapi.json tells.
fn described(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().expect("paths");
    let methods = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().expect("methods").keys().map(|method| method.to_uppercase());
        methods.map(|method| (path.clone(), method)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(methods).collect()
}

scenario!(what_is_described_is_there);
async fn what_is_described_is_there() {
    let module = guest("stamp-a");
    let mut proxy = proxy(format!(
        "[listeners.edge]\nfilters = [\"f\"]\n[filters.f]\nmodule = '{module}'\n[clusters.c]\nendpoints = [\"127.0.0.1:1\"]\n[stores.s]"
    ));
    let document = proxy.admin("/openapi.json").await;
    assert_eq!(document.header("content-type"), Some("application/json"));
    let document = document.json();
    assert_eq!(document["openapi"], "3.1.0");
    for (path, method) in described(&document) {
        // The one that ends it comes last.
        if path == "/drain" {
            continue;
        }
        let name = if path.starts_with("/clusters") {
            "c"
        } else if path.starts_with("/stores") {
            "s"
        } else {
            "f"
        };
        let asked = path.replace("{name}", name).replace("{file}", "style.css").replace("{key}", "a/b");
        let asked = if path == "/tap" { "/tap?match=nonsense%3D".to_owned() } else { asked };
        let answer = proxy.operator().await.request(&method, &asked).await;
        let known = &document["paths"][&path][method.to_lowercase()]["responses"];
        assert!(
            known.get(answer.status.to_string()).is_some(),
            "{method} {path}: {} is not described: {}",
            answer.status,
            answer.text()
        );
        // A path that is not there is told in plain text.
        assert!(!answer.text().contains("nothing here") && answer.status != 405, "{method} {path}: {}", answer.text());
    }
    let left = proxy.operator().await.post("/drain", "").await;
    assert_eq!((left.status, left.json()["draining"].clone()), (202, Value::Bool(true)));
    proxy.ended().await;
}

scenario!(what_is_there_is_described);
async fn what_is_there_is_described() {
    let proxy = proxy("[listeners.edge]");
    let described = described(&proxy.admin("/openapi.json").await.json());
    let index = proxy.admin("/").await;
    let listed: BTreeSet<_> = index
        .text()
        .lines()
        .skip(2)
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (method, path) = (words.next()?, words.next()?);
            let part = |part: &str| match part {
                "" => String::new(),
                part if part.chars().all(|letter| letter.is_ascii_uppercase()) => format!("{{{}}}", part.to_lowercase()),
                part => part.to_owned(),
            };
            path.starts_with('/').then(|| (path.split('/').map(part).collect::<Vec<_>>().join("/"), method.to_owned()))
        })
        .collect();
    assert_eq!(listed, described);
}

scenario!(the_process_tells_of_itself);
async fn the_process_tells_of_itself() {
    let proxy = proxy("[listeners.edge]\n[listeners.other]\nfilters = []");
    assert_eq!((proxy.admin("/live").await.status, proxy.admin("/live").await.text()), (200, "live\n"));
    let version = proxy.admin("/version").await.json();
    assert_eq!((&version["name"], version["pid"].as_u64()), (&"tamis".into(), Some(u64::from(std::process::id()))));
    let listeners = proxy.admin("/listeners").await.json();
    let edge = &listeners["listeners"][0];
    assert_eq!((&edge["name"], &edge["address"]), (&"edge".into(), &proxy.address().to_string().into()), "{listeners}");
    assert_eq!(proxy.admin("/certificates").await.json()["certificates"], serde_json::json!([]));
}
