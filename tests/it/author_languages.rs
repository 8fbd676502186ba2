//! What authors do in languages but Rust: new, build and test, as their pages say; and filters without an SDK.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tamis_tests::command::{output, python, repository, stderr, stdout};
use tamis_tests::guests::module_cache;
use tamis_tests::languages::{built_example, conformance_guest, is_left_out, path_with_tools};
use tamis_tests::{origin, proxy, scenario};

const TAMIS: &str = env!("CARGO_BIN_EXE_tamis-cli");

fn said(ran: &Output) -> String {
    format!("{}{}", stdout(ran), stderr(ran))
}

/// An empty folder, in which `bin` has nothing but `tamis`.
fn workshop(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("language-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("bin")).unwrap();
    symlink(TAMIS, folder.join("bin/tamis")).unwrap();
    folder
}

/// Runs lines of a shell in a folder, with these folders on the path.
fn shell(folder: &Path, path: &str, script: &str) -> Output {
    let path = format!("{}:{path}", folder.join("bin").display());
    let mut shell = Command::new("/bin/sh");
    shell.args(["-e", "-c", script]).current_dir(folder).env("PATH", path).env("XDG_CACHE_HOME", module_cache());
    shell.env_remove("CARGO");
    shell.output().unwrap()
}

/// The commands of a page's section, as they stand there.
fn first_five_minutes(page: &str) -> String {
    let page = std::fs::read_to_string(repository().join("docs/languages").join(page)).unwrap();
    let section = page.split("## The first five minutes").nth(1).expect("the page has that section");
    section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("it has commands").to_owned()
}

/// A project as its page makes it: it builds, answers and can be checked.
fn the_page_holds(language: &str) {
    if is_left_out(language) {
        return;
    }
    let folder = workshop(language);
    let ran = shell(&folder, &path_with_tools(), &first_five_minutes(&format!("{language}.md")));
    assert!(ran.status.success(), "{}", said(&ran));
    for shown in [
        "hooks           request, response",
        "request         replied",
        "+ note closed: /shop",
        "the client got 503 Service Unavailable",
    ] {
        assert!(stdout(&ran).contains(shown) || language == "go" && shown.starts_with("hooks"), "{shown}: {}", said(&ran));
    }

    // The project has a test, which ran.
    let ran_natively = if language == "go" { "ok  \thello" } else { "6 cases, 0 failed" };
    assert!(stdout(&ran).contains(ran_natively), "{}", said(&ran));

    // What is refused says where; everything else passes.
    let module = folder.join("hello/build/hello.wasm");
    let test = |arguments: &str| shell(&folder, "", &format!("tamis filter test {} {arguments}", module.display()));
    let refused = test(r#"--config '{"closed": ["/shop", "blog"]}'"#);
    assert!(!refused.status.success() && stderr(&refused).contains("closed[1]: expected a path"), "{}", said(&refused));
    let refused = test(r#"--config '{"closed": [], "opened": []}'"#);
    assert!(!refused.status.success() && stderr(&refused).contains("unknown key"), "{}", said(&refused));
    let passed = test(r#"--config '{"closed": ["/shop"]}' --request 'GET /shopping'"#);
    assert!(stdout(&passed).contains("x-filter: hello") && stdout(&passed).contains("200 OK"), "{}", said(&passed));

    // The module has the name of the project, wherever that lies.
    let ran = shell(&folder, &path_with_tools(), "cp -r hello elsewhere; rm -r elsewhere/build; tamis filter build elsewhere");
    assert!(ran.status.success() && stdout(&ran).contains("elsewhere/build/hello.wasm"), "{}", said(&ran));

    // What does not build is told by its tools, and by us.
    let source = if language == "c" { "src/filter.c" } else { "main.go" };
    std::fs::write(folder.join("hello").join(source), "nothing of the kind").unwrap();
    let broken = shell(&folder, &path_with_tools(), "tamis filter build hello");
    assert!(!broken.status.success() && stderr(&broken).contains("does not build"), "{}", said(&broken));
}

scenario!(a_filter_in_c_as_its_page_says);
async fn a_filter_in_c_as_its_page_says() {
    the_page_holds("c");
}

scenario!(a_filter_in_go_as_its_page_says);
async fn a_filter_in_go_as_its_page_says() {
    if !is_left_out("go") {
        let ran = shell(&repository().join("sdk/go"), &path_with_tools(), "go vet ./... && go test ./tamistest/");
        assert!(ran.status.success() && stdout(&ran).contains("ok"), "{}", said(&ran));
    }
    the_page_holds("go");
}

/// No scenario, because to compile the module, and its image, takes longer than one may.
#[test]
fn the_runtime_of_go_starts_once() {
    if is_left_out("go") {
        return;
    }
    let module = conformance_guest("go");
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let origin = origin().run();
        let fresh = "isolation = 'fresh'\nconfig = { greeting = 'hello' }";
        let proxy = proxy(through(&module, &origin, fresh));
        let configured = proxy.filter("f").await["configured"].clone();
        assert_eq!(configured["as"], "image", "{configured}");
        let client = proxy.client().await;
        for _ in 0..20 {
            let answer = client.get("/").header("do-request", "config").await;
            assert_eq!(answer.header("x-did"), Some("config =hello"), "{answer:?}");
        }
        // Its collector has come many times by the end of this, and its heap has grown beside what the proxy hands over.
        let reused = tamis_tests::proxy(format!("workers = 1\n{}", through(&module, &origin, "isolation = 'reuse'")));
        let client = reused.client().await;
        for turn in 0..600 {
            let answer = client.get("/").header("do-request", "entropy.bytes 900").await;
            assert!(answer.header("x-did").is_some_and(|did| did.len() > 900), "{turn}: {answer:?}");
        }
    });
}

scenario!(a_tool_that_is_missing_is_named);
async fn a_tool_that_is_missing_is_named() {
    let folder = workshop("missing");
    for (language, tool, advice) in [
        ("go", "`go`", "go.dev"),
        ("c", "`make`", "apt-get install"),
        ("js", "`node`", "nodejs.org"),
        ("ts", "`node`", "nodejs.org"),
        ("python", "`python3`", "python.org"),
        ("rust", "cargo", "rustup"),
    ] {
        // An empty path but for `tamis` itself.
        let ran =
            shell(&folder, "", &format!("tamis filter new a-{language} --lang {language}; tamis filter build a-{language}"));
        assert!(!ran.status.success(), "{language}: {}", said(&ran));
        assert!(stderr(&ran).contains(tool) && stderr(&ran).contains(advice), "{language}: {}", said(&ran));
    }
    let ran = output(TAMIS, &["filter", "build", folder.to_str().unwrap()]).await;
    assert!(!ran.status.success() && stderr(&ran).contains("go.mod") && stderr(&ran).contains("filter new"), "{}", said(&ran));
    let ran = output(TAMIS, &["filter", "new", "x", "--lang", "cobol"]).await;
    assert!(!ran.status.success() && stderr(&ran).contains("go") && stderr(&ran).contains("rust"), "{}", said(&ran));
}

/// A configuration that sends everything through one module, with more keys of its table.
fn through(module: &Path, origin: impl std::fmt::Display, more: &str) -> String {
    format!(
        "[listeners.edge]\ncluster = 'origin'\nfilters = ['f']\n[filters.f]\nmodule = '{}'\ndeadline = '1s'\n{more}\n\
         [clusters.origin]\nendpoints = ['{origin}']\n",
        module.display()
    )
}

scenario!(a_filter_in_assemblyscript_runs);
async fn a_filter_in_assemblyscript_runs() {
    let example = repository().join("examples/assemblyscript");
    if !example.join("node_modules").exists() {
        eprintln!("SKIPPED: the compiler of AssemblyScript is not there; scripts/test-deps installs it");
        return;
    }
    let module = built_example(&example, &|file| {
        let mut npm = Command::new("npm");
        npm.args(["run", "--silent", "build", "--", "--outFile"]).arg(file).current_dir(&example);
        npm
    });
    let origin = origin().route("*", "").run();
    let proxy = proxy(through(&module, &origin, ""));
    let client = proxy.client().await;
    for (path, status) in [("/.git/config", 404), ("/a/.env", 404), ("/.well-known/x", 200), ("/a.b", 200)] {
        assert_eq!(client.get(path).await.status, status, "{path}");
    }
    assert_eq!(client.get("/.git").await.text(), "there is nothing here\n");
}

scenario!(a_filter_in_zig_runs);
async fn a_filter_in_zig_runs() {
    let example = repository().join("examples/zig");
    let zig = |arguments: &[&str]| Command::new(python()).args(["-m", "ziglang"]).args(arguments).output();
    if !zig(&["version"]).is_ok_and(|ran| ran.status.success()) {
        eprintln!("SKIPPED: the compiler of Zig is not there; scripts/test-deps installs it");
        return;
    }
    let module = built_example(&example, &|file| {
        let mut build = Command::new("sh");
        build.arg(example.join("build.sh")).arg(file).env("PYTHON", python());
        build
    });
    let origin = origin().run();
    let proxy = proxy(through(&module, &origin, ""));
    let client = proxy.client().await;
    for (sent, seen) in [("/a?x=1&utm_source=m&y=2", "/a?x=1&y=2"), ("/a?gclid=7", "/a"), ("/a?x", "/a?x"), ("/a", "/a")] {
        client.get(sent).await;
        assert_eq!(origin.requests().last().unwrap().target, seen, "{sent}");
    }
}
