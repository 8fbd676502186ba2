//! Exchanges as those who watch see them.

use serde_json::{Value, json};
use tamis_tests::command::{Running, stdout};
use tamis_tests::{Answer, Edge, Proxy, guest, origin, scenario};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

const TAMIS: &str = env!("CARGO_BIN_EXE_tamis-cli");

/// What a client of `/tap` reads, line by line.
struct Watching {
    lines: Lines<BufReader<OwnedReadHalf>>,
    _sender: tokio::net::tcp::OwnedWriteHalf,
}

impl Watching {
    /// Watches from the moment this returns.
    async fn begin(proxy: &Proxy, query: &str) -> Self {
        let stream = TcpStream::connect(proxy.admin_address()).await.expect("connected");
        let (reader, mut sender) = stream.into_split();
        let host = proxy.admin_address();
        sender.write_all(format!("GET /tap{query} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await.expect("sent");
        let mut lines = BufReader::new(reader).lines();
        loop {
            let line = lines.next_line().await.expect("readable").expect("it goes on");
            if line == ": watching" {
                return Self { lines, _sender: sender };
            }
        }
    }

    /// The next event and its data.
    async fn next(&mut self) -> (String, Value) {
        let mut kind = String::new();
        loop {
            let line = self.lines.next_line().await.expect("readable").expect("it goes on");
            if let Some(name) = line.strip_prefix("event: ") {
                name.clone_into(&mut kind);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (kind, serde_json::from_str(data).expect("an event is JSON"));
            }
        }
    }
}

async fn refused(proxy: &Proxy, query: &str) -> Answer {
    proxy.admin(&format!("/tap{query}")).await
}

scenario!(an_exchange_is_shown_with_everything_that_happened_in_it);
async fn an_exchange_is_shown_with_everything_that_happened_in_it() {
    let origin = origin().route("/hello", "hello").run();
    let module = guest("stamp-a");
    let proxy = Edge::HTTP1_PLAIN.proxy(format!(
        r#"
        [listeners.edge]
        filters = ["stamp"]
        cluster = "origin"
        [clusters.origin]
        endpoints = ["{origin}"]
        [filters.stamp]
        module = "{module}"
        "#
    ));
    let mut watching = Watching::begin(&proxy, "?bodies=4&match=path%3D/he*").await;
    let client = proxy.client().await;
    assert_eq!(client.get("/other").await.status, 404);
    let request = client.post("/hello?token=abc", "question").header("authorization", "Bearer secret").header("x-a", "b");
    assert_eq!(request.await.status, 200);
    let (kind, event) = watching.next().await;
    assert_eq!((kind.as_str(), &event["path"], &event["method"]), ("exchange", &json!("/hello"), &json!("POST")));
    assert_eq!((&event["status"], &event["cluster"], &event["attempts"]), (&json!(200), &json!("origin"), &json!(1)));
    let headers = event["request"]["headers"].as_array().expect("fields");
    assert!(headers.contains(&json!(["authorization", "[redacted]"])) && headers.contains(&json!(["x-a", "b"])), "{event}");
    assert!(!event.to_string().contains("secret") && !event.to_string().contains("abc"), "{event}");
    assert_eq!((&event["request"]["body"], &event["request"]["body_cut"]), (&json!("ques"), &json!(true)));
    assert_eq!((&event["response"]["body"], &event["response_bytes"]), (&json!("hell"), &json!(5)));
    let headers = event["response"]["headers"].as_array().expect("fields");
    assert!(headers.contains(&json!(["x-stamp", "a"])), "{event}");
    let stamp = &event["filters"][0];
    assert_eq!((&stamp["name"], &stamp["verdict"]), (&json!("stamp"), &json!("next")), "{event}");
    assert!(stamp["version"].as_str().is_some_and(|hash| hash.starts_with("sha256:")) && stamp["us"].is_u64(), "{event}");
    let attempt = &event["tries"][0];
    assert_eq!((&attempt["endpoint"], &attempt["status"]), (&json!(origin.to_string()), &json!(200)), "{event}");
}

scenario!(a_raw_connection_is_shown_when_it_has_ended);
async fn a_raw_connection_is_shown_when_it_has_ended() {
    let origin = crate::tcp::named("raw").await;
    let proxy = Edge::HTTP1_PLAIN.proxy(format!(
        "[listeners.edge]\nprotocol = 'tcp'\ncluster = 'origin'\nfilters = ['raw']\n[clusters.origin]\nendpoints = ['{origin}']\n\
         [filters.raw]\nmodule = '{}'\n",
        guest("raw-tcp")
    ));
    let mut watching = Watching::begin(&proxy, "?bodies=4&match=cluster%3Dorigin").await;
    assert_eq!(crate::tcp::say(proxy.address(), b"hello").await, b"raw:hello");
    let (_, event) = watching.next().await;
    assert_eq!((&event["protocol"], &event["method"], &event["path"]), (&json!("tcp"), &json!(""), &json!("")), "{event}");
    assert_eq!((&event["request_bytes"], &event["response_bytes"]), (&json!(5), &json!(9)), "{event}");
    assert_eq!((&event["reason"], &event["endpoint"]), (&json!("upstream"), &json!(origin.to_string())), "{event}");
    assert_eq!((&event["filters"][0]["name"], &event["notes"]["raw"]), (&json!("raw"), &json!("passed")), "{event}");
}

scenario!(an_expression_that_is_none_says_what_was_expected);
async fn an_expression_that_is_none_says_what_was_expected() {
    let proxy = Edge::HTTP1_PLAIN.proxy("[listeners.edge]\n[admin.tap]\nbody-bytes = '1KiB'");
    let wrong = [
        ("?match=cluser%3Da", "expected one of listener, cluster"),
        ("?match=status%3D5x", "such as `503` or `5xx`"),
        ("?sample=2", "a share above 0"),
        ("?bodies=1025", "bytes from 0 to 1024 (admin.tap.body-bytes)"),
        ("?limit=0", "at least 1"),
        ("?max=1", "expected a query of `match`"),
    ];
    for (query, said) in wrong {
        let answer = refused(&proxy, query).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text().contains(said), "{query}: {}", answer.text());
    }
}

scenario!(only_so_many_watch_at_once_and_whoever_leaves_makes_room);
async fn only_so_many_watch_at_once_and_whoever_leaves_makes_room() {
    let proxy = Edge::HTTP1_PLAIN.proxy("[listeners.edge]\n[admin.tap]\nwatchers = 1");
    let first = Watching::begin(&proxy, "").await;
    let answer = refused(&proxy, "").await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("admin.tap.watchers"), "{}", answer.text());
    drop(first);
    while refused(&proxy, "?match=status%3D5x").await.status == 400 && head(&proxy).await != 200 {
        tokio::task::yield_now().await;
    }
}

/// The status of a HEAD, which does not end up watching.
async fn head(proxy: &Proxy) -> u16 {
    proxy.operator().await.request("HEAD", "/tap").await.status
}

scenario!(what_is_shown_is_not_for_everybody);
async fn what_is_shown_is_not_for_everybody() {
    let proxy = Edge::HTTP1_PLAIN.proxy("[listeners.edge]");
    let page = proxy.operator().await.get("/tap").header("sec-fetch-site", "cross-site").await;
    assert_eq!(page.status, 403);
    let opened = proxy.operator().await.get("/tap").header("sec-fetch-site", "none").await;
    assert_eq!(opened.status, 403);
}

scenario!(who_does_not_read_is_told_what_was_lost_and_holds_nobody_up);
async fn who_does_not_read_is_told_what_was_lost_and_holds_nobody_up() {
    let origin = origin().route("/", vec![b'a'; 60_000]).run();
    let proxy = Edge::HTTP1_PLAIN.proxy(format!(
        "[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']\n[admin.tap]\nqueue = 1"
    ));
    let mut watching = Watching::begin(&proxy, "?bodies=60000").await;
    let client = proxy.client().await;
    // Far more than the queue and all the buffers on the way hold.
    while proxy.metric("tamis_tap_dropped_total").await.unwrap_or(0.0) < 3.0 {
        assert_eq!(client.get("/").await.status, 200);
    }
    loop {
        let (kind, data) = watching.next().await;
        if kind == "lost" {
            assert!(data["count"].as_u64().is_some_and(|count| count > 0), "{data}");
            return;
        }
    }
}

scenario!(the_command_line_watches);
async fn the_command_line_watches() {
    let origin = origin().route("/hello", "hello").run();
    let proxy = Edge::HTTP1_PLAIN.forward_to(&origin);
    let admin = format!("http://{}", proxy.admin_address());
    let mut lines = Running::start(TAMIS, &["tap", "status=2xx", "--limit", "1", "--admin", &admin]);
    lines.logs("watching").await;
    let mut json = Running::start(TAMIS, &["tap", "--json", "--limit", "2", "--admin", &admin]);
    json.logs("watching").await;
    let client = proxy.client().await;
    assert_eq!((client.get("/none").await.status, client.get("/hello").await.status), (404, 200));
    let line = lines.prints("/hello").await;
    assert!(line.contains("GET") && line.contains(" 200 ") && line.contains("origin"), "{line}");
    assert_eq!(lines.exit_code().await, Some(0));
    let first: Value = serde_json::from_str(&json.prints("/none").await).expect("a line is JSON");
    assert_eq!(first["status"], 404);
    json.prints("/hello").await;
    assert_eq!(json.exit_code().await, Some(0));
    let wrong = tamis_tests::command::output(TAMIS, &["tap", "clusters=a", "--admin", &admin]).await;
    assert_eq!((wrong.status.code(), stdout(&wrong)), (Some(1), ""));
}
