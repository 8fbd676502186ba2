//! What authors do in JavaScript, TypeScript and Python, as their pages say. Their modules have a runtime inside, and take longer
//! than a scenario may.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tamis_tests::command::{repository, stderr, stdout};
use tamis_tests::guests::module_cache;

const TAMIS: &str = env!("CARGO_BIN_EXE_tamis-cli");

fn said(ran: &Output) -> String {
    format!("{}{}", stdout(ran), stderr(ran))
}

/// An empty folder, in which `bin` has nothing but `tamis`.
fn workshop(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("scripts-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("bin")).unwrap();
    symlink(TAMIS, folder.join("bin/tamis")).unwrap();
    folder
}

/// Runs lines of a shell in a folder.
fn shell(folder: &Path, script: &str) -> Output {
    let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("/bin/sh");
    shell.args(["-e", "-c", script]).current_dir(folder).env("PATH", path).env("XDG_CACHE_HOME", module_cache());
    shell.output().unwrap()
}

/// The commands of a page's section, as they stand there.
fn first_five_minutes(page: &str) -> String {
    let page = std::fs::read_to_string(repository().join("docs/languages").join(page)).unwrap();
    let section = page.split("## The first five minutes").nth(1).expect("the page has that section");
    section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("it has commands").to_owned()
}

/// The project builds, answers and can be checked.
fn holds(folder: &Path, commands: &str) -> Output {
    let ran = shell(folder, commands);
    assert!(ran.status.success(), "{}", said(&ran));
    let shown = [
        "request-chunk",
        "request         replied",
        "+ note closed: /shop",
        "the client got 503 Service Unavailable",
        "no mistakes found",
    ];
    for shown in shown {
        assert!(said(&ran).contains(shown), "{shown}: {}", said(&ran));
    }

    // What is refused says where; everything else passes. The module is compiled by now.
    let test = |arguments: &str| shell(folder, &format!("cd hello; tamis filter test dist/hello.wasm {arguments}"));
    let refused = test(r#"--config '{"closed": ["/shop", "blog"]}'"#);
    assert!(!refused.status.success() && stderr(&refused).contains("closed[1]: expected a path"), "{}", said(&refused));
    let refused = test(r#"--config '{"closed": [], "opened": []}'"#);
    assert!(!refused.status.success() && stderr(&refused).contains("unknown key"), "{}", said(&refused));
    let passed = test(r#"--config '{"closed": ["/shop"]}' --request 'GET /shopping'"#);
    assert!(stdout(&passed).contains("x-filter: hello") && stdout(&passed).contains("200 OK"), "{}", said(&passed));
    ran
}

#[test]
fn filters_in_javascript_and_typescript_as_their_page_says() {
    let folder = workshop("javascript");
    let ran = shell(&repository().join("sdk/js"), "node --test test/");
    assert!(ran.status.success(), "{}", said(&ran));
    let commands = first_five_minutes("javascript.md");
    let ran = holds(&folder, &commands);
    assert!(said(&ran).contains("pass 2"), "{}", said(&ran));

    // The same tools serve the project in TypeScript, whose types are checked; it is built and tested in node.
    let ran = shell(
        &folder,
        "tamis filter new typed --lang ts; cd typed; mkdir node_modules; ln -s ../tamis-sdk node_modules/tamis-sdk
         [ -d ../hello/tamis-sdk/node_modules ] && tools=../../hello/tamis-sdk/node_modules || tools=../../hello/node_modules
         ln -s $tools tamis-sdk/node_modules",
    );
    assert!(ran.status.success(), "{}", said(&ran));
    symlink(repository().join("sdk/js/node_modules/typescript"), folder.join("typed/node_modules/typescript")).unwrap();
    let test = "cd typed; export PATH=$PWD/node_modules/typescript/bin:$PWD/tamis-sdk/bin:$PATH
        tsc; node tamis-sdk/bin/tamis-build.js src/filter.ts --bundle dist/filter.js; node --test test/";
    let ran = shell(&folder, test);
    assert!(ran.status.success() && said(&ran).contains("pass 2"), "{}", said(&ran));
    std::fs::write(folder.join("typed/src/wrong.ts"), "import { log } from 'tamis-sdk';\nlog.enabled('loud');\n").unwrap();
    let ran = shell(&folder, test);
    assert!(!ran.status.success() && said(&ran).contains("'\"loud\"' is not assignable"), "{}", said(&ran));

    // What does not build is told by its tools, and by us.
    std::fs::write(folder.join("hello/src/filter.js"), "nothing of the kind").unwrap();
    let broken = shell(&folder, "tamis filter build hello");
    assert!(!broken.status.success() && stderr(&broken).contains("does not build"), "{}", said(&broken));
}

#[test]
fn a_filter_in_python_as_its_page_says() {
    let folder = workshop("python");
    let ran = shell(&repository().join("sdk/python"), "PYTHONPATH=src python3 -B -m unittest discover -s test");
    assert!(ran.status.success() && said(&ran).contains("OK"), "{}", said(&ran));
    holds(&folder, &first_five_minutes("python.md"));
    let ran = shell(&folder, "cd hello; .venv/bin/python -m unittest");
    assert!(ran.status.success() && said(&ran).contains("Ran 2 tests"), "{}", said(&ran));
    std::fs::write(folder.join("hello/filter.py"), "nothing of the kind").unwrap();
    let broken = shell(&folder, "tamis filter build hello");
    assert!(!broken.status.success() && stderr(&broken).contains("does not build"), "{}", said(&broken));
}

#[test]
fn a_module_that_begins_with_more_than_its_memory_is_told_what_to_set() {
    let folder = workshop("memory");
    let wat = r#"(component
        (core module $m (memory 400) (func (export "tick")))
        (core instance $i (instantiate $m))
        (func $tick (canon lift (core func $i "tick")))
        (instance $hook (export "on-tick" (func $tick)))
        (export "tamis:filter/tick-hook@0.1.0" (instance $hook)))"#;
    std::fs::write(folder.join("large.wasm"), wat::parse_str(wat).unwrap()).unwrap();
    let config = "[listeners.edge]\nlisten = '127.0.0.1:0'\nfilters = ['large']\n[filters.large]\nmodule = 'large.wasm'\n";
    std::fs::write(folder.join("tamis.toml"), config).unwrap();
    let ran = shell(&folder, "tamis check -c tamis.toml");
    let expected = "it begins with 26214400 bytes of memory and may have 16777216: set its `memory` to \"40MiB\" or more";
    assert!(!ran.status.success() && said(&ran).contains(expected), "{}", said(&ran));
    std::fs::write(folder.join("tamis.toml"), format!("{config}memory = '40MiB'\n")).unwrap();
    let ran = shell(&folder, "tamis check -c tamis.toml");
    assert!(ran.status.success(), "{}", said(&ran));
}
