//! The proxy's own log: what it tells can be changed while it runs. In a process of its own, for a process has one log.

use serde_json::{Value, json};
use tamis_tests::client;
use tamis_tests::command::Running;
use tamis_tests::{Client, origin, scenario};

const TAMIS: &str = env!("CARGO_BIN_EXE_tamis-cli");

/// What follows a word in a line of the log.
fn address(line: &str) -> std::net::SocketAddr {
    let found = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    found.unwrap_or_else(|| panic!("the log tells an address: {line}"))
}

/// A proxy, and a connection to its admin.
async fn start(origin: &impl std::fmt::Display, arguments: &[&str], more: &str) -> (Running, Client, Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("tamis.toml");
    let toml = format!(
        "workers = 1\n{more}\nadmin = {{ listen = '127.0.0.1:0' }}\ndrain = {{ pre-stop = '0s' }}\n[listeners.edge]\nlisten = '127.0.0.1:0'\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']\n"
    );
    std::fs::write(&file, toml).expect("the configuration can be written");
    let mut running = Running::start(TAMIS, &[&["run", "-c", file.to_str().expect("UTF-8")], arguments].concat());
    let admin = address(&running.logs(" admin address=").await);
    let edge = address(&running.logs("listener=edge").await);
    let admin = client::connect(admin).name(&admin.to_string()).open().await;
    (running, client::connect(edge).open().await, admin, folder)
}

scenario!(the_level_changes_while_it_runs);
async fn the_level_changes_while_it_runs() {
    let origin = origin().route("/", "here").run();
    let (mut running, client, admin, _folder) = start(&origin, &["--log", "info"], "access-log = { output = 'off' }").await;
    let level = async || admin.get("/log").await.json();
    assert_eq!(level().await, json!({ "level": "info", "configured": "info" }));
    let put = async |body: Value| admin.request("PUT", "/log").body(body.to_string()).await;
    let answer = put(json!({ "level": "info,tamis::cluster=trace" })).await;
    assert_eq!((answer.status, answer.json()["level"].clone()), (200, json!("info,tamis::cluster=trace")));
    client.get("/").await;
    running.logs("attempted").await;
    let refused = put(json!({ "level": "debg" })).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("found `debg`"), "{}", refused.text());
    assert_eq!(put(json!({ "levels": "debug" })).await.status, 400);
    assert_eq!(put(json!({ "level": "x".repeat(10_000) })).await.status, 413);
    assert_eq!(level().await["level"], "info,tamis::cluster=trace");
    assert_eq!(admin.request("DELETE", "/log").await.json()["level"], "info");
    let before = running.said.matches("attempted").count();
    client.get("/").await;
    running.signal("TERM").await;
    running.exit_code().await;
    assert_eq!(running.said.matches("attempted").count(), before, "{}", running.said);
}

scenario!(a_web_page_does_not_change_the_level);
async fn a_web_page_does_not_change_the_level() {
    let origin = origin().run();
    let (_running, _client, admin, _folder) = start(&origin, &[], "access-log = { output = 'off' }").await;
    let request = admin.request("PUT", "/log").header("origin", "http://evil.test").body("{\"level\":\"trace\"}");
    assert_eq!(request.await.status, 403);
    assert_eq!(admin.request("POST", "/log").await.status, 405);
}

scenario!(sigusr1_opens_the_access_log_anew_and_a_full_disk_is_told_once);
async fn sigusr1_opens_the_access_log_anew_and_a_full_disk_is_told_once() {
    let origin = origin().route("/", "here").run();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let (mut running, client, _admin, _folder) =
        start(&origin, &[], &format!("access-log = {{ output = '{}' }}", log.display())).await;
    client.get("/").await;
    std::fs::rename(&log, folder.path().join("moved")).unwrap();
    // What is there now takes no line.
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    running.signal("USR1").await;
    running.logs("opened anew").await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.status, 200);
    }
    running.logs("cannot be written").await;
    std::fs::remove_file(&log).unwrap();
    running.signal("USR1").await;
    running.logs("opened anew").await;
    client.get("/last").await;
    running.logs("can be written again").await;
    running.signal("TERM").await;
    running.exit_code().await;
    assert_eq!(running.said.matches("cannot be written").count(), 1, "{}", running.said);
    // With what was still queued when the file was opened anew.
    let lines = std::fs::read_to_string(&log).unwrap();
    assert!(lines.lines().last().is_some_and(|last| last.contains("\"/last\"")), "{lines}");
}
