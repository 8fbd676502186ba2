//! The versions of the ABI, by modules written by hand: what differs between them, and what `tamis filter inspect` says of them.

use std::path::PathBuf;

use tamis_tests::command::{output, stdout};
use tamis_tests::{Proxy, body, chain, origin, proxy, refused, scenario};

/// A module with these imports and this body, in a file of its own.
pub fn module(version: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let text = format!(
        r#"(module {text}
            (memory (export "memory") 1) (global $top (mut i32) (i32.const 4096))
            (func (export "malloc") (param i32) (result i32) (local i32)
                (local.set 1 (global.get $top)) (global.set $top (i32.add (global.get $top) (local.get 0))) (local.get 1))
            (func (export "proxy_abi_version_{version}")))"#
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("module.wasm");
    std::fs::write(&file, wat::parse_str(text).expect("sound text")).unwrap();
    (folder, file)
}

/// Why it is not taken.
fn told(file: &std::path::Path) -> String {
    refused(configuration(file, "127.0.0.1:1").replace("[listeners.edge]\n", "[listeners.edge]\nlisten = '127.0.0.1:0'\n"))
}

pub fn configuration(file: &std::path::Path, origin: impl std::fmt::Display) -> String {
    chain(origin, &[("pw-config", "")]).replace(&tamis_tests::guest("pw-config").to_string(), &file.display().to_string())
}

pub const FIELDS: &str = r#"
    (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_replace_header_map_value" (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (data (i32.const 16) "x-none") (data (i32.const 32) "x-status") (data (i32.const 48) "0123456789abcdef")
    (func $tell (param i32) (drop (call $set (i32.const 0) (i32.const 32) (i32.const 8)
        (i32.add (i32.const 48) (local.get 0)) (i32.const 1))))
"#;

scenario!(a_field_that_is_not_there_has_a_status_since_0_2_0);
async fn a_field_that_is_not_there_has_a_status_since_0_2_0() {
    let origin = origin().echo("/").run();
    for (version, parameters, status) in [("0_1_0", "i32 i32", "0"), ("0_2_0", "i32 i32 i32", "1"), ("0_2_1", "i32 i32 i32", "1")]
    {
        let text = format!(
            r#"{FIELDS} (func (export "proxy_on_request_headers") (param {parameters}) (result i32)
                (call $tell (call $get (i32.const 0) (i32.const 16) (i32.const 6) (i32.const 0) (i32.const 4))) (i32.const 0))"#
        );
        let (_folder, file) = module(version, &text);
        let proxy = proxy(configuration(&file, &origin));
        assert_eq!(proxy.client().await.get("/").await.status, 200);
        assert_eq!(origin.requests().last().unwrap().header("x-status"), Some(status), "{version}");
    }
}

/// Pauses at the head and lets go at the end of the body, where it tells a field.
pub const HOLDS: &str = r#"
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.eqz (local.get 2)))
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
        (if (local.get 2) (then (call $tell (i32.const 7)))) (i32.eqz (local.get 2)))"#;

async fn sent_in_pieces(proxy: &Proxy) -> tamis_tests::Answer {
    let (feed, body) = body::channel();
    let answer = tokio::spawn(proxy.client().await.request("POST", "/").streaming(body).whole());
    for piece in ["one", "two"] {
        assert!(feed.send(piece).await);
    }
    drop(feed);
    answer.await.unwrap().expect("an answer")
}

scenario!(higress_holds_a_head_until_its_body_has_come);
async fn higress_holds_a_head_until_its_body_has_come() {
    let origin = origin().echo("/").run();
    let (_folder, file) = module("0_2_100", &format!("{FIELDS}{HOLDS}"));
    let proxy = proxy(configuration(&file, &origin));
    let answer = sent_in_pieces(&proxy).await.json();
    assert_eq!((&answer["body"], &answer["headers"]["x-status"][0]), (&"onetwo".into(), &"7".into()), "{answer}");
}

scenario!(elsewhere_a_pause_at_the_head_waits_for_a_word);
async fn elsewhere_a_pause_at_the_head_waits_for_a_word() {
    let origin = origin().echo("/").run();
    let (_folder, file) = module("0_2_1", &format!("{FIELDS}{HOLDS}"));
    let proxy = proxy(configuration(&file, &origin).replace("deadline = '1s'", "deadline = '1s'\nhook-timeout = '50ms'"));
    let client = proxy.client().await;
    let answer = client.post("/", "body").await;
    assert_eq!((answer.status, answer.reason()), (500, Some("filter-failed")), "nobody says that it goes on");
    assert!(origin.requests().is_empty());
}

scenario!(what_a_start_function_may_not_call_is_told);
async fn what_a_start_function_may_not_call_is_told() {
    let text = format!(
        r#"{FIELDS} (func (export "_start") (call $tell (i32.const 0)))
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))"#
    );
    let (_folder, file) = module("0_2_1", &text);
    let told = told(&file);
    assert!(told.contains("`proxy_replace_header_map_value` was called by a start function"), "{told}");
}

#[test]
fn what_is_not_offered_is_told_by_name() {
    let text = r#"(import "env" "proxy_other" (func (result i32)))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))"#;
    let (_folder, file) = module("0_2_1", text);
    assert!(told(&file).contains("`env.proxy_other`"));
    let connections = r#"(func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32) (i32.const 0))"#;
    let (_folder, file) = module("0_2_1", connections);
    assert!(told(&file).contains("works on raw connections only"), "on a listener of HTTP");
    let headers = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))"#;
    let (_folder, file) = module("0_3_0", headers);
    let told = told(&file);
    assert!(told.contains("0.2.100") && told.contains("`0.3.0`"), "{told}");
}

scenario!(inspect_says_what_is_honoured);
async fn inspect_says_what_is_honoured() {
    let text = r#"(import "env" "proxy_redis_init" (func (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_get_upstream_hosts" (func (param i32 i32) (result i32)))
        (import "env" "proxy_http_call" (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
        (func (export "proxy_on_new_connection") (param i32) (result i32) (i32.const 0))
        (func (export "proxy_on_foreign_function") (param i32 i32 i32))"#;
    let (_folder, file) = module("0_2_100", text);
    let run = |more: &'static str| {
        let file = file.display().to_string();
        async move {
            output(env!("CARGO_BIN_EXE_tamis-cli"), &["filter", "inspect", &file, more][..if more.is_empty() { 3 } else { 4 }])
                .await
        }
    };
    let ran = run("").await;
    let told = stdout(&ran);
    assert!(ran.status.success(), "{ran:?}");
    for part in [
        "proxy-wasm 0.2.100",
        "new_connection, request_headers",
        "never called",
        "foreign_function",
        "allow.clusters, for proxy_http_call",
        "allow.clusters, for proxy_redis_init",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told: serde_json::Value = serde_json::from_str(stdout(&run("--json").await)).unwrap();
    assert_eq!((&told["filter"], &told["proxy-wasm"]["version"]), (&true.into(), &"proxy-wasm 0.2.100".into()));
    let hosts = serde_json::json!({ "name": "env.proxy_get_upstream_hosts", "offered": "answered-only" });
    assert!(told["proxy-wasm"]["imports"].as_array().unwrap().contains(&hosts), "{told}");
}
