//! The configuration through the admin: shown, checked, replaced, gone back from.

use serde_json::{Value, json};
use tamis_tests::command::{output, stdout};
use tamis_tests::{Answer, Edge, Proxy, origin, proxy, scenario};

const TAMIS: &str = env!("CARGO_BIN_EXE_tamis-cli");

/// As it runs, password and all.
fn text(proxy: &Proxy) -> String {
    std::fs::read_to_string(proxy.file()).expect("the configuration is there")
}

async fn put(proxy: &Proxy, query: &str, text: &str) -> Answer {
    proxy.operator().await.request("PUT", &format!("/config{query}")).body(text.to_owned()).await
}

async fn post(proxy: &Proxy, path: &str, body: &str) -> Answer {
    proxy.operator().await.post(path, body.to_owned()).await
}

/// What the edge answers with, on a connection of its own.
async fn served(proxy: &Proxy) -> u16 {
    proxy.client().await.get("/").await.status
}

async fn live(proxy: &Proxy) -> Value {
    proxy.admin("/config/versions").await.json()
}

scenario!(a_configuration_is_put_and_gone_back_from);
async fn a_configuration_is_put_and_gone_back_from() {
    let origin = origin().route("/", "hello").run();
    let proxy = proxy("[listeners.edge]");
    assert_eq!(served(&proxy).await, 404);
    let next = text(&proxy).replace(
        "[listeners.edge]",
        &format!("[clusters.new]\nendpoints = [\"{origin}\"]\n\n[listeners.edge]\ncluster = \"new\""),
    );
    let tried = put(&proxy, "?dry-run", &next).await;
    assert_eq!(tried.status, 200, "{}", tried.text());
    let tried = tried.json();
    assert_eq!((&tried["dry_run"], &tried["version"]), (&json!(true), &json!(1)));
    assert_eq!((&tried["added"], &tried["changed"]), (&json!(["clusters.new"]), &json!(["listeners.edge"])), "{tried}");
    assert_eq!(served(&proxy).await, 404, "it was only tried");
    let done = put(&proxy, "?version=1", &next).await.json();
    assert_eq!((&done["version"], &done["previous"], &done["from"]), (&json!(2), &json!(1), &json!("put")), "{done}");
    assert_eq!((&done["holds"], &done["kept"]), (&json!("put"), &json!(false)));
    assert_eq!(served(&proxy).await, 200);
    let shown = proxy.admin("/config").await;
    assert_eq!((shown.text(), shown.header("etag")), (next.as_str(), Some("\"2\"")));
    let differs = proxy.admin("/config/diff").await.json();
    assert_eq!(differs["differs"], true);
    assert!(differs["diff"].as_str().is_some_and(|diff| diff.contains("\n+[clusters.new]\n")), "{differs}");
    // A reload that is asked for does not bring the file back.
    proxy.handle().reload();
    let back = post(&proxy, "/config/rollback", "{}").await.json();
    assert_eq!((&back["version"], &back["from"], &back["holds"]), (&json!(3), &json!("rollback"), &json!("file")), "{back}");
    assert_eq!(served(&proxy).await, 404);
    assert_eq!(post(&proxy, "/config/rollback", "{\"to\": 2}").await.json()["version"], 4);
    assert_eq!(served(&proxy).await, 200);
    let reset = proxy.operator().await.request("DELETE", "/config").await.json();
    assert_eq!((&reset["version"], &reset["holds"]), (&json!(5), &json!("file")));
    assert_eq!((served(&proxy).await, proxy.admin("/config/diff").await.json()["differs"].clone()), (404, json!(false)));
    let versions = live(&proxy).await;
    let numbers: Vec<_> = versions["versions"].as_array().expect("a list").iter().map(|version| &version["version"]).collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
}

scenario!(every_mistake_is_told_and_nothing_changes);
async fn every_mistake_is_told_and_nothing_changes() {
    let proxy = proxy("[listeners.edge]");
    let wrong = "[listeners.edge]\nlisten = \"127.0.0.1:0\"\ncluster = \"none\"\n[clusters.a]\nendpoints = [1]\nendpoint = 1\n";
    let checked = post(&proxy, "/config/check", wrong).await.json();
    assert_eq!(checked["ok"], false);
    let lines: Vec<_> = checked["problems"].as_array().expect("a list").iter().map(|problem| problem["line"].clone()).collect();
    assert_eq!(lines, [3, 5, 6], "{checked}");
    let refused = put(&proxy, "", wrong).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.json()["problems"], checked["problems"]);
    assert_eq!(post(&proxy, "/config/check", &text(&proxy)).await.json(), json!({ "ok": true, "problems": [] }));
    let missing = put(&proxy, "", &format!("{}\n[filters.f]\nmodule = 'none.wasm'\n", text(&proxy))).await;
    assert_eq!(missing.status, 422, "{}", missing.text());
    assert_eq!(live(&proxy).await["live"], 1);
}

scenario!(two_operators_do_not_overwrite_each_other);
async fn two_operators_do_not_overwrite_each_other() {
    let proxy = proxy("[listeners.edge]");
    let next = format!("# one\n{}", text(&proxy));
    assert_eq!(put(&proxy, "?version=1", &next).await.status, 200);
    assert_eq!(put(&proxy, "?version=1", &next).await.status, 409);
    let tagged = async |tag: &str| {
        let request = proxy.operator().await.request("PUT", "/config").header("if-match", tag).body(next.clone());
        request.await.status
    };
    assert_eq!((tagged("\"1\"").await, tagged("\"2\"").await, tagged("nonsense").await), (409, 200, 400));
    assert_eq!(post(&proxy, "/config/rollback?version=1", "").await.status, 409);
    assert_eq!(post(&proxy, "/config/rollback", "{\"to\": 99}").await.status, 409);
}

scenario!(what_was_only_tried_or_refused_has_set_nothing);
async fn what_was_only_tried_or_refused_has_set_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let (one, other) = (tamis_tests::guest("stamp-a"), tamis_tests::guest("stamp-b"));
    let proxy = proxy(format!("[modules]\ncache = 'off'\n[listeners.edge]\nfilters = ['f']\n[filters.f]\nmodule = '{one}'"));
    let kept_on_disk = text(&proxy).replace("cache = 'off'", &format!("cache = '{}'", cache.display()));
    assert_eq!(put(&proxy, "?dry-run", &kept_on_disk).await.status, 200);
    let refused = put(&proxy, "", &format!("{kept_on_disk}\n[filters.f.config]\nroutes = []\n")).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    // What either of them was looked at with may be there; what is compiled from now on is not kept.
    let kept = || std::fs::read_dir(&cache).map_or(0, Iterator::count);
    let before = kept();
    let pushed = proxy.operator().await.request("PUT", "/filters/f/module").body(other.bytes()).await;
    assert_eq!((pushed.status, kept()), (200, before), "{}", pushed.text());
}

scenario!(the_file_holds_again_when_it_changes);
async fn the_file_holds_again_when_it_changes() {
    let proxy = proxy("[listeners.edge]");
    assert_eq!(put(&proxy, "", &format!("# put\n{}", text(&proxy))).await.status, 200);
    assert_eq!(live(&proxy).await["holds"], "put");
    proxy.rewrite("[listeners.edge]\n[stores.new]");
    while proxy.metric("tamis_store_entries{store=\"new\"}").await.is_none() {
        tokio::task::yield_now().await;
    }
    let versions = live(&proxy).await;
    assert_eq!(
        (&versions["holds"], &versions["live"], &versions["versions"][0]["from"]),
        (&json!("file"), &json!(3), &json!("file"))
    );
}

scenario!(what_was_put_survives_a_restart_unless_the_file_has_changed);
async fn what_was_put_survives_a_restart_unless_the_file_has_changed() {
    let state = tempfile::tempdir().expect("a folder");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tamis.toml");
    let toml = |more: &str| {
        let cache = tamis_tests::guests::module_cache();
        format!(
            "# {more}\n[listeners.edge]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[access-log]\noutput = \"off\"\n\
             [drain]\npre-stop = \"0s\"\n[modules]\ncache = '{}'\n[state]\ndirectory = '{}'\n",
            cache.display(),
            state.path().display()
        )
    };
    std::fs::write(&file, toml("file")).expect("written");
    let start = || tamis_tests::proxy::at(&file);
    let first = start();
    assert_eq!(put(&first, "", &toml("put")).await.json()["kept"], true);
    drop(first);
    let second = start();
    assert!(second.admin("/config").await.text().starts_with("# put\n"));
    assert_eq!(live(&second).await["live"], 2);
    drop(second);
    std::fs::write(&file, toml("changed")).expect("written");
    let third = start();
    assert!(third.admin("/config").await.text().starts_with("# changed\n"));
    assert_eq!((&live(&third).await["live"], &live(&third).await["holds"]), (&json!(3), &json!("file")));
    assert_eq!(post(&third, "/config/rollback", "").await.json()["from"], "rollback");
    assert!(third.admin("/config").await.text().starts_with("# put\n"));
}

scenario!(passwords_are_not_shown);
async fn passwords_are_not_shown() {
    let redis = "[stores.s]\nbackend = 'redis'\nurl = 'redis://user:geheim@127.0.0.1:1/0'\n";
    let proxy = proxy("[listeners.edge]");
    let next = format!("# redis://a:geheim@b\n{}\n{redis}", text(&proxy));
    assert_eq!(put(&proxy, "", &next).await.status, 200);
    for path in ["/config", "/config?format=json", "/config/diff", "/config/diff?format=text"] {
        let answer = proxy.admin(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(
            !answer.text().contains("geheim") && answer.text().contains("[redacted]@127.0.0.1:1"),
            "{path}: {}",
            answer.text()
        );
    }
}

scenario!(a_body_over_its_limit_is_refused);
async fn a_body_over_its_limit_is_refused() {
    let proxy =
        proxy("[listeners.edge]\nfilters = [\"f\"]\n[filters.f]\nmodule = 'builtin:router'\n[filters.f.config]\nroutes = []");
    let limits = [
        ("PUT", "/config", (64 << 20) + 1),
        ("POST", "/config/check", (64 << 20) + 1),
        ("POST", "/config/rollback", 4097),
        ("PUT", "/filters/f/module", (64 << 20) + 1),
        ("PUT", "/filters/f/config", (64 << 20) + 1),
        ("POST", "/filters/f/rollback", 4097),
        ("PUT", "/log", 4097),
    ];
    for (method, path, length) in limits {
        let mut raw = tamis_tests::Raw::plain(proxy.admin_address()).await;
        let host = proxy.admin_address();
        raw.send(format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n")).await;
        assert_eq!(raw.head().await.status, 413, "{method} {path}");
    }
}

scenario!(the_command_line_changes_the_configuration);
async fn the_command_line_changes_the_configuration() {
    let proxy = Edge::HTTP1_PLAIN.proxy("[listeners.edge]");
    let admin = format!("http://{}", proxy.admin_address());
    let file = proxy.folder().join("next.toml");
    let name = file.display().to_string();
    let run = async |arguments: &[&str]| {
        let all: Vec<_> = ["config"].iter().chain(arguments).copied().chain(["--admin", &admin]).collect();
        let ran = output(TAMIS, &all).await;
        (ran.status.code(), format!("{}{}", stdout(&ran), tamis_tests::command::stderr(&ran)))
    };
    assert_eq!(run(&["diff"]).await.0, Some(0));
    std::fs::write(&file, format!("{}\n[stores.new]\n", text(&proxy))).expect("written");
    assert_eq!(run(&["check", &name]).await.0, Some(0));
    let (code, said) = run(&["apply", &name, "--dry-run"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("stores.new") && said.contains("nothing has changed"), "{said}");
    let (code, said) = run(&["apply", &name]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("version 2 is live") && said.contains("+ stores.new"), "{said}");
    let (code, said) = run(&["diff"]).await;
    assert_eq!(code, Some(2), "it differs");
    assert!(said.contains("+[stores.new]"), "{said}");
    assert!(run(&["versions"]).await.1.contains("put"));
    assert!(run(&["show"]).await.1.contains("[stores.new]"));
    assert_eq!(run(&["apply", &name, "--version", "1"]).await.0, Some(1));
    std::fs::write(&file, "[listeners.edge]\nlisten = 1\n").expect("written");
    let (code, said) = run(&["apply", &name]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("next.toml:2:10: expected an IP address"), "{said}");
    assert_eq!(run(&["check", &name, "--json"]).await.0, Some(1));
    let (code, said) = run(&["rollback"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(run(&["diff"]).await.0, Some(0));
    assert_eq!(run(&["frobnicate"]).await.0, Some(2));
}

scenario!(an_address_that_cannot_be_opened_is_a_mistake_and_no_version);
async fn an_address_that_cannot_be_opened_is_a_mistake_and_no_version() {
    let proxy = proxy("[listeners.edge]");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    let refused = put(&proxy, "", &format!("{}\n[listeners.other]\nlisten = \"{address}\"\n", text(&proxy))).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains(&address.to_string()), "{}", refused.text());
    assert_eq!((&live(&proxy).await["live"], &live(&proxy).await["holds"]), (&json!(1), &json!("file")));
}
