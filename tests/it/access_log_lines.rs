//! How lines of the access log look, which exchanges have one, and what they never show.

use serde_json::{Value, json};
use tamis_tests::{Edge, Origin, Proxy, Reply, guest, matrix, origin, refused, scenario};

/// An edge in front of an origin, with this in its `[access-log]` and behind it.
fn logging(edge: Edge, origin: &Origin, access_log: &str) -> Proxy {
    edge.proxy(format!(
        "[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']\n[access-log]\n{access_log}\n"
    ))
}

fn answering() -> Origin {
    let answer = |_| async { Reply::new(201).header("x-served-by", "a \"quoted\" name").header("set-cookie", "secret") };
    origin().route("*", "here").route_fn("/made", answer).run()
}

matrix!(a_template_says_what_a_line_holds);
async fn a_template_says_what_a_line_holds(edge: Edge) {
    let origin = answering();
    let template = r#"format = '{method} {path} {status} {reason} {cluster} {endpoint} {attempts} {scheme} {tls-version} {server-name|none} "{header:user-agent}" "{response-header:x-served-by}" {note:nothing} {{}}'"#;
    let proxy = logging(edge, &origin, template);
    let client = proxy.client().await;
    client.get("/made?a=b").header("user-agent", "a \"browser\"").await;
    let (tls, name) = if edge.tls { ("TLSv1.3", "edge.test") } else { ("-", "none") };
    let expected = format!(
        r#"GET /made 201 upstream origin {origin} 1 {} {tls} {name} "a \"browser\"" "a \"quoted\" name" - {{}}"#,
        edge.scheme()
    );
    assert_eq!(proxy.access_log().text().await, expected);
}

matrix!(the_formats_of_apache_have_names);
async fn the_formats_of_apache_have_names(edge: Edge) {
    let origin = answering();
    let proxy = logging(edge, &origin, "format = 'combined'");
    let client = proxy.client().await;
    client.get("/a?token=secret").header("user-agent", "curl").header("referer", "https://a.test/?code=1&b=2").await;
    let line = proxy.access_log().text().await;
    let version = if edge.is_http2() { "HTTP/2.0" } else { "HTTP/1.1" };
    let (start, end) = line.split_once(" - - [").expect("as Apache writes it");
    assert_eq!(start, "127.0.0.1");
    let (time, end) = end.split_once("] ").expect("as Apache writes it");
    assert!(time.ends_with(" +0000") && time.matches('/').count() == 2 && time.len() == 26, "{time}");
    assert_eq!(end, format!(r#""GET /a {version}" 200 4 "https://a.test/?code=[redacted]&b=2" "curl""#));
}

scenario!(nothing_that_a_client_sends_forges_a_line_of_text);
async fn nothing_that_a_client_sends_forges_a_line_of_text() {
    let origin = answering();
    let template = "format = '\"{header:x-a}\" {header:x-a} {request-id} {path}'";
    let proxy = logging(Edge::HTTP1_PLAIN, &origin, template);
    let client = proxy.client().await;
    client.get("/%0A%22x").header("x-a", "x\" 200\tupstream \\").header("x-request-id", "1 2").await;
    let expected = r#""x\" 200\x09upstream \\" x\"\x20200\x09upstream\x20\\ 1\x202 /%0A%22x"#;
    assert_eq!(proxy.access_log().text().await, expected);
}

matrix!(a_json_line_has_the_fields_that_are_asked_for);
async fn a_json_line_has_the_fields_that_are_asked_for(edge: Edge) {
    let origin = answering();
    let access_log = r#"
        only = ["status", "query", "scheme"]
        fields = { agent = "{header:user-agent}", what = "{method} {path}", ms = "{duration-ms}", none = "{header:x-none}" }
    "#;
    let proxy = logging(edge, &origin, access_log);
    let client = proxy.client().await;
    client.get("/a?b=1&token=secret&c").header("user-agent", "curl\"").await;
    let line = proxy.access_log().line().await;
    let names: Vec<_> = line.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["agent", "ms", "query", "scheme", "status", "what"], "{line}");
    assert_eq!(line["query"], "b=1&token=[redacted]&c");
    assert_eq!((&line["agent"], &line["what"], &line["status"]), (&json!("curl\""), &json!("GET /a"), &json!(200)));
    assert!(line["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
}

matrix!(a_line_tells_what_filters_and_endpoints_did);
async fn a_line_tells_what_filters_and_endpoints_did(edge: Edge) {
    let bad = origin().route_fn("/", |_| async { Reply::new(503) }).run();
    let proxy = edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        filters = ["stamp", "reply"]
        [clusters.origin]
        endpoints = ["{bad}"]
        retry = {{ attempts = 2, on = ["503"], backoff = "1ms" }}
        [filters.stamp]
        module = "{}"
        [filters.reply]
        module = "{}"
        [access-log]
        only = ["path", "filters", "upstream_attempts"]
        fields = {{ text = "{{filters}} {{upstream-attempts}}" }}
        "#,
        guest("stamp-a"),
        guest("reply"),
    ));
    let client = proxy.client().await;
    client.get("/").header("x-reply", "x").await;
    client.get("/").await;
    let lines = proxy.access_log().lines(2).await;
    let hooks = |line: &Value| -> Vec<String> {
        let hooks = line["filters"].as_array().expect("a list");
        assert!(hooks.iter().all(|hook| hook["us"].as_u64().is_some()), "{line}");
        hooks.iter().map(|hook| format!("{}:{}:{}", hook["filter"], hook["hook"], hook["result"]).replace('"', "")).collect()
    };
    let replied = hooks(&lines[0]);
    assert!(replied.contains(&"reply:request:replied".to_owned()), "{replied:?}");
    assert_eq!(lines[0]["upstream_attempts"], json!([]));
    assert!(hooks(&lines[1]).contains(&"reply:request:next".to_owned()), "{:?}", hooks(&lines[1]));
    let attempts = lines[1]["upstream_attempts"].as_array().expect("a list");
    let told: Vec<_> = attempts.iter().map(|attempt| (&attempt["endpoint"], &attempt["status"])).collect();
    let endpoint = Value::from(bad.to_string());
    assert_eq!(told, [(&endpoint, &json!(503)), (&endpoint, &json!(503))]);
    let text = lines[1]["text"].as_str().expect("a text");
    assert!(text.contains("reply/request=next") && text.ends_with(&format!("{bad}=503,{bad}=503")), "{text}");
}

scenario!(what_is_redacted_is_in_no_line);
async fn what_is_redacted_is_in_no_line() {
    let origin = answering();
    let access_log = r#"
        fields = { auth = "{header:authorization}", cookie = "{cookie:session}", own = "{header:x-own}", query = "{query}", of = "{query:pin}", answer = "{response-header:set-cookie}" }
        [redact]
        fields = ["authorization", "cookie", "set-cookie", "X-Own"]
        query = ["pin"]
    "#;
    let proxy = logging(Edge::HTTP1_PLAIN, &origin, access_log);
    let request = proxy.client().await;
    let request = request.get("/made?%70in=secret&pin=secret&a=1").header("authorization", "Bearer secret");
    request.header("cookie", "a=1; session=secret").header("x-own", "secret").await;
    let line = proxy.access_log().line().await;
    assert!(!line.to_string().contains("secret"), "{line}");
    for name in ["auth", "cookie", "own", "of", "answer"] {
        assert_eq!(line[name], "[redacted]", "{name} of {line}");
    }
    assert_eq!(line["query"], "%70in=[redacted]&pin=[redacted]&a=1");
}

scenario!(only_what_is_worth_it_has_a_line);
async fn only_what_is_worth_it_has_a_line() {
    let bad = |_| async { Reply::new(500) };
    let origin = origin().route("/", "well").route_fn("/bad", bad).run();
    let proxy = logging(Edge::HTTP1_PLAIN, &origin, "when = { status-min = 500 }");
    let client = proxy.client().await;
    for path in ["/", "/", "/nothing", "/bad", "/"] {
        client.get(path).await;
    }
    let gone = origin.stop();
    assert_eq!(client.get("/").await.status, 502);
    let statuses: Vec<Value> = proxy.access_log().lines(2).await.iter().map(|line| line["status"].clone()).collect();
    assert_eq!(statuses, [500, 502], "{gone}");
    let written = proxy.metric("tamis_access_log_lines_total").await;
    assert_eq!(written, Some(2.0));
}

scenario!(a_failure_of_the_proxys_has_a_line_whatever_is_drawn);
async fn a_failure_of_the_proxys_has_a_line_whatever_is_drawn() {
    let origin = answering();
    let proxy = logging(Edge::HTTP1_PLAIN, &origin, "sample = 0.0");
    let client = proxy.client().await;
    for _ in 0..20 {
        client.get("/").await;
    }
    origin.stop();
    client.get("/last").await;
    let line = proxy.access_log().line().await;
    assert_eq!((&line["path"], &line["reason"]), (&"/last".into(), &"connect-failed".into()));
}

scenario!(a_listener_can_do_without_lines);
async fn a_listener_can_do_without_lines() {
    let origin = answering();
    let toml = format!(
        "[listeners.edge]\ncluster = 'origin'\naccess-log = 'off'\n[listeners.other]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']\n"
    );
    let proxy = tamis_tests::proxy(toml);
    proxy.client().await.get("/quiet").await;
    let other = tamis_tests::client::connect(proxy.listener("other")).open().await;
    other.get("/told").await;
    assert_eq!(proxy.access_log().line().await["path"], "/told");
}

scenario!(a_full_disk_costs_no_request_and_is_counted);
async fn a_full_disk_costs_no_request_and_is_counted() {
    let origin = answering();
    let proxy = logging(Edge::HTTP1_PLAIN, &origin, "output = '/dev/full'");
    let client = proxy.client().await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.status, 200);
    }
    proxy.metric_becomes("tamis_access_log_dropped_total{why=\"output\"}", |lost| lost == 20.0).await;
    assert_eq!(proxy.metric("tamis_access_log_lines_total").await, Some(0.0));
}

scenario!(a_log_that_was_moved_away_is_opened_anew);
async fn a_log_that_was_moved_away_is_opened_anew() {
    let origin = answering();
    let proxy = Edge::HTTP1_PLAIN.forward_to(&origin);
    let client = proxy.client().await;
    client.get("/one").await;
    assert_eq!(proxy.access_log().line().await["path"], "/one");
    let (log, moved) = (proxy.folder().join("access.log"), proxy.folder().join("access.log.1"));
    std::fs::rename(&log, &moved).unwrap();
    proxy.handle().reopen_log();
    while !log.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    client.get("/two").await;
    assert_eq!(proxy.access_log().line().await["path"], "/two");
    assert_eq!(std::fs::read_to_string(&moved).unwrap().lines().count(), 1);
}

scenario!(a_reload_changes_how_lines_look);
async fn a_reload_changes_how_lines_look() {
    let origin = answering();
    let toml = |format: &str| {
        format!(
            "[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']\n[access-log]\nformat = '{format}'\n"
        )
    };
    let proxy = Edge::HTTP1_PLAIN.proxy(toml("one {path}"));
    let client = proxy.client().await;
    proxy.rewrite(toml("two {path}"));
    loop {
        client.get("/").await;
        if proxy.access_log().texts().iter().any(|line| line == "two /") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let lines = proxy.access_log().texts();
    assert!(lines.iter().all(|line| line == "one /" || line == "two /"), "{lines:?}");
    let at = lines.iter().position(|line| line == "two /").unwrap();
    assert!(lines[at..].iter().all(|line| line == "two /"), "one thread writes them in their order: {lines:?}");
}

scenario!(a_template_with_a_mistake_is_refused_at_its_place);
async fn a_template_with_a_mistake_is_refused_at_its_place() {
    let said = refused("[listeners.edge]\nlisten = '127.0.0.1:0'\n[access-log]\nformat = '{methd} {status}'\n");
    assert!(said.contains("tamis.toml:4:10") && said.contains("did you mean `{method}`?"), "{said}");
}
