//! The filters of the examples do in the proxy what their pages say.

use serde_json::json;
use tamis_tests::{Edge, Proxy, Reply, body, example, matrix, origin};

fn running(edge: Edge, name: &str, more: &str, app: impl std::fmt::Display) -> Proxy {
    let module = example(&format!("{}.wasm", name.replace('-', "_")));
    edge.proxy(format!(
        "[listeners.edge]\nfilters = ['{name}']\ncluster = 'app'\n[clusters.app]\nendpoints = ['{app}']\n[filters.{name}]\nmodule = '{}'\ndeadline = '1s'\n{more}",
        module.display()
    ))
}

matrix!(external_auth_asks_who_may_pass);
async fn external_auth_asks_who_may_pass(edge: Edge) {
    let app = origin().echo("/").run();
    let auth = origin()
        .route_fn("/check", |request| async move {
            match request.headers().get("authorization").map(|value| value.as_bytes()) {
                Some(b"yes") => Reply::new(204).header("x-user", "ann"),
                _ => Reply::new(401).header("www-authenticate", "Bearer").body("who are you?"),
            }
        })
        .run();
    let config = format!(
        "allow = {{ clusters = ['auth'] }}\nconfig = {{ cluster = 'auth', path = '/check', timeout = '5s', pass = ['x-user'] }}\n[clusters.auth]\nendpoints = ['{auth}']"
    );
    let proxy = running(edge, "external-auth", &config, &app);
    let client = proxy.client().await;
    let passed = client.get("/").header("authorization", "yes").header("x-user", "forged").await;
    assert_eq!((passed.status, &passed.json()["headers"]["x-user"]), (200, &json!(["ann"])));
    let refused = client.get("/").await;
    assert_eq!((refused.status, refused.header("www-authenticate"), refused.text()), (401, Some("Bearer"), "who are you?"));
    auth.stop();
    assert_eq!(client.get("/").header("authorization", "yes").await.status, 503, "without an answer nobody passes");
    assert_eq!(app.requests().len(), 1);
}

matrix!(json_guard_says_what_is_wrong_and_where);
async fn json_guard_says_what_is_wrong_and_where(edge: Edge) {
    let app = origin().echo("/").run();
    let config = "config = { limit = 1000, rules = [{ path = 'items[].count', required = true, type = 'integer' }] }";
    let proxy = running(edge, "json-guard", config, &app);
    let client = proxy.client().await;
    let sound = r#"{"items":[{"count":1}]}"#;
    let post = |body: &'static str| client.post("/", body).header("content-type", "application/json");
    assert_eq!(post(sound).await.json()["body"], json!(sound));
    let wrong = post(r#"{"items":[{"count":1},{"count":"x"}]}"#).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("items[1].count"), "{}", wrong.text());
    assert_eq!(app.requests().len(), 1, "the application never sees what is wrong");
}

matrix!(word_filter_finds_words_across_pieces);
async fn word_filter_finds_words_across_pieces(edge: Edge) {
    let app = origin()
        .route_fn("/", |_| async {
            let (feed, streaming) = body::channel();
            tokio::spawn(async move {
                for piece in ["so da", "rn go", "od, DARN"] {
                    feed.send(piece).await;
                }
            });
            Reply::new(200).header("content-type", "text/plain").streaming(streaming)
        })
        .run();
    let proxy = running(edge, "word-filter", "config = { words = { darn = 'd**n' }, ignore-case = true }", &app);
    assert_eq!(proxy.client().await.get("/").await.text(), "so d**n good, d**n");
}

matrix!(usage_meter_counts_by_client);
async fn usage_meter_counts_by_client(edge: Edge) {
    let app = origin().route("/", "12345").run();
    let config = "allow = { stores = ['usage'] }\nconfig = { store = 'usage', header = 'x-customer', report-every = '20ms', forget-after = '1d' }\n[stores.usage]";
    let proxy = running(edge, "usage-meter", config, &app);
    let client = proxy.client().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").header("x-customer", "acme").await.status, 200);
    }
    let series = r#"usage_client_requests{filter="usage-meter",client="acme"}"#;
    let mut counted = None;
    for _ in 0..500 {
        counted = proxy.metric(series).await;
        if counted == Some(3.0) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("three requests were never counted: {counted:?}");
}
