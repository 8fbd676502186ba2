//! Filters are replaced through the admin while requests flow: what is pushed goes live whole or not at all, and there is
//! a way back.

use serde_json::{Value, json};
use tamis_tests::guests::Watched;
use tamis_tests::{Answer, Edge, Origin, Proxy, guest, matrix, origin, scenario};

/// `stamp` with this module on a listener of its own origin, and what else the scenario wants.
fn stamping(origin: &Origin, module: &str, more: &str) -> String {
    format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        filters = ["stamp"]
        [clusters.origin]
        endpoints = ["{origin}"]
        [filters.stamp]
        module = "{module}"
        {more}
        "#
    )
}

/// What every answer is stamped with.
async fn stamp(proxy: &Proxy) -> Option<String> {
    proxy.client().await.get("/").await.header("x-stamp").map(str::to_owned)
}

async fn put(proxy: &Proxy, path: &str, body: impl Into<Vec<u8>>) -> Answer {
    proxy.operator().await.request("PUT", path).body(body.into()).await
}

async fn load(proxy: &Proxy, name: &str) -> Answer {
    put(proxy, "/filters/stamp/module", guest(name).bytes()).await
}

async fn rollback(proxy: &Proxy, body: &'static str) -> Answer {
    proxy.operator().await.post("/filters/stamp/rollback", body).await
}

fn error(answer: &Answer) -> String {
    answer.json()["error"].as_str().unwrap_or_else(|| panic!("an error says why: {}", answer.text())).to_owned()
}

fn versions(filter: &Value) -> Vec<u64> {
    filter["history"].as_array().expect("a history").iter().filter_map(|version| version["version"].as_u64()).collect()
}

matrix!(a_pushed_module_goes_live);
async fn a_pushed_module_goes_live(edge: Edge) {
    let origin = origin().route("/", "").run();
    let proxy = edge.proxy(stamping(&origin, &guest("stamp-a").to_string(), ""));
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.header("x-stamp"), Some("a"));
    let before = proxy.filter("stamp").await;
    assert_eq!((&before["from"]["module"], &before["version"], &before["history"]), (&json!("file"), &json!(null), &json!([])));
    let answer = load(&proxy, "stamp-b").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(client.get("/").await.header("x-stamp"), Some("b"), "it is live when the push is answered");
    let (said, after) = (answer.json(), proxy.filter("stamp").await);
    assert_eq!((&said["hash"], &said["previous_hash"]), (&after["hash"], &before["hash"]));
    assert_ne!(after["hash"], before["hash"]);
    assert_eq!((&said["version"], &said["kept"]), (&json!(2), &json!(false)));
    assert_eq!((&after["from"], &after["swaps"]), (&json!({ "module": "pushed", "config": "file" }), &json!(1)));
    assert_eq!(versions(&after), [2, 1]);
    assert_eq!(proxy.admin("/filters/stamp").await.json(), after);
}

scenario!(going_back_and_forth);
async fn going_back_and_forth() {
    let origin = origin().route("/", "").run();
    let proxy = Edge::HTTP1_PLAIN.proxy(stamping(&origin, &guest("stamp-a").to_string(), ""));
    let pushed = load(&proxy, "stamp-b").await.json()["hash"].as_str().expect("a hash").to_owned();
    assert_eq!(put(&proxy, "/filters/stamp/config", "{}").await.status, 200);
    assert_eq!(put(&proxy, "/filters/stamp/module", guest("stamp-a").bytes()).await.status, 200);
    assert_eq!(stamp(&proxy).await.as_deref(), Some("a"));
    for (version, stamped) in [(3, "b"), (2, "b"), (1, "a")] {
        let answer = rollback(&proxy, "").await;
        assert_eq!((answer.status, &answer.json()["version"]), (200, &json!(version)), "{}", answer.text());
        assert_eq!(stamp(&proxy).await.as_deref(), Some(stamped), "version {version}");
    }
    let answer = rollback(&proxy, "").await;
    assert_eq!(answer.status, 409);
    assert!(error(&answer).contains("nothing was live before version 1"), "{}", error(&answer));
    assert_eq!(rollback(&proxy, r#"{"to": 2}"#).await.json()["hash"], json!(pushed));
    assert_eq!(stamp(&proxy).await.as_deref(), Some("b"));
    let by_hash = json!({ "to": pushed[..20] }).to_string();
    let answer = proxy.operator().await.post("/filters/stamp/rollback", by_hash).await;
    assert_eq!((answer.status, &answer.json()["version"]), (200, &json!(3)), "the latest with this module");
    for wrong in [r#"{"to": 99}"#, r#"{"to": "sha256:00000000000"}"#] {
        assert_eq!(rollback(&proxy, wrong).await.status, 409, "{wrong}");
    }
    assert_eq!(rollback(&proxy, "3").await.status, 400);
}

scenario!(a_module_that_is_no_good_changes_nothing);
async fn a_module_that_is_no_good_changes_nothing() {
    let origin = origin().route("/", "").run();
    let proxy = Edge::HTTP1_PLAIN.proxy(stamping(&origin, &guest("stamp-a").to_string(), ""));
    let before = proxy.filter("stamp").await;
    let wants_http = wat::parse_str(r#"(component (import "wasi:http/types@0.2.0" (instance)))"#).unwrap();
    let cases: [(&[u8], &str); 6] = [
        (b"", "expected a WebAssembly module"),
        (b"no module", "expected a WebAssembly module"),
        (&guest("stamp-b").bytes()[..1000], "the module does not compile"),
        (b"\0asm\x01\0\0\0", "exports no hook"),
        (&wants_http, "`wasi:http/types@0.2.0`"),
        (&guest("refuse").bytes(), "rules[1].limit: expected a number, found \"x\""),
    ];
    for (module, says) in cases {
        let answer = put(&proxy, "/filters/stamp/module", module).await;
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(error(&answer).contains(says), "{}", error(&answer));
        assert_eq!(proxy.filter("stamp").await, before);
    }
    assert_eq!(stamp(&proxy).await.as_deref(), Some("a"));
}

scenario!(a_pushed_configuration_is_configured_anew);
async fn a_pushed_configuration_is_configured_anew() {
    let origin = origin().route("/", "").run();
    let of_file = "[filters.stamp.config.response]\nset = { x-stamp = 'file' }";
    let proxy = Edge::HTTP1_PLAIN.proxy(stamping(&origin, "builtin:headers", of_file));
    let config = |stamp: &str| json!({ "response": { "set": { "x-stamp": stamp } } }).to_string();
    let path = "/filters/stamp/config";
    assert_eq!(stamp(&proxy).await.as_deref(), Some("file"));
    assert_eq!(put(&proxy, path, config("pushed")).await.status, 200);
    assert_eq!(stamp(&proxy).await.as_deref(), Some("pushed"));
    let before = proxy.filter("stamp").await;
    assert_eq!((&before["from"], &before["swaps"]), (&json!({ "module": "file", "config": "pushed" }), &json!(0)));
    let answer = put(&proxy, path, config("{sorce}")).await;
    assert_eq!(answer.status, 422);
    assert!(error(&answer).contains("response.set.x-stamp: expected"), "{}", error(&answer));
    let answer = put(&proxy, path, "{\"response\": ").await;
    assert_eq!(answer.status, 400);
    assert!(error(&answer).contains("column"), "{}", error(&answer));
    assert_eq!(proxy.filter("stamp").await, before);
    assert_eq!(rollback(&proxy, "{}").await.status, 200);
    assert_eq!(stamp(&proxy).await.as_deref(), Some("file"));
}

scenario!(everything_pushed_can_be_taken_back);
async fn everything_pushed_can_be_taken_back() {
    let origin = origin().route("/", "").run();
    let proxy = Edge::HTTP1_PLAIN.proxy(stamping(&origin, &guest("stamp-a").to_string(), ""));
    let before = proxy.filter("stamp").await;
    load(&proxy, "stamp-b").await;
    put(&proxy, "/filters/stamp/config", "{}").await;
    for _ in 0..2 {
        let answer = proxy.operator().await.request("DELETE", "/filters/stamp").await;
        assert_eq!((answer.status, &answer.json()["version"]), (200, &Value::Null), "{}", answer.text());
        let after = proxy.filter("stamp").await;
        for same in ["hash", "config_hash", "from", "version", "history"] {
            assert_eq!(after[same], before[same], "{same}");
        }
        assert_eq!(stamp(&proxy).await.as_deref(), Some("a"));
    }
}

scenario!(only_filters_of_the_file_can_be_pushed_to);
async fn only_filters_of_the_file_can_be_pushed_to() {
    let proxy = tamis_tests::proxy("[listeners.edge]\n[filters.routes]\nmodule = 'builtin:router'\nconfig = { routes = [] }");
    for (method, path) in [
        ("PUT", "/filters/route/module"),
        ("PUT", "/filters/route/config"),
        ("POST", "/filters/route/rollback"),
        ("DELETE", "/filters/route"),
        ("GET", "/filters/route"),
    ] {
        let body = if method == "GET" { "" } else { "{}" };
        let answer = proxy.operator().await.request(method, path).body(body).await;
        assert_eq!(answer.status, 404, "{method} {path}");
        assert!(error(&answer).contains("`routes`"), "those that there are: {}", error(&answer));
    }
    let answer = proxy.operator().await.request("POST", "/filters/routes/module").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("PUT")));
    assert_eq!(put(&proxy, "/filters/routes/config?over=files", "{}").await.status, 400);
}

/// Waits until the admin tells of a conflict, or of none.
async fn conflict(proxy: &Proxy, expected: bool) -> Value {
    proxy.filter_becomes("stamp", |filter| filter["conflict"].is_null() != expected).await["conflict"].clone()
}

scenario!(a_file_that_changes_under_a_push_has_to_wait);
async fn a_file_that_changes_under_a_push_has_to_wait() {
    let origin = origin().route("/", "").run();
    let module: Watched = guest("stamp-a").watched();
    let proxy = Edge::HTTP1_PLAIN.proxy(stamping(&origin, &module.to_string(), ""));
    load(&proxy, "stamp-b").await;
    let other = guest("peek");
    module.becomes(&other);
    let told = conflict(&proxy, true).await;
    assert!(told["module"]["file_now"].is_string() && told["config"].is_null(), "{told}");
    assert_eq!(stamp(&proxy).await.as_deref(), Some("b"), "what was pushed goes on serving");
    for answer in [load(&proxy, "stamp-a").await, rollback(&proxy, "").await] {
        assert_eq!(answer.status, 409);
        assert!(error(&answer).contains("over=file") && error(&answer).contains("DELETE /filters/stamp"), "{}", error(&answer));
    }
    // A file that says again what it said, or what was pushed, is none that has to be asked about.
    for agreeing in ["stamp-a", "stamp-b"] {
        module.becomes(&guest(agreeing));
        conflict(&proxy, false).await;
        module.becomes(&other);
        conflict(&proxy, true).await;
    }
    let answer = put(&proxy, "/filters/stamp/module?over=file", guest("stamp-a").bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    conflict(&proxy, false).await;
    assert_eq!(stamp(&proxy).await.as_deref(), Some("a"));
    module.becomes(&guest("stamp-b"));
    conflict(&proxy, true).await;
    assert_eq!(proxy.operator().await.request("DELETE", "/filters/stamp").await.status, 200);
    assert_eq!(stamp(&proxy).await.as_deref(), Some("b"), "what the file says now");
    conflict(&proxy, false).await;
}

scenario!(a_reload_leaves_what_was_pushed);
async fn a_reload_leaves_what_was_pushed() {
    let (one, two) = (origin().route("/", "one").run(), origin().route("/", "two").run());
    let of_file = |stamp: &str| format!("[filters.stamp.config.response]\nset = {{ x-stamp = '{stamp}' }}");
    let proxy = Edge::HTTP1_PLAIN.proxy(stamping(&one, "builtin:headers", &of_file("file")));
    let pushed = json!({ "response": { "set": { "x-stamp": "pushed" } } }).to_string();
    put(&proxy, "/filters/stamp/config", pushed).await;
    proxy.rewrite(stamping(&two, "builtin:headers", &of_file("other")));
    assert!(!conflict(&proxy, true).await["config"].is_null());
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.text(), answer.header("x-stamp")), ("two", Some("pushed")), "everything else of the file holds");
    proxy.rewrite(stamping(&two, "builtin:headers", &of_file("file")));
    conflict(&proxy, false).await;
}

scenario!(a_reload_that_a_filter_refuses_is_told_of_it);
async fn a_reload_that_a_filter_refuses_is_told_of_it() {
    let origin = origin().route("/", "").run();
    let with = |stamp: &str| {
        stamping(&origin, "builtin:headers", &format!("config = {{ response = {{ set = {{ x-stamp = '{stamp}' }} }} }}"))
    };
    let proxy = Edge::HTTP1_PLAIN.proxy(with("a"));
    proxy.rewrite(with("{sorce}"));
    let failed = proxy.filter_becomes("stamp", |filter| !filter["failed"].is_null()).await;
    assert!(failed["failed"]["error"].as_str().is_some_and(|error| error.contains("found {sorce}")), "{failed}");
    proxy.rewrite(with("b"));
    proxy.filter_becomes("stamp", |filter| filter["failed"].is_null()).await;
    while stamp(&proxy).await.as_deref() != Some("b") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

scenario!(who_may_change_something);
async fn who_may_change_something() {
    let origin = origin().route("/", "").run();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "a-token-for-this-test\n").unwrap();
    let guarded = format!("[admin]\ntoken-file = '{}'", file.display());
    let proxy = Edge::HTTP1_PLAIN.proxy(stamping(&origin, &guest("stamp-a").to_string(), &guarded));
    let push = async |fields: &[(&str, &str)]| {
        let mut request = proxy.operator().await.request("PUT", "/filters/stamp/module").body(guest("stamp-b").bytes());
        for (name, value) in fields {
            request = request.header(name, value);
        }
        request.await
    };
    let denied = push(&[]).await;
    assert_eq!((denied.status, denied.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(push(&[("authorization", "Bearer another-token-of-this")]).await.status, 401);
    let token = ("authorization", "Bearer a-token-for-this-test");
    assert_eq!(push(&[token, ("origin", "http://evil.test")]).await.status, 403, "no web page may");
    assert_eq!(proxy.operator().await.request("DELETE", "/filters/stamp").await.status, 401);
    assert_eq!(stamp(&proxy).await.as_deref(), Some("a"));
    assert_eq!(proxy.admin("/filters").await.status, 200, "whoever reaches it may look");
    assert_eq!(push(&[token]).await.status, 200);
    assert_eq!(stamp(&proxy).await.as_deref(), Some("b"));
}

/// A component that takes its time to be compiled and is no filter.
fn slow_to_compile() -> Vec<u8> {
    let step = "(local.set 0 (i32.add (i32.mul (local.get 0) (i32.const 31)) (i32.load (local.get 0))))";
    let function = format!("(func (param i32) (result i32) (loop {} (br_if 0 (local.get 0))) (local.get 0))", step.repeat(40));
    wat::parse_str(format!("(component (core module (memory 1) {}))", function.repeat(1500))).unwrap()
}

scenario!(what_compiles_holds_nobody_up);
async fn what_compiles_holds_nobody_up() {
    let origin = origin().route("/", "").run();
    let mut proxy = Edge::HTTP1_PLAIN.proxy(stamping(&origin, &guest("stamp-a").to_string(), ""));
    let operator = proxy.operator().await;
    let slow = tokio::spawn(operator.request("PUT", "/filters/stamp/module").body(slow_to_compile()).whole());
    // Of two that wait for the same filter only the newer is kept; before the slow one has begun none waits for long.
    loop {
        let (one, other) = (put(&proxy, "/filters/stamp/module", "1"), put(&proxy, "/filters/stamp/module", "2"));
        tokio::select! {
            answer = one => if answer.status == 409 { break },
            answer = other => if answer.status == 409 { break },
        }
        assert!(!slow.is_finished(), "it was compiled before anything could wait for it");
    }
    assert_eq!(proxy.admin("/ready").await.status, 200);
    proxy.handle().drain();
    proxy.ended().await;
    let answered = slow.await.unwrap().map(|answer| answer.status);
    assert!(!matches!(answered, Ok(422)), "the drain did not wait for the compilation: {answered:?}");
}

scenario!(a_canary_is_pushed_then_promoted_or_taken_back);
async fn a_canary_is_pushed_then_promoted_or_taken_back() {
    let origin = origin().route("/", "").run();
    let proxy = Edge::HTTP1_PLAIN.proxy(stamping(&origin, &guest("stamp-a").to_string(), ""));
    let module = std::fs::read(guest("stamp-b").to_string()).expect("the guest is built");
    let before = proxy.filter("stamp").await["hash"].clone();
    let begin = async || {
        let answer = proxy.operator().await.request("PUT", "/filters/stamp/module?canary=100").body(module.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let promote = async || proxy.operator().await.post("/filters/stamp/promote", "").await;
    let abort = async || proxy.operator().await.request("DELETE", "/filters/stamp/canary").await;
    assert_eq!((promote().await.status, abort().await.status), (409, 409));
    let begun = begin().await;
    assert_eq!(
        (&begun["canary"]["percent"], &begun["hash"], &begun["version"]),
        (&100.into(), &before, &serde_json::Value::Null)
    );
    let second = proxy.filter("stamp").await["second"].clone();
    assert_eq!((&second["role"], &second["hash"]), (&"canary".into(), &begun["canary"]["hash"]));
    assert_eq!(abort().await.json()["canary"], serde_json::Value::Null);
    assert_eq!(proxy.filter("stamp").await["second"], serde_json::Value::Null);
    begin().await;
    let promoted = promote().await.json();
    assert_eq!(
        (&promoted["hash"], &promoted["version"], &promoted["canary"]),
        (&begun["canary"]["hash"], &2.into(), &serde_json::Value::Null)
    );
    let wrong = proxy.operator().await.request("PUT", "/filters/stamp/module?canary=0").body(module.clone()).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text());
}
