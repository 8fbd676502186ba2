//! What a filter may do to an exchange, and what happens when it fails.

use serde_json::json;
use tamis_tests::{Edge, Origin, Proxy, guest, matrix, origin, refused, scenario};

fn with(edge: Edge, origin: &Origin, filter: &str, more: &str) -> Proxy {
    edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        filters = ["{filter}"]
        [filters.{filter}]
        module = "{}"
        {more}
        [clusters.origin]
        endpoints = ["{origin}"]
        "#,
        guest(filter)
    ))
}

matrix!(a_filter_answers_by_itself);
async fn a_filter_answers_by_itself(edge: Edge) {
    let origin = origin().route("/", "the origin's").run();
    let proxy = with(edge, &origin, "reply", "");
    let client = proxy.client().await;
    let answer = client.get("/").header("x-reply", "hi").await;
    assert_eq!((answer.status, answer.text(), answer.header("x-replied-by")), (418, "short and stout: hi\n", Some("reply")));
    assert_eq!(origin.requests().len(), 0);
    assert_eq!(client.get("/").await.text(), "the origin's", "without the field it lets pass");
}

matrix!(a_filter_answers_head_without_a_body);
async fn a_filter_answers_head_without_a_body(edge: Edge) {
    let origin = origin().route("/", "the origin's").run();
    let proxy = with(edge, &origin, "reply", "");
    let client = proxy.client().await;
    let answer = client.request("HEAD", "/").header("x-reply", "hi").await;
    assert_eq!((answer.status, answer.text()), (418, ""));
    assert_eq!(client.get("/").await.text(), "the origin's", "the connection is still good");
}

matrix!(a_filter_that_answers_leaves_the_body_unread);
async fn a_filter_that_answers_leaves_the_body_unread(edge: Edge) {
    let origin = origin().run();
    let proxy = with(edge, &origin, "reply", "");
    let answer = proxy.client().await.post("/", tamis_tests::body::pattern(1024 * 1024)).header("x-reply", "hi").whole().await;
    if let Ok(answer) = answer {
        assert_eq!(answer.status, 418);
    } else {
        assert!(edge.is_http1(), "HTTP/2 can answer before the body has come");
    }
    assert_eq!(proxy.access_log().line().await["status"], 418);
}

matrix!(a_filter_resets_an_exchange);
async fn a_filter_resets_an_exchange(edge: Edge) {
    for when in ["request", "response"] {
        let origin = origin().route("/", "the origin's").run();
        let proxy = with(edge, &origin, "reset", "");
        let client = proxy.client().await;
        assert!(client.get("/").header("x-reset", when).whole().await.is_err(), "there is no answer");
        let line = proxy.access_log().line().await;
        assert_eq!(line["reason"], "filter-reset", "{line}");
        if edge.is_http2() {
            assert_eq!(client.get("/").await.text(), "the origin's", "HTTP/2 resets the stream alone");
        }
    }
}

matrix!(a_filter_sees_the_request_as_it_is);
async fn a_filter_sees_the_request_as_it_is(edge: Edge) {
    let origin = origin().run();
    let proxy = with(edge, &origin, "peek", "");
    let request = proxy.client().await.post("/a/../b?c=d", "").header("x-many", "1").header("x-many", "2");
    let seen = request.header("x-request-id", "id-1").await.json();
    assert_eq!(seen["method"], "POST");
    assert_eq!((&seen["scheme"], &seen["authority"]), (&json!(edge.scheme()), &json!("edge.test")));
    assert_eq!((&seen["path"], &seen["query"], &seen["id"]), (&json!("/b"), &json!("c=d"), &json!("id-1")));
    let many: Vec<_> = seen["headers"].as_array().unwrap().iter().filter(|field| field[0] == "x-many").collect();
    assert_eq!(many, [&json!(["x-many", "1"]), &json!(["x-many", "2"])]);
    let connection = &seen["connection"];
    assert_eq!((&connection["source"], &connection["listener"]), (&json!("127.0.0.1"), &json!("edge")));
    assert_eq!(connection["local"], proxy.address().to_string());
    assert_eq!(connection["protocol"], if edge.is_http2() { "h2" } else { "http/1.1" });
    assert_eq!(connection["server-name"], if edge.tls { json!("edge.test") } else { json!(null) });
    assert_eq!(connection["tls-version"].is_string(), edge.tls);
    assert_eq!(connection["trusted"], false);
    assert_eq!(seen["destination"]["cluster"], "origin");
}

matrix!(a_filter_sees_the_source_that_a_trusted_peer_names);
async fn a_filter_sees_the_source_that_a_trusted_peer_names(edge: Edge) {
    let proxy = edge.proxy(format!(
        r#"
        [listeners.edge]
        filters = ["peek"]
        trusted = ["127.0.0.0/8", "10.0.0.0/8"]
        [filters.peek]
        module = "{}"
        "#,
        guest("peek")
    ));
    let client = proxy.client().await;
    for (claimed, source) in
        [("203.0.113.7", "203.0.113.7"), ("203.0.113.7, 10.0.0.1", "203.0.113.7"), ("6.6.6.6, 203.0.113.7", "203.0.113.7")]
    {
        let seen = client.get("/").header("x-forwarded-for", claimed).await.json();
        assert_eq!((&seen["connection"]["source"], &seen["connection"]["trusted"]), (&json!(source), &json!(true)), "{claimed}");
    }
}

/// The three ways to fail: the guest, the field that makes it fail, and what its configuration needs.
const FAILURES: [(&str, &str, &str); 3] =
    [("trap", "x-trap", ""), ("spin", "x-spin", "deadline = '5ms'"), ("greedy", "x-eat", "memory = '4MiB'\ndeadline = '2s'")];

matrix!(a_filter_that_fails_closed_is_500);
async fn a_filter_that_fails_closed_is_500(edge: Edge) {
    for (filter, field, more) in FAILURES {
        let origin = origin().route("/", "the origin's").run();
        let proxy = with(edge, &origin, filter, more);
        let client = proxy.client().await;
        let answer = client.get("/").header(field, "1").await;
        assert_eq!((answer.status, answer.reason()), (500, Some("filter-failed")), "{filter}");
        assert_eq!(origin.requests().len(), 0, "{filter}: nothing passes");
        assert_eq!(proxy.access_log().line().await["reason"], "filter-failed");
        assert_eq!(client.get("/").await.text(), "the origin's", "{filter}: the next exchange has a new instance");
    }
}

matrix!(a_filter_that_fails_open_lets_pass);
async fn a_filter_that_fails_open_lets_pass(edge: Edge) {
    for (filter, field, more) in FAILURES {
        let origin = origin().route("/", "the origin's").run();
        let proxy = with(edge, &origin, filter, &format!("{more}\non-failure = 'open'"));
        let client = proxy.client().await;
        for _ in 0..3 {
            let answer = client.get("/").header(field, "1").await;
            assert_eq!((answer.status, answer.text()), (200, "the origin's"), "{filter}");
        }
    }
}

matrix!(a_failing_filter_costs_the_others_nothing, http2, because "the exchanges share a connection");
async fn a_failing_filter_costs_the_others_nothing(edge: Edge) {
    let origin = origin().route("/", "the origin's").run();
    let proxy = with(edge, &origin, "trap", "trip = { enabled = false }");
    let client = proxy.client().await;
    let asked: Vec<_> = (0..50)
        .map(|number| {
            let request = client.get("/");
            let request = if number % 2 == 0 { request.header("x-trap", "now") } else { request };
            tokio::spawn(request.into_future())
        })
        .collect();
    for (number, answer) in asked.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().status, if number % 2 == 0 { 500 } else { 200 });
    }
}

scenario!(a_filter_that_refuses_its_configuration_stops_the_start);
async fn a_filter_that_refuses_its_configuration_stops_the_start() {
    let said = refused(format!(
        r#"[listeners.edge]
listen = "127.0.0.1:0"
filters = ["limits"]
[filters.limits]
module = "{}"
[[filters.limits.config.rules]]
limit = 1
[[filters.limits.config.rules]]
limit = "x"
"#,
        guest("refuse")
    ));
    assert!(said.contains("tamis.toml:9:9"), "the position of what is wrong: {said}");
    assert!(said.contains("expected a number, found \"x\""), "what the filter says: {said}");
    assert!(said.contains("limit = \"x\""), "the offending line: {said}");
}

scenario!(a_filter_that_never_ends_configuring_stops_the_start);
async fn a_filter_that_never_ends_configuring_stops_the_start() {
    let said = refused(format!(
        r#"[listeners.edge]
listen = "127.0.0.1:0"
filters = ["spin"]
[filters.spin]
module = "{}"
configure-deadline = "50ms"
config = {{ spin-in-configure = true }}
"#,
        guest("spin")
    ));
    assert!(said.contains("spin") && said.contains("50"), "which filter, and which deadline: {said}");
}

scenario!(a_module_that_is_none_stops_the_start);
async fn a_module_that_is_none_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [
        ("missing.wasm", None, "missing.wasm"),
        ("text.wasm", Some(b"text".as_slice()), "text.wasm"),
        ("empty.wasm", Some(b"\0asm\x01\0\0\0".as_slice()), "empty.wasm"),
    ];
    for (name, content, expected) in rows {
        let file = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let module = file.display();
        let said =
            refused(format!("[listeners.edge]\nlisten = '127.0.0.1:0'\nfilters = ['f']\n[filters.f]\nmodule = '{module}'\n"));
        assert!(said.contains(expected), "which module: {said}");
        assert!(said.contains("tamis.toml:5"), "where it is named: {said}");
    }
}

scenario!(an_unknown_builtin_stops_the_start);
async fn an_unknown_builtin_stops_the_start() {
    let said = refused("[listeners.edge]\nlisten = '127.0.0.1:0'\nfilters = ['f']\n[filters.f]\nmodule = 'builtin:rooter'\n");
    assert!(said.contains("builtin:rooter") && said.contains("router"), "what there is: {said}");
}
