//! What is pushed outlives the process: restarts, full disks, kills in the middle, and a file that has changed meanwhile.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tamis_tests::command::{Running, output, stderr, stdout};
use tamis_tests::guests::Watched;
use tamis_tests::{Answer, Edge, Proxy, client, guest, refused, scenario};
use tempfile::TempDir;

const TAMIS: &str = env!("CARGO_BIN_EXE_tamis-cli");

/// `stamp` with this module, and a state directory.
fn stamping(module: impl std::fmt::Display, state: &Path) -> String {
    format!(
        "[listeners.edge]\nlisten = '127.0.0.1:0'\nfilters = ['stamp']\n[filters.stamp]\nmodule = '{module}'\n[state]\ndirectory = '{}'\n",
        state.display()
    )
}

/// Between two looks at something that nobody announces.
async fn pause() {
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
}

/// In a folder that is not there yet.
fn state() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("var/state");
    (folder, state)
}

async fn load(proxy: &Proxy, name: &str) -> Answer {
    proxy.operator().await.request("PUT", "/filters/stamp/module").body(guest(name).bytes()).await
}

/// What every answer is stamped with, the proxy's own 404 too.
async fn stamp(proxy: &Proxy) -> String {
    proxy.client().await.get("/").await.header("x-stamp").expect("a stamp").to_owned()
}

scenario!(what_is_pushed_survives_a_restart);
async fn what_is_pushed_survives_a_restart() {
    let (_folder, state) = state();
    let text = stamping(guest("stamp-a"), &state);
    let before = {
        let proxy = Edge::HTTP1_PLAIN.proxy(&text);
        assert_eq!(load(&proxy, "stamp-b").await.json()["kept"], true);
        proxy.operator().await.request("PUT", "/filters/stamp/config").body("{}").await;
        proxy.filter("stamp").await
    };
    let proxy = Edge::HTTP1_PLAIN.proxy(&text);
    assert_eq!(stamp(&proxy).await, "b");
    let after = proxy.filter("stamp").await;
    for same in ["hash", "config_hash", "from", "version", "history"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    // The way back is there still, and what is gone back to survives as well.
    for _ in 0..2 {
        assert_eq!(proxy.operator().await.post("/filters/stamp/rollback", "").await.status, 200);
    }
    drop(proxy);
    let proxy = Edge::HTTP1_PLAIN.proxy(&text);
    assert_eq!(stamp(&proxy).await, "a");
    assert_eq!(proxy.operator().await.post("/filters/stamp/rollback", "{\"to\": 2}").await.status, 200);
    assert_eq!(stamp(&proxy).await, "b");
    assert_eq!(proxy.operator().await.request("DELETE", "/filters/stamp").await.status, 200);
    drop(proxy);
    assert_eq!(std::fs::read_dir(state.join("filters")).unwrap().count(), 0, "nothing is left");
    assert_eq!(stamp(&Edge::HTTP1_PLAIN.proxy(&text)).await, "a");
}

scenario!(a_pushed_configuration_survives_a_restart);
async fn a_pushed_configuration_survives_a_restart() {
    let (_folder, state) = state();
    let text = stamping("builtin:headers", &state);
    let config = json!({ "response": { "set": { "x-stamp": "pushed" } } }).to_string();
    for _ in 0..2 {
        let proxy = Edge::HTTP1_PLAIN.proxy(&text);
        let answer = proxy.operator().await.request("PUT", "/filters/stamp/config").body(config.clone()).await;
        assert_eq!((answer.status, &answer.json()["version"]), (200, &json!(2)), "the same again is no version of its own");
        assert_eq!(stamp(&proxy).await, "pushed");
    }
    assert_eq!(stamp(&Edge::HTTP1_PLAIN.proxy(&text)).await, "pushed");
}

scenario!(a_filter_that_left_the_file_finds_its_push_again);
async fn a_filter_that_left_the_file_finds_its_push_again() {
    let (_folder, state) = state();
    let proxy = Edge::HTTP1_PLAIN.proxy(stamping(guest("stamp-a"), &state));
    load(&proxy, "stamp-b").await;
    let without = format!("[listeners.edge]\n[state]\ndirectory = '{}'", state.display());
    proxy.rewrite(&without);
    while proxy.admin("/filters").await.json()["waiting"] != json!(["stamp"]) {
        pause().await;
    }
    assert_eq!(proxy.admin("/filters/stamp").await.json()["waiting"], true);
    drop(proxy);
    let proxy = Edge::HTTP1_PLAIN.proxy(&without);
    assert_eq!(proxy.admin("/filters").await.json()["waiting"], json!(["stamp"]));
    proxy.rewrite(stamping(guest("stamp-a"), &state));
    while proxy.admin("/filters").await.json()["waiting"] != json!([]) {
        pause().await;
    }
    assert_eq!(stamp(&proxy).await, "b");
}

scenario!(one_directory_is_of_one_process);
async fn one_directory_is_of_one_process() {
    let (_folder, state) = state();
    let text = stamping(guest("stamp-a"), &state);
    let _proxy = Edge::HTTP1_PLAIN.proxy(&text);
    assert!(refused(&text).contains("in use by another process"));
}

scenario!(a_state_that_is_damaged_is_told);
async fn a_state_that_is_damaged_is_told() {
    let (_folder, state) = state();
    let text = stamping(guest("stamp-a"), &state);
    let pushed = load(&Edge::HTTP1_PLAIN.proxy(&text), "stamp-b").await.json()["hash"].clone();
    let hash = pushed.as_str().unwrap().trim_start_matches("sha256:");
    let module = state.join(format!("filters/stamp/{hash}.wasm"));
    std::fs::write(&module, &guest("stamp-b").bytes()[..100]).unwrap();
    let said = refused(&text);
    assert!(said.contains(module.to_str().unwrap()) && said.contains("SHA-256"), "{said}");
    assert!(module.exists(), "nothing is thrown away");
}

/// A proxy in a process of its own, and where it and its admin are.
struct Process {
    running: Running,
    edge: SocketAddr,
    admin: SocketAddr,
}

impl Process {
    async fn start(text: &str, file: &Path, more: &[&str]) -> Self {
        std::fs::write(file, format!("workers = 1\naccess-log = {{ output = 'off' }}\ndrain = {{ pre-stop = '0s' }}\nadmin = {{ listen = '127.0.0.1:0' }}\n{text}"))
            .unwrap();
        let mut running = Running::start(TAMIS, &[&["run", "-c", file.to_str().unwrap()], more].concat());
        let admin = address(&running.logs("admin address=").await);
        let edge = address(&running.logs("listener=edge").await);
        Self { running, edge, admin }
    }

    /// At once, and for certain.
    async fn ends(mut self) {
        self.running.signal("KILL").await;
        self.running.exit_code().await;
    }

    async fn stamp(&self) -> String {
        client::connect(self.edge).open().await.get("/").await.header("x-stamp").expect("a stamp").to_owned()
    }

    async fn filter(&self) -> Value {
        client::connect(self.admin).name(&self.admin.to_string()).open().await.get("/filters/stamp").await.json()
    }
}

fn address(line: &str) -> SocketAddr {
    let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    address.unwrap_or_else(|| panic!("no address in {line}"))
}

scenario!(a_file_that_has_changed_meanwhile_is_asked_about);
async fn a_file_that_has_changed_meanwhile_is_asked_about() {
    let (folder, state) = state();
    let module: Watched = guest("stamp-a").watched();
    let text = stamping(&module, &state);
    load(&Edge::HTTP1_PLAIN.proxy(&text), "stamp-b").await;
    module.becomes(&guest("peek"));
    let said = refused(&text);
    assert!(said.contains("the module of filter `stamp`"), "{said}");
    assert!(said.contains("--state=pushed") && said.contains("--state=file"), "{said}");
    let file = folder.path().join("tamis.toml");
    let kept = Process::start(&text, &file, &["--state=pushed"]).await;
    assert_eq!((kept.stamp().await.as_str(), &kept.filter().await["conflict"]), ("b", &Value::Null));
    kept.ends().await;
    let settled = Process::start(&text, &file, &[]).await;
    assert_eq!(settled.stamp().await, "b", "what was decided once is not asked again");
    settled.ends().await;
    module.becomes(&guest("stamp-a"));
    let dropped = Process::start(&text, &file, &["--state=file"]).await;
    assert_eq!((dropped.stamp().await.as_str(), &dropped.filter().await["history"]), ("a", &json!([])));
}

/// The same module with other bytes: a custom section at its end.
fn another(mut module: Vec<u8>, round: u8, push: u8) -> Vec<u8> {
    module.extend([0, 4, 1, b'n', round, push]);
    module
}

scenario!(a_proxy_that_is_killed_while_it_is_pushed_to_starts_again);
async fn a_proxy_that_is_killed_while_it_is_pushed_to_starts_again() {
    let (folder, state) = state();
    let (text, file) = (stamping(guest("stamp-a"), &state), folder.path().join("tamis.toml"));
    let mut last = Value::Null;
    for round in 0..6u8 {
        let process = Process::start(&text, &file, &[]).await;
        let live = process.filter().await;
        // What was answered is kept. A push that was not answered any more may be as well, but only that one.
        if let Some(version) = last.as_u64() {
            let found = live["version"].as_u64().expect("a version");
            assert!(found == version || found == version + 1, "answered {version}, found {live}");
        }
        let (admin, before) = (process.admin, live["version"].as_u64());
        let pushing = tokio::spawn(async move {
            let operator = client::connect(admin).name(&admin.to_string()).open().await;
            let mut last = live["version"].clone();
            for push in 0u8.. {
                let module = another(guest("stamp-b").bytes(), round, push);
                match operator.request("PUT", "/filters/stamp/module").body(module).whole().await {
                    Ok(answer) => last = answer.json()["version"].clone(),
                    Err(_) => break,
                }
            }
            last
        });
        // Somewhere in the middle of a push, in another place each time.
        while process.filter().await["version"].as_u64() <= before {
            pause().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(17 * u64::from(round))).await;
        process.ends().await;
        last = pushing.await.unwrap();
    }
    assert!(last.is_u64(), "pushes were answered");
}

/// A file system of its own, with little room.
struct Tiny(PathBuf);

impl Tiny {
    async fn mount(folder: &Path, bytes: usize) -> Option<Self> {
        let size = format!("size={bytes},mode=700");
        let mounted = output("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", folder.to_str().unwrap()]).await;
        mounted.status.success().then(|| Self(folder.to_owned()))
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

scenario!(nothing_goes_live_that_a_full_disk_cannot_keep);
async fn nothing_goes_live_that_a_full_disk_cannot_keep() {
    let folder = tempfile::tempdir().unwrap();
    let room = guest("stamp-b").bytes().len() / 2;
    let Some(_tiny) = Tiny::mount(folder.path(), room).await else {
        return eprintln!("skipped: only root can mount a file system that is full");
    };
    let proxy = Edge::HTTP1_PLAIN.proxy(stamping(guest("stamp-a"), folder.path()));
    let before = proxy.filter("stamp").await;
    for _ in 0..2 {
        let answer = load(&proxy, "stamp-b").await;
        assert_eq!(answer.status, 507, "{}", answer.text());
        assert!(answer.json()["error"].as_str().unwrap().contains("no room"), "{}", answer.text());
        assert_eq!((proxy.filter("stamp").await, stamp(&proxy).await.as_str()), (before.clone(), "a"));
    }
    let small = proxy.operator().await.request("PUT", "/filters/stamp/config").body("{}\n").await;
    assert_eq!(small.status, 200, "what was half written is gone, so there is room: {}", small.text());
}

/// `tamis filter …` against this proxy: whether it succeeded, and what it said.
async fn filter(proxy: &Proxy, arguments: &[&str]) -> (bool, String) {
    let admin = format!("http://{}", proxy.admin_address());
    let ran = output(TAMIS, &[&["filter"], arguments, &["--admin", &admin]].concat()).await;
    (ran.status.success(), format!("{}{}", stdout(&ran), stderr(&ran)))
}

scenario!(the_command_line_speaks_to_the_admin);
async fn the_command_line_speaks_to_the_admin() {
    let (folder, state) = state();
    let token = folder.path().join("token");
    std::fs::write(&token, "a-token-for-this-test").unwrap();
    let text = format!("{}\n[admin]\ntoken-file = '{}'", stamping(guest("stamp-a"), &state), token.display());
    let proxy = Edge::HTTP1_PLAIN.proxy(text);
    let (module, token) = (guest("stamp-b").to_string(), token.display().to_string());
    let with_token = |arguments: &[&'static str]| [arguments, &["--token-file"]].concat();
    let (succeeded, said) = filter(&proxy, &["load", "stamp", &module]).await;
    assert!(!succeeded && said.contains("--token-file"), "{said}");
    let (succeeded, said) = filter(&proxy, &["load", "stamp", &module, "--token-file", &token]).await;
    assert!(succeeded && said.contains("version 2 is live"), "{said}");
    assert_eq!(stamp(&proxy).await, "b");
    let (_, said) = filter(&proxy, &["list"]).await;
    assert!(said.lines().nth(1).is_some_and(|row| row.starts_with("stamp  2 ") && row.ends_with(" ok")), "{said}");
    let (_, said) = filter(&proxy, &["list", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&said).expect("JSON")["filters"][0]["version"], 2);
    let bad = folder.path().join("bad.wasm");
    std::fs::write(&bad, "no module").unwrap();
    let (succeeded, said) = filter(&proxy, &["load", "stamp", bad.to_str().unwrap(), "--token-file", &token]).await;
    assert!(!succeeded && said.contains("expected a WebAssembly module") && said.contains("nothing has changed"), "{said}");
    let config = folder.path().join("config.json");
    std::fs::write(&config, "{}").unwrap();
    let (succeeded, said) = filter(&proxy, &["config", "stamp", config.to_str().unwrap(), "--token-file", &token]).await;
    assert!(succeeded && said.contains("version 3"), "{said}");
    let (_, said) = filter(&proxy, &["list", "stamp"]).await;
    assert!(said.lines().any(|line| line.starts_with("live  3")), "{said}");
    for (arguments, says) in [
        (with_token(&["rollback", "stamp", "--to", "1"]), "version 1 is live"),
        (with_token(&["rollback", "stamp", "--to", "3"]), "version 3 is live"),
        (with_token(&["rollback", "stamp"]), "version 2 is live"),
        (with_token(&["reset", "stamp"]), "what the file says is live"),
    ] {
        let arguments: Vec<&str> = arguments.into_iter().chain([token.as_str()]).collect();
        let (succeeded, said) = filter(&proxy, &arguments).await;
        assert!(succeeded && said.contains(says), "{arguments:?}: {said}");
    }
    assert_eq!(stamp(&proxy).await, "a");
    let (succeeded, said) = filter(&proxy, &["list", "other"]).await;
    assert!(!succeeded && said.contains("`stamp`"), "{said}");
}
