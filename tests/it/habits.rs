//! What filters say of themselves when they are configured, and what they write into the log.

use tamis_tests::command::Running;
use tamis_tests::{Client, Edge, chain, client, guest, matrix, origin, proxy, refused, scenario};

matrix!(only_the_hooks_that_a_filter_wants_are_called);
async fn only_the_hooks_that_a_filter_wants_are_called(edge: Edge) {
    for (want, request, response) in [
        ("[]", true, true),
        ("['request']", true, false),
        ("['response']", false, true),
        ("['request', 'response']", true, true),
        ("['tick']", false, false),
    ] {
        let origin = origin().route("/", "here").run();
        let proxy = edge.proxy(chain(&origin, &[("setups", &format!("config = {{ want = {want} }}"))]));
        let answer = proxy.client().await.get("/").await;
        let ran = (origin.request().header("x-ran").is_some(), answer.header("x-ran").is_some());
        assert_eq!(ran, (request, response), "{want}");
    }
}

fn stopped(toml: &str) -> String {
    refused(toml.replace("[listeners.edge]", "[listeners.edge]\nlisten = '127.0.0.1:0'"))
}

scenario!(a_hook_that_is_wanted_and_missing_stops_the_start);
async fn a_hook_that_is_wanted_and_missing_stops_the_start() {
    let said = stopped(&chain("127.0.0.1:1", &[("setups", "config = { want = ['trailers'] }")]));
    assert!(said.contains("setups") && said.contains("trailers"), "which filter, and which hook: {said}");
}

scenario!(a_filter_of_raw_connections_is_not_for_http);
async fn a_filter_of_raw_connections_is_not_for_http() {
    let said = stopped(&chain("127.0.0.1:1", &[("raw-tcp", "")]));
    assert!(said.contains("filter `raw-tcp` works on raw connections only"), "{said}");
}

scenario!(a_filter_finds_a_range_among_many);
async fn a_filter_finds_a_range_among_many() {
    let origin = origin().route("/", "here").run();
    let proxy = proxy(chain(&origin, &[("ranges", "config = { ranges = \"5-7\\n9-9\" }")]));
    let client = proxy.client().await;
    for (key, hit) in [("4", "no"), ("5", "yes"), ("7", "yes"), ("8", "no"), ("9", "yes")] {
        let answer = client.get("/").header("x-key", key).await;
        assert_eq!((answer.header("x-hit"), answer.header("x-ranges")), (Some(hit), Some("2")), "{key}");
    }
}

/// A process of its own, whose log can be read, with the guest `chatty`.
async fn chatting(more: &str) -> (Running, Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tamis.toml");
    let filter = format!("[filters.talker]\nmodule = '{}'\ndeadline = '1s'\n{more}\n", guest("chatty"));
    std::fs::write(&file, format!("workers = 1\n[listeners.edge]\nlisten = '127.0.0.1:0'\nfilters = ['talker']\n{filter}"))
        .unwrap();
    let mut running = Running::start(env!("CARGO_BIN_EXE_tamis-cli"), &["run", "-c", file.to_str().unwrap()]);
    let line = running.logs("listen").await;
    let address = line.split([' ', '=', '"']).find_map(|word| word.parse().ok());
    let client = client::connect(address.unwrap_or_else(|| panic!("no address: {line}"))).open().await;
    (running, client, folder)
}

scenario!(what_a_filter_logs_names_it);
async fn what_a_filter_logs_names_it() {
    let (mut running, client, _folder) = chatting("").await;
    assert!(running.said.contains("chatty is configured"), "from configure as well: {}", running.said);
    for severity in ["info", "warn", "error"] {
        client.get(&format!("/{severity}")).header("x-severity", severity).await;
        let line = running.logs(&format!("line 1 of /{severity}")).await;
        assert!(line.contains(&severity.to_uppercase()) && line.contains("talker"), "{line}");
    }
    client.get("/quiet").header("x-severity", "trace").await;
    client.get("/long").header("x-length", "100000").await;
    let line = running.logs("line 1 of /long").await;
    assert!(line.len() < 10_000, "it is cut: {} bytes", line.len());
    assert!(!running.said.contains("/quiet"), "nobody asked for it: {}", running.said);
}

scenario!(a_filter_that_logs_too_much_is_cut_short);
async fn a_filter_that_logs_too_much_is_cut_short() {
    let (mut running, client, _folder) = chatting("log-lines = 10").await;
    client.get("/much").header("x-lines", "500").await;
    loop {
        client.get("/after").await;
        if running.logs("of /").await.contains("/after") && running.said.contains("missed") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    let lines = running.said.matches("of /much").count();
    assert!((1..=20).contains(&lines), "ten a second: {lines}");
}
