//! The cors filter that ships: its examples, against browsers' requests.

use tamis_tests::{Answer, Client, Edge, Origin, Proxy, Reply, matrix, origin, refused, scenario, shipped};

const APP: &str = "https://app.example.com";

fn running(edge: Edge, example: &str, api: &Origin) -> Proxy {
    edge.proxy(shipped("cors", example, &[("api", api)]))
}

async fn preflight(client: &Client, path: &str, origin: &str, method: &str) -> Answer {
    client.request("OPTIONS", path).header("origin", origin).header("access-control-request-method", method).await
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

matrix!(one_page_may_call_and_others_may_not);
async fn one_page_may_call_and_others_may_not(edge: Edge) {
    let api = origin().route("*", "data").run();
    let proxy = running(edge, "one-page", &api);
    let client = proxy.client().await;
    let asked = preflight(&client, "/orders", APP, "PUT").await;
    assert_eq!((asked.status, allowed(&asked)), (204, Some(APP)));
    assert_eq!(asked.header("access-control-allow-methods"), Some("GET, POST, PUT, DELETE"));
    assert_eq!(asked.header("access-control-max-age"), Some("600"));
    assert_eq!(api.requests().len(), 0, "a preflight never gets to the service");
    let answer = client.request("PUT", "/orders").body("1").header("origin", APP).await;
    assert_eq!((answer.text(), allowed(&answer)), ("data", Some(APP)));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!((answer.header("access-control-expose-headers"), answer.header("vary")), (Some("x-request-id"), Some("origin")));
    let evil = client.request("PUT", "/orders").body("1").header("origin", "https://evil.test").await;
    assert_eq!((evil.status, evil.header("vary")), (403, Some("origin")));
    let nobody = client.get("/orders").await;
    assert_eq!((nobody.text(), allowed(&nobody), nobody.header("vary")), ("data", None, Some("origin")));
    let own = client.post("/orders", "1").header("origin", &format!("{}://edge.test", edge.scheme())).await;
    assert_eq!(own.status, 200, "a page of the same origin is no stranger");
    let notes: Vec<_> = proxy.access_log().lines(5).await.iter().map(|line| line["notes"]["cors"].clone()).collect();
    assert_eq!(notes, ["preflight 0", "allowed 0", "refused 0", "same-origin 0", "same-origin 0"]);
    let series = r#"cors_requests_total{filter="cors",policy="0",result="refused"}"#;
    assert_eq!(proxy.metric(series).await, Some(1.0));
}

matrix!(what_is_public_is_for_everybody);
async fn what_is_public_is_for_everybody(edge: Edge) {
    let api = origin().route("*", "data").run();
    let proxy = running(edge, "public-and-private", &api);
    let client = proxy.client().await;
    for origin in ["https://evil.test", "null"] {
        let answer = client.get("/open/font").header("origin", origin).await;
        assert_eq!((allowed(&answer), answer.header("vary")), (Some("*"), None), "{origin}");
    }
    for (origin, may) in [
        ("https://example.com", true),
        ("https://a.b.example.com", true),
        ("http://localhost:5173", true),
        ("https://example.com.evil.test", false),
        ("http://a.example.com", false),
    ] {
        let answer = client.get("/orders").header("origin", origin).await;
        assert_eq!(allowed(&answer), may.then_some(origin), "{origin}");
        assert_eq!((answer.text(), answer.header("vary")), ("data", Some("origin")), "{origin}");
    }
}

matrix!(a_preview_is_found_by_its_expression_and_before_the_path_is_rewritten, plain, because "the certificate is for another name");
async fn a_preview_is_found_by_its_expression_and_before_the_path_is_rewritten(edge: Edge) {
    let api = origin()
        .route_fn("*", |_| async { Reply::new(200).header("access-control-allow-origin", "https://old.example").body("data") })
        .run();
    let proxy = running(edge, "previews", &api);
    let client = tamis_tests::client::connect(proxy.address()).edge(edge).name("api.example.com").open().await;
    let preview = "https://pr-17.preview.example.net";
    let answer = client.get("/v1/orders").header("origin", preview).await;
    assert_eq!((allowed(&answer), answer.header("access-control-expose-headers")), (Some(preview), Some("etag, link")));
    assert_eq!(api.request().target, "/orders");
    let other = client.get("/v1/orders").header("origin", "https://pr-x.preview.example.net").await;
    assert_eq!(allowed(&other), Some("https://old.example"), "what no policy allows is the service's own affair");
    let asked = preflight(&client, "/v1/orders", "https://old.example", "PATCH").await;
    assert_eq!((asked.text(), allowed(&asked)), ("data", Some("https://old.example")));
}

scenario!(a_star_beside_credentials_is_told_with_its_position);
async fn a_star_beside_credentials_is_told_with_its_position() {
    let said = refused(
        r#"[listeners.edge]
listen = "127.0.0.1:0"
filters = ["cors"]
[filters.cors]
module = "builtin:cors"
[[filters.cors.config.policies]]
credentials = true
origins = "*"
"#,
    );
    assert!(said.contains("tamis.toml:8:") && said.contains("any page could act as its visitor"), "{said}");
}
