//! A request reaches the origin as it was sent, and the answer comes back as it was given.

use serde_json::json;
use tamis_tests::{Edge, Reply, matrix, origin};

matrix!(a_request_and_its_answer_pass);
async fn a_request_and_its_answer_pass(edge: Edge) {
    let origin = origin().route("/hello", "hello").run();
    let proxy = edge.forward_to(&origin);
    let answer = proxy.client().await.get("/hello").await;
    assert_eq!((answer.status, answer.text()), (200, "hello"));
    assert_eq!(answer.reason(), None, "an upstream's answer carries no reason of the proxy's");
}

matrix!(every_method_passes);
async fn every_method_passes(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"] {
        let answer = client.request(method, "/").await;
        assert_eq!((answer.status, &answer.json()["method"]), (200, &json!(method)));
    }
}

matrix!(every_status_passes);
async fn every_status_passes(edge: Edge) {
    const STATUSES: [u16; 12] = [200, 201, 202, 206, 301, 404, 409, 418, 429, 500, 503, 599];
    let origin = STATUSES.iter().fold(origin(), |origin, status| {
        let status = *status;
        origin.route_fn(&format!("/{status}"), move |_| async move { Reply::new(status).body("body") })
    });
    let origin = origin.run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    for status in STATUSES {
        let answer = client.get(&format!("/{status}")).await;
        assert_eq!((answer.status, answer.text(), answer.reason()), (status, "body", None));
    }
}

matrix!(path_and_query_pass_unchanged);
async fn path_and_query_pass_unchanged(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    for target in ["/", "/a/b.c/", "/a?", "/a?b=c&b=d", "/%C3%BC/%20", "/a?x=../..//%2F", "/a;v=1/b:c@d!$&'()*+,="] {
        assert_eq!(client.get(target).await.json()["target"], target);
    }
}

matrix!(fields_pass_both_ways);
async fn fields_pass_both_ways(edge: Edge) {
    let origin = origin()
        .route_fn("/", |request| async move {
            let sent: Vec<_> =
                request.headers().get_all("x-many").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
            assert_eq!(sent, ["one", "two", "three, four"]);
            Reply::new(200).header("x-answer", "a").header("set-cookie", "a=1").header("set-cookie", "b=2")
        })
        .run();
    let proxy = edge.forward_to(&origin);
    let request = proxy.client().await.get("/").header("x-many", "one").header("x-many", "two").header("x-many", "three, four");
    let answer = request.await;
    assert_eq!((answer.status, answer.header("x-answer")), (200, Some("a")));
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
}

matrix!(bytes_that_are_no_text_pass_in_a_field);
async fn bytes_that_are_no_text_pass_in_a_field(edge: Edge) {
    let origin = origin()
        .route_fn("/", |request| async move {
            let sent = request.headers()["x-bytes"].as_bytes().to_vec();
            Reply::new(if sent == b"caf\xe9" { 200 } else { 500 })
        })
        .run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let answer = client.get("/").header_bytes("x-bytes", b"caf\xe9").await;
    assert_eq!(answer.status, 200);
}

matrix!(a_body_passes);
async fn a_body_passes(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.forward_to(&origin);
    let answer = proxy.client().await.post("/", "some text").await.json();
    assert_eq!((&answer["body"], &answer["headers"]["content-length"]), (&json!("some text"), &json!(["9"])));
}

matrix!(an_empty_body_stays_empty);
async fn an_empty_body_stays_empty(edge: Edge) {
    let origin = origin().echo("/echo").route("/empty", "").run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let seen = client.get("/echo").await.json();
    assert_eq!(seen["body"], "");
    assert_eq!(seen["headers"].get("transfer-encoding"), None, "a request without a body is not given an empty one: {seen}");
    assert_eq!(client.post("/echo", "").await.json()["headers"]["content-length"], json!(["0"]));
    let answer = client.get("/empty").await;
    assert_eq!((answer.status, answer.text(), answer.header("content-length")), (200, "", Some("0")));
}

matrix!(head_has_the_fields_and_no_body);
async fn head_has_the_fields_and_no_body(edge: Edge) {
    let origin = origin().route("/hello", "hello").run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let answer = client.request("HEAD", "/hello").await;
    assert_eq!((answer.status, answer.header("content-length"), answer.text()), (200, Some("5"), ""));
    assert_eq!(client.get("/hello").await.text(), "hello", "the connection is still good");
}

matrix!(answers_without_content_pass);
async fn answers_without_content_pass(edge: Edge) {
    let origin = origin()
        .route_fn("/204", |_| async { Reply::new(204).header("x-kept", "yes") })
        .route_fn("/304", |_| async { Reply::new(304).header("etag", "\"1\"") })
        .route("/hello", "hello")
        .run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let no_content = client.get("/204").await;
    assert_eq!((no_content.status, no_content.header("x-kept"), no_content.text()), (204, Some("yes"), ""));
    assert_eq!(no_content.header("content-length"), None);
    let not_modified = client.get("/304").await;
    assert_eq!((not_modified.status, not_modified.header("etag"), not_modified.text()), (304, Some("\"1\""), ""));
    assert_eq!(client.get("/hello").await.text(), "hello", "the connection is still good");
}

matrix!(many_requests_use_one_connection);
async fn many_requests_use_one_connection(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    for number in 0..50 {
        let answer = client.post("/", number.to_string()).await;
        assert_eq!(answer.json()["body"], number.to_string());
    }
    assert!(client.is_open());
}

matrix!(requests_side_by_side_get_their_own_answers, http2, because "HTTP/1 has one request at a time on a connection");
async fn requests_side_by_side_get_their_own_answers(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let asked: Vec<_> =
        (0..100).map(|number: u32| (number, tokio::spawn(client.post("/", number.to_string()).into_future()))).collect();
    for (number, answer) in asked {
        assert_eq!(answer.await.unwrap().json()["body"], number.to_string());
    }
}

matrix!(requests_in_a_row_are_answered_in_order, http1, because "HTTP/2 has no pipelining");
async fn requests_in_a_row_are_answered_in_order(edge: Edge) {
    let origin = origin().route("/one", "1").route("/two", "22").route("/three", "333").run();
    let proxy = edge.forward_to(&origin);
    let mut raw = proxy.raw().await;
    raw.send("GET /one HTTP/1.1\r\nhost: a\r\n\r\nGET /two HTTP/1.1\r\nhost: a\r\n\r\nGET /three HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    for expected in ["1", "22", "333"] {
        assert_eq!(raw.answer().await.1, expected);
    }
}

matrix!(an_http_1_0_client_is_served, http1, because "the version is one of HTTP/1");
async fn an_http_1_0_client_is_served(edge: Edge) {
    let origin = origin().route("/hello", "hello").run();
    let proxy = edge.forward_to(&origin);
    let mut raw = proxy.raw().await;
    raw.send("GET /hello HTTP/1.0\r\nhost: a\r\n\r\n").await;
    let (head, body) = raw.answer().await;
    assert_eq!((head.status, body.as_str()), (200, "hello"));
    raw.closed().await;
}

matrix!(an_absolute_target_is_understood, http1, because "in HTTP/2 every target is absolute");
async fn an_absolute_target_is_understood(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = edge.forward_to(&origin);
    let mut raw = proxy.raw().await;
    raw.send("GET http://a.test/x?y HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
    let (head, body) = raw.answer().await;
    let seen: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((head.status, &seen["target"], &seen["headers"]["host"]), (200, &json!("/x?y"), &json!(["a.test"])));
}

matrix!(the_upstream_may_speak_http_2);
async fn the_upstream_may_speak_http_2(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        [clusters.origin]
        endpoints = ["{origin}"]
        protocol = "h2"
        "#
    ));
    let answer = proxy.client().await.post("/", "some text").await.json();
    assert_eq!(
        (&answer["version"], &answer["body"], &answer["method"]),
        (&json!("HTTP/2.0"), &json!("some text"), &json!("POST"))
    );
}

matrix!(an_endpoint_may_be_a_name);
async fn an_endpoint_may_be_a_name(edge: Edge) {
    let origin = origin().route("/hello", "hello").run();
    let proxy = edge.proxy(format!(
        r#"
        workers = 1
        [listeners.edge]
        cluster = "origin"
        [clusters.origin]
        endpoints = ["localhost:{}"]
        balance = "round-robin"
        "#,
        origin.address.port()
    ));
    let client = proxy.client().await;
    for _ in 0..2 {
        let answer = client.get("/hello").await;
        if answer.status == 200 {
            assert_eq!(answer.text(), "hello");
            return;
        }
        assert_eq!(answer.reason(), Some("connect-failed"), "localhost may also be ::1, where nobody listens");
    }
    panic!("the name led to the origin in neither of two requests");
}

matrix!(balance_spreads_over_endpoints);
async fn balance_spreads_over_endpoints(edge: Edge) {
    let origins = [origin().route("/", "").run(), origin().route("/", "").run()];
    let proxy = edge.proxy(format!(
        r#"
        workers = 1
        [listeners.edge]
        cluster = "both"
        [clusters.both]
        endpoints = ["{}", "{}"]
        balance = "round-robin"
        "#,
        origins[0], origins[1]
    ));
    let client = proxy.client().await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!(origins.each_ref().map(|origin| origin.requests().len()), [5, 5]);
}

matrix!(head_of_an_answer_of_the_proxys_own_has_no_body);
async fn head_of_an_answer_of_the_proxys_own_has_no_body(edge: Edge) {
    let proxy = edge.proxy("[listeners.edge]\n");
    let client = proxy.client().await;
    let length = client.get("/").await.text().len().to_string();
    let answer = client.request("HEAD", "/").await;
    assert_eq!((answer.status, answer.reason(), answer.text()), (404, Some("no-route"), ""));
    assert_eq!(answer.header("content-length"), Some(&*length), "what GET would have sent");
    assert!(client.is_open());
}
