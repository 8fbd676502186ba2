//! The command line: what `tamis check` says, and how `tamis run` starts, reloads and leaves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tamis_tests::command::{Running, output, stderr, stdout};
use tamis_tests::proxy::replace;
use tamis_tests::{Client, Gate, Origin, client, guest, origin, scenario};
use tempfile::TempDir;

const TAMIS: &str = env!("CARGO_BIN_EXE_tamis-cli");

fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tamis.toml");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

/// Everything that a command said, and whether it succeeded.
async fn tamis(command: &str, file: &Path) -> (bool, String) {
    let ran = output(TAMIS, &[command, "-c", file.to_str().unwrap()]).await;
    (ran.status.success(), format!("{}{}", stdout(&ran), stderr(&ran)))
}

const FIVE_MISTAKES: &str = r#"workers = "two"
admin = { listen = ":9901" }
listenrs = {}
listeners.edge = { listen = "0.0.0.0:8080", cluster = "user" }
clusters.users = { endpoints = ["10.0.0.1"] }
"#;

scenario!(five_mistakes_in_five_lines_are_five);
async fn five_mistakes_in_five_lines_are_five() {
    let (_folder, file) = file(FIVE_MISTAKES);
    for command in ["check", "run"] {
        let (succeeded, said) = tamis(command, &file).await;
        assert!(!succeeded, "{command}: {said}");
        let positions: Vec<_> = said.lines().filter(|line| line.contains("--> ")).collect();
        assert_eq!(positions.len(), 5, "{command}: {said}");
        for (position, line) in positions.iter().zip(1..) {
            assert!(position.contains(&format!("tamis.toml:{line}:")), "in order of their lines: {said}");
        }
        assert!(said.contains("`listeners`") && said.contains("\"users\""), "the nearest known names: {said}");
        assert!(said.contains("^^^^^"), "the offending text is underlined: {said}");
    }
}

scenario!(a_valid_file_is_called_valid);
async fn a_valid_file_is_called_valid() {
    let (_folder, file) = file("[listeners.edge]\nlisten = '127.0.0.1:0'\ncluster = 'a'\n[clusters.a]\nendpoints = []\n");
    let (succeeded, said) = tamis("check", &file).await;
    assert!(succeeded, "{said}");
}

scenario!(a_syntax_error_is_told_alone);
async fn a_syntax_error_is_told_alone() {
    let (_folder, file) = file("workers = \"two\"\n[listeners.edge\nlisten = 3\n");
    let (succeeded, said) = tamis("check", &file).await;
    assert!(!succeeded);
    assert!(said.contains("tamis.toml:2:") && !said.contains("tamis.toml:1:"), "{said}");
}

scenario!(what_a_filter_refuses_is_told_by_check);
async fn what_a_filter_refuses_is_told_by_check() {
    let (_folder, file) = file(&format!(
        "[listeners.edge]\nlisten = '127.0.0.1:0'\nfilters = ['f']\n[filters.f]\nmodule = '{}'\n[[filters.f.config.rules]]\nlimit = 1\n[[filters.f.config.rules]]\nlimit = 'x'\n",
        guest("refuse")
    ));
    let (succeeded, said) = tamis("check", &file).await;
    assert!(!succeeded);
    assert!(said.contains("tamis.toml:9:9") && said.contains("expected a number, found \"x\""), "{said}");
}

scenario!(a_missing_file_is_named);
async fn a_missing_file_is_named() {
    for command in ["check", "run"] {
        let (succeeded, said) = tamis(command, Path::new("/nowhere/tamis.toml")).await;
        assert!(!succeeded && said.contains("/nowhere/tamis.toml"), "{command}: {said}");
    }
}

scenario!(an_unknown_command_is_refused);
async fn an_unknown_command_is_refused() {
    let ran = output(TAMIS, &["frobnicate"]).await;
    assert_eq!((ran.status.code(), stderr(&ran).contains("frobnicate")), (Some(2), true));
}

/// A proxy in a process of its own.
struct Process {
    running: Running,
    address: SocketAddr,
    file: PathBuf,
    _folder: TempDir,
}

/// Waits until the proxy listens, and returns where.
async fn address_of(running: &mut Running) -> SocketAddr {
    let line = running.logs("listener=edge").await;
    let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    address.unwrap_or_else(|| panic!("the log tells where the listener is: {line}"))
}

impl Process {
    async fn start(origin: &Origin, more: &str) -> (Self, Client) {
        let (folder, file) = file(&Self::configuration(origin, more));
        let mut running = Running::start(TAMIS, &["run", "-c", file.to_str().unwrap()]);
        let address = address_of(&mut running).await;
        let process = Self { running, address, file, _folder: folder };
        let client = client::connect(address).open().await;
        (process, client)
    }

    fn configuration(origin: &Origin, more: &str) -> String {
        format!(
            "workers = 1\ndrain = {{ pre-stop = '0s', timeout = '5s' }}\n[listeners.edge]\nlisten = '127.0.0.1:0'\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']\n{more}"
        )
    }

    fn rewrite(&self, origin: &Origin, more: &str) {
        replace(&self.file, Self::configuration(origin, more).as_bytes());
    }
}

scenario!(the_access_log_goes_to_standard_output);
async fn the_access_log_goes_to_standard_output() {
    let origin = origin().route("/", "here").run();
    let (mut process, client) = Process::start(&origin, "").await;
    assert_eq!(client.get("/").header("x-request-id", "id-1").await.text(), "here");
    let line: serde_json::Value = serde_json::from_str(&process.running.prints("id-1").await).expect("each line is JSON");
    assert_eq!((&line["status"], &line["reason"]), (&200.into(), &"upstream".into()));
}

scenario!(sigterm_lets_exchanges_finish);
async fn sigterm_lets_exchanges_finish() {
    for signal in ["TERM", "INT"] {
        let gate = Gate::new();
        let origin = origin().gated("/", &gate, "late").run();
        let (mut process, client) = Process::start(&origin, "").await;
        let answer = tokio::spawn(client.get("/").into_future());
        gate.arrived().await;
        process.running.signal(signal).await;
        while tokio::net::TcpStream::connect(process.address).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        gate.open();
        assert_eq!(answer.await.unwrap().text(), "late", "{signal}");
        assert_eq!(process.running.exit_code().await, Some(0), "{signal}: {}", process.running.said);
    }
}

scenario!(a_second_signal_ends_at_once);
async fn a_second_signal_ends_at_once() {
    let gate = Gate::new();
    let origin = origin().gated("/", &gate, "never").run();
    let (mut process, client) = Process::start(&origin, "").await;
    let answer = tokio::spawn(client.get("/").whole());
    gate.arrived().await;
    process.running.signal("INT").await;
    while tokio::net::TcpStream::connect(process.address).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    process.running.signal("INT").await;
    process.running.exit_code().await;
    assert!(answer.await.unwrap().is_err());
}

scenario!(sighup_reads_the_file_again);
async fn sighup_reads_the_file_again() {
    let (one, two) = (origin().route("/", "one").run(), origin().route("/", "two").run());
    let (process, client) = Process::start(&one, "").await;
    assert_eq!(client.get("/").await.text(), "one");
    process.rewrite(&two, "");
    process.running.signal("HUP").await;
    while client.get("/").await.text() != "two" {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

scenario!(a_bad_file_is_told_in_the_log);
async fn a_bad_file_is_told_in_the_log() {
    let origin = origin().route("/", "here").run();
    let (mut process, client) = Process::start(&origin, "").await;
    process.rewrite(&origin, "balance = 'nonsense'\n");
    process.running.signal("HUP").await;
    process.running.logs("nonsense").await;
    assert_eq!(client.get("/").await.text(), "here");
}

scenario!(a_trap_is_told_in_the_log_with_its_backtrace);
async fn a_trap_is_told_in_the_log_with_its_backtrace() {
    let origin = origin().route("/", "here").run();
    let (_folder, file) = file(&format!(
        "[listeners.edge]\nlisten = '127.0.0.1:0'\ncluster = 'origin'\nfilters = ['trap']\n[filters.trap]\nmodule = '{}'\n[clusters.origin]\nendpoints = ['{origin}']\n",
        guest("trap")
    ));
    let mut running = Running::start(TAMIS, &["run", "-c", file.to_str().unwrap()]);
    let client = client::connect(address_of(&mut running).await).open().await;
    assert_eq!(client.get("/").header("x-trap", "here").await.status, 500);
    running.logs("step_on_it").await;
    assert!(running.said.contains("trap"), "which filter: {}", running.said);
}

scenario!(an_address_in_use_stops_the_start);
async fn an_address_in_use_stops_the_start() {
    let origin = origin().route("/", "here").run();
    let (process, _client) = Process::start(&origin, "").await;
    let (_folder, file) = file(&format!("[listeners.edge]\nlisten = '{}'\n", process.address));
    let (succeeded, said) = tamis("run", &file).await;
    assert!(!succeeded && said.contains(&process.address.to_string()), "{said}");
}
