//! `tamis top`, and what shells and readers of manual pages are given.

use serde_json::{Value, json};
use tamis_tests::command::{output, python, python_script, stderr, stdout};
use tamis_tests::{Edge, Proxy, chain, origin, scenario};

const TAMIS: &str = env!("CARGO_BIN_EXE_tamis-cli");

fn admin(proxy: &Proxy) -> String {
    format!("http://{}", proxy.admin_address())
}

scenario!(a_sample_for_machines_and_a_table_for_people);
async fn a_sample_for_machines_and_a_table_for_people() {
    let origin = origin().route("/", "here").run();
    let filter = "[filters.headers]\nmodule = 'builtin:headers'\n[filters.headers.config.response]\nset = { x-a = 'b' }\n";
    let toml = chain(&origin, &[]).replace("filters = []", "filters = ['headers']");
    let proxy = Edge::HTTP1_PLAIN.proxy(format!("{toml}{filter}"));
    let client = proxy.client().await;
    let traffic = tokio::spawn(async move {
        loop {
            client.get("/").await;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    let sampled = output(TAMIS, &["top", "--json", "--admin", &admin(&proxy)]).await;
    let table = output(TAMIS, &["top", "--once", "--admin", &admin(&proxy)]).await;
    traffic.abort();
    assert_eq!(sampled.status.code(), Some(0), "{}", stderr(&sampled));
    let sample: Value = serde_json::from_str(stdout(&sampled)).expect("JSON");
    let rows = sample["traffic"].as_array().expect("a list");
    let edge = rows.iter().find(|row| row["listener"] == "edge" && row["cluster"].is_null()).expect("the listener");
    assert!(edge["requests_per_second"].as_f64() > Some(0.0) && edge["success"] == json!(1.0), "{sample:#}");
    let latency = &edge["latency_ms"];
    assert!(latency["p50"].as_f64() > Some(0.0) && latency["p50"].as_f64() <= latency["p99"].as_f64(), "{sample:#}");
    assert!(rows.iter().any(|row| row["cluster"] == "origin"), "{sample:#}");
    assert!(sample["filters"][0]["calls_per_second"].as_f64() > Some(0.0), "{sample:#}");
    let said = stdout(&table);
    let row = |name: &str| said.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{said}"));
    assert!(row("LISTENER / CLUSTER").contains("P99") && row("edge").contains("100 %"), "{said}");
    assert!(row("origin").contains("100 %") && row("headers").contains("us"), "{said}");
}

scenario!(the_terminal_is_given_back_whatever_ends_it);
async fn the_terminal_is_given_back_whatever_ends_it() {
    let origin = origin().route("/", "here").run();
    let proxy = Edge::HTTP1_PLAIN.forward_to(&origin);
    let script = python_script("terminal.py");
    for key in ["q", "esc", "ctrl-c"] {
        let arguments = [script.to_str().unwrap(), "LISTENER", key, TAMIS, "top", "--admin", &admin(&proxy)];
        let ran = output(python(), &arguments).await;
        let told: Value = serde_json::from_str(stdout(&ran)).unwrap_or_else(|_| panic!("{}", stderr(&ran)));
        assert_eq!(told, json!({ "exit": 0, "pressed": true, "entered": true, "left": true }), "{key}");
    }
}

scenario!(without_a_terminal_or_a_proxy_it_says_so);
async fn without_a_terminal_or_a_proxy_it_says_so() {
    let ran = output(TAMIS, &["top"]).await;
    assert_eq!(ran.status.code(), Some(1));
    assert!(stderr(&ran).contains("expected a terminal"), "{}", stderr(&ran));
    let ran = output(TAMIS, &["top", "--once", "--admin", "http://127.0.0.1:1"]).await;
    assert_eq!(ran.status.code(), Some(1));
    assert!(stderr(&ran).contains("cannot connect to 127.0.0.1:1"), "{}", stderr(&ran));
    assert_eq!(output(TAMIS, &["top", "--every", "0"]).await.status.code(), Some(2));
}

scenario!(shells_are_told_of_every_command);
async fn shells_are_told_of_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = output(TAMIS, &["completions", shell]).await;
        assert_eq!(ran.status.code(), Some(0), "{shell}: {}", stderr(&ran));
        for word in ["clusters", "rollback", "token-file"] {
            assert!(stdout(&ran).contains(word), "{shell} knows no {word}");
        }
    }
    // bash takes it.
    let script = output(TAMIS, &["completions", "bash"]).await;
    let checked = output("bash", &["-n", "-c", stdout(&script)]).await;
    assert!(checked.status.success(), "{}", stderr(&checked));
    assert_eq!(output(TAMIS, &["completions", "tcsh"]).await.status.code(), Some(2));
}

scenario!(every_command_has_a_manual_page);
async fn every_command_has_a_manual_page() {
    let page = output(TAMIS, &["man"]).await;
    assert!(stdout(&page).contains(".TH tamis 1") && stdout(&page).contains("Exit codes: 0"), "{}", stdout(&page));
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    assert_eq!(output(TAMIS, &["man", pages.to_str().unwrap()]).await.status.code(), Some(0));
    for name in ["tamis.1", "tamis-run.1", "tamis-top.1", "tamis-filter-list.1"] {
        let page = std::fs::read_to_string(pages.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    assert_eq!(output(TAMIS, &["man", "/dev/null/man1"]).await.status.code(), Some(1));
}
