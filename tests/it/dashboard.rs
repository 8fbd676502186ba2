//! The page for browsers, and the numbers that it shows.

use serde_json::json;
use tamis_tests::{Edge, chain, origin, scenario};

scenario!(a_browser_gets_a_page_and_everybody_else_the_list);
async fn a_browser_gets_a_page_and_everybody_else_the_list() {
    let proxy = Edge::HTTP1_PLAIN.proxy(chain(origin().run(), &[]));
    assert!(proxy.admin("/").await.text().contains("GET    /dashboard"));
    let page = proxy.operator().await.get("/").header("accept", "text/html,*/*;q=0.8").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'self'")));
    // With that policy nothing inside of the page itself would run.
    assert!(!page.text().contains("<style") && !page.text().contains(" style="), "{}", page.text());
    for linked in page.text().split(['"', '\'']).filter(|part| part.starts_with("/dashboard/")) {
        let file = proxy.admin(linked).await;
        assert_eq!((file.status, file.header("x-content-type-options")), (200, Some("nosniff")), "{linked}");
    }
    let script = proxy.admin("/dashboard/script.js").await;
    for imported in script.text().split('"').filter(|part| part.starts_with("/dashboard/")) {
        assert_eq!(proxy.admin(imported).await.header("content-type"), Some("text/javascript; charset=utf-8"), "{imported}");
    }
    let asked: Vec<_> = script.text().split("ask(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(asked.contains(&"/stats") && asked.contains(&"/clusters"), "{asked:?}");
    for path in asked {
        assert_eq!(proxy.admin(path).await.status, 200, "{path}");
    }
}

scenario!(what_was_counted_is_told_as_json);
async fn what_was_counted_is_told_as_json() {
    let origin = origin().route("/", "hello").run();
    let proxy = Edge::HTTP1_PLAIN.proxy(chain(&origin, &[]));
    let client = proxy.client().await;
    assert_eq!((client.get("/").await.status, client.get("/none").await.status), (200, 404));
    proxy.metric_becomes("tamis_requests_active{listener=\"edge\"}", |active| active == 0.0).await;
    let stats = proxy.admin("/stats").await.json();
    let edge = &stats["listeners"]["edge"];
    assert_eq!(edge["address"], json!(proxy.listener("edge").to_string()), "not port 0, as it is configured");
    assert_eq!(edge["clusters"]["origin"]["classes"], json!([0, 1, 0, 1, 0, 0]), "{stats}");
    assert_eq!((&edge["connections"], &edge["exchanges"], &edge["tls"]), (&json!(1), &json!(0), &json!(false)));
    let bounds = stats["bounds_us"].as_array().map(Vec::len).expect("bounds");
    let durations = edge["clusters"]["origin"]["durations"].as_array().expect("buckets");
    assert_eq!((durations.len(), durations.iter().filter_map(|count| count.as_u64()).sum::<u64>()), (bounds + 1, 2));
    let history = proxy.admin("/stats/history").await.json();
    // The first sample is of the start, before or after the requests.
    assert_eq!(history["samples"][0]["total"]["classes"].as_array().map(Vec::len), Some(6), "{history}");
    assert_eq!(history["every_s"], json!(10));
}
