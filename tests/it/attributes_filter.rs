//! The attributes filter that ships: its examples, and where what they compute is seen.

use serde_json::json;
use tamis_tests::{Edge, matrix, origin, shipped};

matrix!(whose_request_it_is_stands_in_the_log);
async fn whose_request_it_is_stands_in_the_log(edge: Edge) {
    let app = origin().route("*", "").run();
    let proxy = edge.proxy(shipped("attributes", "tenants", &[("app", &app)]));
    let client = proxy.client().await;
    client.get("/").header("x-tenant", "acme").await;
    client.get("/").header("x-tenant", "acme").await;
    client.get("/").await;
    let tenants: Vec<_> = proxy.access_log().lines(3).await.iter().map(|line| line["notes"]["tenant"].clone()).collect();
    assert_eq!(tenants, ["acme", "acme", "edge.test"]);
    let series = r#"attributes_total{filter="attributes",attribute="tenant",value="acme"}"#;
    assert_eq!(proxy.metric(series).await, Some(2.0));
}

matrix!(what_it_is_about_is_told_to_the_service);
async fn what_it_is_about_is_told_to_the_service(edge: Edge) {
    let app = origin().echo("*").run();
    let proxy = edge.proxy(shipped("attributes", "orders", &[("app", &app)]));
    let client = proxy.client().await;
    let seen = client.get("/users/ann/orders/7").header("cookie", "session=0123456789").await.json();
    assert_eq!(seen["headers"]["x-order"], json!(["ann/7"]));
    let seen = client.get("/orders?id=a%2Fb").await.json();
    assert_eq!(seen["headers"]["x-order"], json!(["a/b"]));
    let lines = proxy.access_log().lines(2).await;
    assert_eq!((&lines[0]["notes"]["order"], &lines[0]["notes"]["session"]), (&json!("ann/7"), &json!("01234567")));
    assert_eq!(lines[1]["notes"]["session"], json!(null));
}

matrix!(a_route_goes_by_an_attribute);
async fn a_route_goes_by_an_attribute(edge: Edge) {
    let (app, crawlers) = (origin().route("*", "app").run(), origin().route("*", "crawlers").run());
    let proxy = edge.proxy(shipped("attributes", "kinds", &[("app", &app), ("crawlers", &crawlers)]));
    let client = proxy.client().await;
    assert_eq!(client.get("/").header("user-agent", "SomeBot/1.0").await.text(), "crawlers");
    assert_eq!(client.get("/").header("user-agent", "curl").await.text(), "app");
    assert_eq!(client.get("/").header("x-client-kind", "tester").await.text(), "app");
    let lines = proxy.access_log().lines(3).await;
    assert_eq!((&lines[0]["notes"]["kind"], &lines[0]["route"]), (&json!("crawler"), &json!("slow-lane")));
    assert_eq!((&lines[1]["notes"]["kind"], &lines[2]["notes"]["kind"]), (&json!("inside"), &json!("tester")));
}
