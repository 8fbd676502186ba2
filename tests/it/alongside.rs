//! An application that runs as the child of the proxy, and commands that wait for one to be ready.

use std::path::PathBuf;

use tamis_tests::command::{Running, output, stderr};
use tamis_tests::{Edge, scenario};
use tempfile::TempDir;

const TAMIS: &str = env!("CARGO_BIN_EXE_tamis-cli");

fn file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tamis.toml");
    std::fs::write(&file, "workers = 1\ndrain = { pre-stop = '0s' }\n[listeners.edge]\nlisten = '127.0.0.1:0'\n").unwrap();
    (folder, file)
}

fn with(file: &std::path::Path, command: &[&str]) -> Running {
    let before = ["run", "-c", file.to_str().unwrap(), "--with", "--"];
    Running::start(TAMIS, &[&before[..], command].concat())
}

scenario!(the_application_starts_when_the_proxy_serves_and_its_exit_code_counts);
async fn the_application_starts_when_the_proxy_serves_and_its_exit_code_counts() {
    let (_folder, file) = file();
    for (command, code) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143)] {
        let mut running = with(&file, &["sh", "-c", command]);
        assert_eq!(running.exit_code().await, Some(code), "{command}: {}", running.said);
        let at = |part: &str| running.said.find(part).unwrap_or_else(|| panic!("{part}: {}", running.said));
        assert!(at("listening") < at("the application runs") && at("the application has ended") < at("drained"));
    }
    let (_folder, file) = self::file();
    assert_eq!(with(&file, &["/nowhere/at/all"]).exit_code().await, Some(127));
    assert_eq!(with(&file, &["/dev/null"]).exit_code().await, Some(126));
    let ran = output(TAMIS, &["run", "-c", file.to_str().unwrap(), "--with"]).await;
    assert_eq!(ran.status.code(), Some(2), "{}", stderr(&ran));
}

scenario!(signals_go_to_the_application_and_the_proxy_outlives_it);
async fn signals_go_to_the_application_and_the_proxy_outlives_it() {
    let (_folder, file) = file();
    for signal in ["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"] {
        let script = format!("trap 'echo heard {signal}; exit 3' {signal}; echo up; while :; do sleep 0.05; done");
        let mut running = with(&file, &["sh", "-c", &script]);
        running.prints("up").await;
        running.signal(signal).await;
        running.prints(&format!("heard {signal}")).await;
        assert_eq!(running.exit_code().await, Some(3), "{signal}: {}", running.said);
        assert!(running.said.contains("drained"), "{signal}: {}", running.said);
    }
}

scenario!(a_second_signal_ends_an_application_that_does_not_end);
async fn a_second_signal_ends_an_application_that_does_not_end() {
    let (_folder, file) = file();
    for signals in [["TERM", "TERM"], ["INT", "QUIT"]] {
        let mut running = with(&file, &["sh", "-c", "trap 'echo heard' TERM INT QUIT; echo up; while :; do sleep 0.05; done"]);
        running.prints("up").await;
        running.signal(signals[0]).await;
        running.prints("heard").await;
        running.signal(signals[1]).await;
        assert_eq!(running.exit_code().await, Some(137), "{signals:?}: {}", running.said);
        assert!(running.said.contains("is killed"), "{}", running.said);
    }
}

/// As the first process of a container, it is the parent of whoever has lost his own.
#[test]
fn what_loses_its_parent_is_no_zombie() {
    let alone = ["--pid", "--fork", "--mount-proc"];
    let may = std::process::Command::new("unshare").args(alone).arg("true").output();
    if !may.is_ok_and(|ran| ran.status.success()) {
        eprintln!("SKIPPED: this needs root and a namespace of processes");
        return;
    }
    let (folder, file) = file();
    // It is gone only when somebody has waited for it.
    let script = "(sh -c 'echo $$ >orphan; exec sleep 0.1' &); until [ -s orphan ]; do sleep 0.02; done
                  while [ -d /proc/$(cat orphan) ]; do sleep 0.02; done; exit 5";
    let ran = std::process::Command::new("timeout")
        .args(["--signal=KILL", "60", "unshare"])
        .args(alone)
        .args(["--kill-child", TAMIS, "run", "-c", file.to_str().unwrap(), "--with", "--", "sh", "-c", script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(5), "{}", stderr(&ran));
}

scenario!(with_an_application_nobody_takes_over);
async fn with_an_application_nobody_takes_over() {
    let (folder, file) = file();
    let socket = folder.path().join("admin.sock");
    let admin = format!("unix:{}", socket.display());
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("admin = {{ listen = '{admin}' }}\n{text}")).unwrap();
    let mut running = with(&file, &["sh", "-c", "echo up; exec sleep 60"]);
    running.prints("up").await;
    assert_eq!(output(TAMIS, &["wait", "--admin", &admin]).await.status.code(), Some(0));
    let ran = output(TAMIS, &["upgrade", "--admin", &admin]).await;
    assert!(!ran.status.success() && stderr(&ran).contains("a child of this process"), "{}", stderr(&ran));
    // Told to leave through the admin, the application is asked to end first.
    let drained =
        output("curl", &["-s", "-X", "POST", "--unix-socket", socket.to_str().unwrap(), "http://localhost/drain"]).await;
    assert!(drained.status.success());
    assert_eq!(running.exit_code().await, Some(143), "{}", running.said);
}

scenario!(who_waits_for_a_proxy_is_told_when_it_is_ready);
async fn who_waits_for_a_proxy_is_told_when_it_is_ready() {
    let proxy = Edge::HTTP1_PLAIN.proxy("[drain]\npre-stop = '30s'\n[listeners.edge]\n");
    let admin = format!("http://{}", proxy.admin_address());
    let wait = async |timeout: &str| output(TAMIS, &["wait", "--admin", &admin, "--timeout", timeout]).await;
    assert_eq!(wait("30s").await.status.code(), Some(0));
    proxy.handle().drain();
    while proxy.admin("/ready").await.status == 200 {
        tokio::task::yield_now().await;
    }
    let ran = wait("100ms").await;
    assert_eq!((ran.status.code(), stderr(&ran).contains("it drains")), (Some(1), true), "{}", stderr(&ran));
    let ran = output(TAMIS, &["wait", "--admin", "http://127.0.0.1:1", "--timeout", "0s"]).await;
    assert_eq!((ran.status.code(), stderr(&ran).contains("127.0.0.1:1")), (Some(1), true), "{}", stderr(&ran));
    assert_eq!(output(TAMIS, &["wait", "--timeout", "soon"]).await.status.code(), Some(2));
}
