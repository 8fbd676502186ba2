//! What authors of filters do at the command line: new, build, inspect, test, bench.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use tamis_tests::command::{output, repository, stderr, stdout};
use tamis_tests::guests::module_cache;
use tamis_tests::{guest, scenario};

const TAMIS: &str = env!("CARGO_BIN_EXE_tamis-cli");

/// What it said, for whoever reads why a test failed.
fn said(ran: &Output) -> String {
    format!("{}{}", stdout(ran), stderr(ran))
}

async fn filter(arguments: &[&str]) -> Output {
    output(TAMIS, &[&["filter"], arguments].concat()).await
}

/// The one JSON document that a command prints.
async fn json_of(arguments: &[&str]) -> Value {
    let ran = filter(&[arguments, &["--json"]].concat()).await;
    serde_json::from_str(stdout(&ran)).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", said(&ran)))
}

/// The folder of one test, empty, at a place that is the same each time: cargo knows again what it built there.
fn workshop(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("author-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs lines of a shell in a folder, with `tamis` on the path, and none of what cargo told this test.
fn shell(folder: &Path, path: &Path, script: &str) -> Output {
    let mut shell = std::process::Command::new("sh");
    for (name, _) in std::env::vars_os() {
        let outer = name.to_str().is_some_and(|name| name.starts_with("CARGO_") && name != "CARGO_HOME");
        if outer || name == "RUSTFLAGS" || name == "CARGO" {
            shell.env_remove(name);
        }
    }
    let path = format!("{}:{}", path.display(), std::env::var("PATH").unwrap());
    shell.args(["-e", "-c", script]).current_dir(folder).env("PATH", path).env("XDG_CACHE_HOME", module_cache()).output().unwrap()
}

/// A folder for the path, in which this is `tamis`.
fn path_with_tamis(folder: &Path) -> PathBuf {
    let path = folder.join("bin");
    std::fs::create_dir(&path).unwrap();
    std::os::unix::fs::symlink(TAMIS, path.join("tamis")).unwrap();
    path
}

fn script(file: &Path, text: &str) {
    std::fs::write(file, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The commands of the page, as they stand there.
fn first_five_minutes() -> Vec<String> {
    let page = std::fs::read_to_string(repository().join("docs/filters.md")).unwrap();
    let section = page.split("## The first five minutes").nth(1).expect("the page has that section");
    let block = section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("it has commands");
    block.lines().map(str::to_owned).collect()
}

scenario!(the_first_five_minutes_are_as_the_page_says);
async fn the_first_five_minutes_are_as_the_page_says() {
    let folder = workshop("first");
    let path = path_with_tamis(&folder);
    let mut commands = first_five_minutes();
    assert_eq!(commands.remove(0), "rustup target add wasm32-unknown-unknown");
    let new = commands.iter().position(|command| command == "tamis filter new hello").expect("it begins with a new project");
    // What the guests depend on is built already.
    let shared = module_cache().with_file_name("guests");
    commands.insert(new + 1, format!("ln -s {} hello/target; cp hello/Cargo.lock before", shared.display()));
    let ran = shell(&folder, &path, &commands.join("\n"));
    assert!(ran.status.success(), "{}", said(&ran));
    for shown in [
        "3 passed",
        "hooks           request, response",
        "request         replied",
        "+ note closed: /shop",
        "the client got 503 Service Unavailable",
        "a fresh instance",
    ] {
        assert!(stdout(&ran).contains(shown), "{shown}: {}", said(&ran));
    }
    let text = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    assert_eq!(text("before"), text("hello/Cargo.lock"), "there was nothing left to resolve");
    let checked = shell(&folder.join("hello"), &path, "tamis check -c tamis.toml");
    assert!(checked.status.success(), "{}", said(&checked));
    let formatted =
        shell(&folder.join("hello"), &path, "touch .rustfmt.toml; rustfmt --check --edition 2024 src/lib.rs tests/filter.rs");
    assert!(formatted.status.success(), "{}", said(&formatted));

    // What does not build is told by cargo, and by us.
    std::fs::write(folder.join("hello/src/lib.rs"), "no Rust").unwrap();
    let broken = shell(&folder, &path, "tamis filter build hello");
    assert!(!broken.status.success() && stderr(&broken).contains("does not build"), "{}", said(&broken));
    assert!(!stderr(&broken).contains("rustup target add"), "the target is there: {}", said(&broken));
}

scenario!(nothing_is_written_over);
async fn nothing_is_written_over() {
    let folder = workshop("over");
    std::fs::create_dir(folder.join("mine")).unwrap();
    std::fs::write(folder.join("mine/file"), "mine").unwrap();
    let mine = folder.join("mine");
    let mine = mine.to_str().unwrap();
    let ran = filter(&["new", "hello", "--dir", mine]).await;
    assert!(!ran.status.success() && stderr(&ran).contains("not empty") && stderr(&ran).contains("--dir"), "{}", said(&ran));
    let ran = filter(&["new", "hello", "--dir", &format!("{mine}/file/below")]).await;
    assert!(!ran.status.success(), "{}", said(&ran));
    for (name, better) in [("Hello", "new hello"), ("fn", "new fn-filter"), ("serde", "new serde-filter"), ("a b", "new a-b")] {
        let ran = filter(&["new", name, "--dir", &format!("{}/x", folder.display())]).await;
        assert!(!ran.status.success() && stderr(&ran).contains(better), "{name}: {}", said(&ran));
    }
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine"], "nothing is left half-written");
}

scenario!(a_target_that_is_missing_is_told_with_the_command_that_helps);
async fn a_target_that_is_missing_is_told_with_the_command_that_helps() {
    let folder = workshop("target");
    let path = path_with_tamis(&folder);
    script(&path.join("cargo"), "echo 'error: no std' >&2; exit 101");
    script(&path.join("rustc"), "echo /nowhere/lib");
    let ran = shell(&folder, &path, "tamis filter new hello; tamis filter build hello");
    assert!(!ran.status.success() && stderr(&ran).contains("rustup target add wasm32-unknown-unknown"), "{}", said(&ran));
    assert!(stderr(&ran).contains("no std"), "what cargo says is passed on: {}", said(&ran));
    let ran = shell(&folder, &path, "tamis filter build");
    assert!(!ran.status.success() && stderr(&ran).contains("tamis filter new"), "{}", said(&ran));
}

scenario!(inspect_says_what_a_filter_offers_and_wants);
async fn inspect_says_what_a_filter_offers_and_wants() {
    let caller = json_of(&["inspect", &guest("caller").to_string()]).await;
    assert_eq!(caller["filter"], true);
    assert_eq!(caller["hooks"], json!(["request", "response", "complete"]));
    assert_eq!(caller["waits"], true);
    assert_eq!(caller["needs"], json!([{ "key": "allow.clusters", "for": "http-client" }]));
    assert_eq!(caller["abi"], json!(["tamis:filter@0.1.0"]));
    assert_eq!(caller["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(caller["bytes"], guest("caller").bytes().len());
    assert_eq!(caller["config-schema"], Value::Null);
    assert!(caller["producers"]["processed-by"]["rustc"].is_string(), "{caller}");

    let quotas = json_of(&["inspect", &guest("quotas").to_string()]).await;
    assert_eq!(quotas["needs"], json!([{ "key": "allow.stores", "for": "quota" }]));
    let router = json_of(&["inspect", "builtin:router"]).await;
    assert_eq!((&router["needs"], &router["waits"]), (&json!([]), &json!(false)));

    let text = filter(&["inspect", &guest("caller").to_string()]).await;
    assert!(text.status.success() && stdout(&text).contains("allow.clusters, for http-client"), "{}", said(&text));
    assert!(!stdout(&text).contains('\x1b'), "colours are for terminals");
}

scenario!(inspect_shows_the_schema_that_a_module_carries);
async fn inspect_shows_the_schema_that_a_module_carries() {
    let schema = json!({ "type": "object", "required": ["closed"] });
    let mut module = guest("stamp-a").bytes();
    let (name, content) = ("tamis:config-schema", schema.to_string());
    module.extend([0, u8::try_from(1 + name.len() + content.len()).unwrap(), u8::try_from(name.len()).unwrap()]);
    module.extend(name.bytes().chain(content.bytes()));
    let file = workshop("schema").join("module.wasm");
    std::fs::write(&file, module).unwrap();
    let found = json_of(&["inspect", file.to_str().unwrap()]).await;
    assert_eq!((&found["config-schema"], &found["filter"]), (&schema, &json!(true)));
    let text = filter(&["inspect", file.to_str().unwrap()]).await;
    assert!(stdout(&text).contains("\"closed\""), "{}", said(&text));
}

scenario!(inspect_names_everything_that_is_missing);
async fn inspect_names_everything_that_is_missing() {
    let file = workshop("missing").join("module.wasm");
    let name = file.to_str().unwrap();
    let wat = r#"(component
        (import "tamis:filter/clock@0.1.0" (instance (export "now-ns" (func (result u64)))))
        (import "tamis:filter/request@0.1.0" (instance (export "fortune" (func (result string)))))
        (import "tamis:filter/request@0.2.0" (instance (export "method" (func (result string)))))
        (import "wasi:http/types@0.2.0" (instance)))"#;
    std::fs::write(&file, wat::parse_str(wat).unwrap()).unwrap();
    let ran = filter(&["inspect", name]).await;
    assert_eq!(ran.status.code(), Some(1), "{}", said(&ran));
    let missing = ["tamis:filter/request@0.1.0#fortune", "tamis:filter/request@0.2.0", "wasi:http/types@0.2.0"];
    for missing in missing {
        assert!(stderr(&ran).contains(missing), "{missing}: {}", said(&ran));
    }
    let found = json_of(&["inspect", name]).await;
    let named: Vec<_> = found["missing"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(named.len(), 3, "{found}");
    assert_eq!((&found["filter"], &found["form"]), (&json!(false), &json!("component")));

    std::fs::write(&file, wat::parse_str(r#"(module (import "env" "puts" (func)))"#).unwrap()).unwrap();
    let found = json_of(&["inspect", name]).await;
    assert_eq!((&found["core-imports"], &found["filter"]), (&json!(["env.puts"]), &json!(false)));
    std::fs::write(&file, "hello").unwrap();
    let ran = filter(&["inspect", name]).await;
    assert!(ran.status.code() == Some(1) && stderr(&ran).contains("expected a WebAssembly module"), "{}", said(&ran));
    let ran = filter(&["inspect", "builtin:rooter"]).await;
    assert!(stderr(&ran).contains("`builtin:router`"), "{}", said(&ran));
    let ran = filter(&["inspect", "/nowhere/at/all.wasm"]).await;
    assert!(ran.status.code() == Some(1) && stderr(&ran).contains("/nowhere/at/all.wasm"), "{}", said(&ran));
}

/// The step of a test that is called so.
fn step<'t>(tested: &'t Value, what: &str) -> &'t Value {
    let steps = tested["steps"].as_array().unwrap_or_else(|| panic!("{tested}"));
    steps.iter().find(|step| step["what"] == what).unwrap_or_else(|| panic!("no {what}: {tested}"))
}

/// What it did to the world in a step: kind and words.
fn effects(step: &Value) -> String {
    let all = step["effects"].as_array().into_iter().flatten();
    all.map(|effect| format!("{} {}\n", effect["kind"].as_str().unwrap(), effect["what"].as_str().unwrap())).collect()
}

scenario!(test_shows_what_a_filter_changes);
async fn test_shows_what_a_filter_changes() {
    let config =
        r#"{"request": {"set": {"x-user": "{header:x-name}"}, "remove": ["x-name"]}, "response": {"set": {"x-seen": "1"}}}"#;
    let tested = json_of(&[
        "test",
        "builtin:headers",
        "--config",
        config,
        "--request",
        "POST /path?a=b",
        "--header",
        "x-name: ada",
        "--header",
        "host: a.example",
        "--body",
        "hello",
        "--response-status",
        "201",
        "--response-header",
        "x-own: yes",
        "--response-body",
        "made",
    ])
    .await;
    let request = step(&tested, "request");
    assert_eq!(request["verdict"], "next", "{tested}");
    assert!(request["cpu_ns"].as_u64() > Some(0) && request["memory_bytes"].as_u64() >= Some(65536), "{request}");
    assert_eq!(request["added"], json!([["request x-user", "ada"]]));
    assert_eq!(request["removed"], json!([["request x-name", "ada"]]));
    assert_eq!(step(&tested, "response")["added"], json!([["response x-seen", "1"]]));
    let upstream = &tested["upstream"][0];
    assert_eq!((&upstream["target"], &upstream["body"]), (&json!("/path?a=b"), &json!("hello")));
    let response = &tested["response"];
    assert_eq!((&response["status"], &response["body"]), (&json!(201), &json!("made")));
    for field in [["x-own", "yes"], ["x-seen", "1"]] {
        assert!(response["headers"].as_array().unwrap().contains(&json!(field)), "{response}");
    }
}

scenario!(test_answers_the_calls_of_a_filter);
async fn test_answers_the_calls_of_a_filter() {
    let caller = guest("caller").to_string();
    let call = ["test", &caller, "--header", "x-call: idp GET /who", "--answer", "idp=403:nobody"];
    let tested = json_of(&call).await;
    assert_eq!((&tested["upstream"][0]["cluster"], &tested["upstream"][0]["target"]), (&json!("idp"), &json!("/who")));
    assert!(effects(step(&tested, "request")).contains("http-client idp answered 403, 6 bytes"), "{tested}");
    assert!(tested["response"]["body"].as_str().unwrap().contains("nobody"), "{tested}");

    // A cluster that nobody spoke of is made.
    let made = json_of(&["test", &caller, "--header", "x-call: other GET /"]).await;
    assert_eq!(made["granted"]["clusters"], json!(["other"]));
    assert!(effects(step(&made, "request")).contains("other answered 200"), "{made}");

    let refused = json_of(&[&call[..], &["--allow-nothing"]].concat()).await;
    assert_eq!(refused["upstream"], json!([]));
    assert!(effects(step(&refused, "request")).contains("no cluster idp"), "{refused}");
}

scenario!(test_shows_stores_quotas_and_metrics);
async fn test_shows_stores_quotas_and_metrics() {
    let stores = guest("stores").to_string();
    let tested = json_of(&["test", &stores, "--request", "GET /stores/seen/increment/ada/5"]).await;
    assert_eq!(tested["granted"]["stores"], json!(["seen"]));
    assert!(effects(step(&tested, "request")).contains("store seen: `ada` +5, now 5"), "{tested}");
    assert_eq!(step(&tested, "request")["verdict"], "replied");
    let refused = json_of(&["test", &stores, "--request", "GET /stores/seen/get/ada", "--allow-nothing"]).await;
    assert!(refused["response"]["body"].as_str().unwrap().contains("error"), "{refused}");

    let quota = r#"{"store": "q", "asks": [{"key": "k", "kind": "concurrency", "limit": 0}]}"#;
    let tested = json_of(&["test", &guest("quotas").to_string(), "--config", quota]).await;
    assert!(effects(step(&tested, "request")).contains("refused"), "{tested}");
    assert_eq!(tested["response"]["status"], 429);
    let metered = json_of(&["test", &guest("meter").to_string()]).await;
    assert!(effects(step(&metered, "request")).contains("metrics counter guest_requests_total"), "{metered}");
}

scenario!(test_gives_inputs_and_bodies_from_files);
async fn test_gives_inputs_and_bodies_from_files() {
    let folder = workshop("files");
    let file = folder.join("blocked.txt");
    std::fs::write(&file, "four").unwrap();
    let at = format!("@{}", file.display());
    let tested = json_of(&["test", &guest("inputs").to_string(), "--input", &format!("blocked={at}")]).await;
    assert!(tested["response"]["body"].as_str().unwrap().contains(r#""blocked":{"bytes":4"#), "{tested}");
    let tested =
        json_of(&["test", &guest("chunks").to_string(), "--request", "POST /", "--body", &at, "--response-body", &at]).await;
    assert_eq!(step(&tested, "request-chunk")["chunk"], json!({ "bytes": 4, "last": true }));
    assert_eq!((&tested["upstream"][0]["body"], &tested["response"]["body"]), (&json!("four"), &json!("four")));
}

scenario!(test_tells_how_a_filter_fails);
async fn test_tells_how_a_filter_fails() {
    let ran = filter(&["test", &guest("trap").to_string(), "--header", "x-trap: here"]).await;
    assert_eq!(ran.status.code(), Some(1), "{}", said(&ran));
    assert!(stdout(&ran).contains("step_on_it") && stdout(&ran).contains("500 Internal Server Error"), "{}", said(&ran));
    let ran = filter(&["test", &guest("refuse").to_string()]).await;
    assert!(ran.status.code() == Some(1) && stderr(&ran).contains("expected a number, found \"x\""), "{}", said(&ran));
    for (flags, expected) in [
        (["--config", "{"], "expected JSON"),
        (["--config", "@/nowhere"], "/nowhere"),
        (["--request", "GET"], "GET /path"),
        (["--request", "GET path"], "begins with `/`"),
        (["--header", "novalue"], "x-user: ada"),
        (["--answer", "idp"], "idp=200:yes"),
        (["--input", "a=b"], "NAME=@FILE"),
    ] {
        let ran = filter(&[&["test", "builtin:headers"], &flags[..]].concat()).await;
        assert!(!ran.status.success() && stderr(&ran).contains(expected), "{flags:?}: {}", said(&ran));
    }
}

scenario!(bench_tells_what_a_filter_costs);
async fn bench_tells_what_a_filter_costs() {
    let config = r#"{"request": {"set": {"x-a": "1"}}, "response": {"set": {"x-b": "2"}}}"#;
    let found = json_of(&["bench", "builtin:headers", "--config", config, "--calls", "300"]).await;
    for figures in [&found["hooks_ns"]["request"], &found["hooks_ns"]["response"], &found["instance_ns"], &found["configure_ns"]]
    {
        let [median, p99, calls] =
            ["median", "p99", "calls"].map(|key| figures[key].as_u64().unwrap_or_else(|| panic!("{found}")));
        assert!(0 < median && median <= p99 && calls >= 200, "{found}");
    }
    assert!(found["linear_memory_bytes"].as_u64() >= Some(65536) && found["resident_bytes"].as_u64().is_some(), "{found}");
    let text = filter(&["bench", "builtin:headers", "--config", config, "--calls", "10"]).await;
    assert!(text.status.success() && stderr(&text).is_empty(), "progress is for terminals: {}", said(&text));
    assert!(stdout(&text).contains("request hook") && stdout(&text).contains("linear memory"), "{}", said(&text));

    let called = json_of(&["bench", &guest("caller").to_string(), "--header", "x-call: idp GET /", "--calls", "10"]).await;
    assert_eq!(called["unanswered_clusters"], json!(["idp"]));
    let trapped = filter(&["bench", &guest("trap").to_string(), "--header", "x-trap: here"]).await;
    assert!(trapped.status.code() == Some(1) && stderr(&trapped).contains("tamis filter test"), "{}", said(&trapped));
}
