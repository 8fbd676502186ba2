//! Configured images: what `configure` left is there in every instance, nobody sees what another wrote, and a start that finds
//! an image configures nothing.

use std::path::Path;

use tamis_tests::command::Running;
use tamis_tests::{Edge, Origin, Proxy, guest, matrix, origin, proxy, scenario};

/// A proxy with one filter in front of an origin. `filter` is the rest of its table.
fn with(origin: &Origin, module: impl std::fmt::Display, filter: &str) -> String {
    format!(
        "[listeners.edge]\ncluster = 'o'\nfilters = ['f']\n[clusters.o]\nendpoints = ['{origin}']\n[filters.f]\nmodule = '{module}'\n{filter}\n"
    )
}

/// The same with a cache of its own.
fn kept(cache: &Path, origin: &Origin, module: impl std::fmt::Display, filter: &str) -> String {
    format!("{}[modules]\ncache = '{}'\n", with(origin, module, filter), cache.display())
}

fn ok() -> Origin {
    origin().route("/", "").run()
}

/// Long enough a list that reading it is worth an image.
fn ranges(count: u32) -> String {
    format!("memory = '64MiB'\nconfig = {{ count = {count} }}")
}

async fn how(proxy: &Proxy) -> (String, String) {
    let configured = proxy.filter("f").await["configured"].clone();
    let word = |key: &str| configured[key].as_str().unwrap_or_default().to_owned();
    (word("as"), if configured["as"] == "image" { word("compiled") } else { word("why") })
}

matrix!(what_configure_left_is_there_in_every_instance);
async fn what_configure_left_is_there_in_every_instance(edge: Edge) {
    let origin = ok();
    let proxy = edge.proxy(with(&origin, guest("ranges"), &ranges(100_000)));
    assert_eq!(how(&proxy).await.0, "image");
    // As many connections as make sure that each worker has some.
    for _ in 0..8 {
        let client = proxy.client().await;
        for (key, hit) in [("10", "yes"), ("1000004", "yes"), ("1000005", "no"), ("9", "no")] {
            let answer = client.get("/").header("x-key", key).await;
            assert_eq!((answer.header("x-hit"), answer.header("x-ranges")), (Some(hit), Some("100000")), "{key}");
        }
    }
}

matrix!(a_fresh_instance_forgets_what_a_hook_wrote);
async fn a_fresh_instance_forgets_what_a_hook_wrote(edge: Edge) {
    let origin = ok();
    let fresh = edge.proxy(with(&origin, guest("keeper"), "isolation = 'fresh'"));
    assert_eq!(how(&fresh).await.0, "image");
    let reusing = edge.proxy(format!("workers = 1\n{}", with(&origin, guest("keeper"), "isolation = 'reuse'")));
    let (fresh, reusing) = (fresh.client().await, reusing.client().await);
    for served in ["1", "2", "3"] {
        let answer = fresh.get("/").await;
        assert_eq!((answer.header("x-exchanges"), answer.header("x-hooks")), (Some("1"), Some("request response")));
        assert_eq!(reusing.get("/").await.header("x-exchanges"), Some(served), "an instance that is used again remembers");
    }
}

scenario!(exchanges_at_once_have_an_instance_each);
async fn exchanges_at_once_have_an_instance_each() {
    let origin = ok();
    let proxy = proxy(with(&origin, guest("keeper"), "isolation = 'fresh'"));
    let mut asking = Vec::new();
    for _ in 0..20 {
        let client = proxy.client().await;
        asking.push(tokio::spawn(async move { client.get("/").await.header("x-exchanges").map(str::to_owned) }));
    }
    for asking in asking {
        assert_eq!(asking.await.unwrap().as_deref(), Some("1"));
    }
}

scenario!(a_filter_that_waits_is_copied_too);
async fn a_filter_that_waits_is_copied_too() {
    let origin = ok();
    let proxy = proxy(with(&origin, guest("sleeper"), "isolation = 'fresh'"));
    assert_eq!(how(&proxy).await.0, "image");
    let client = proxy.client().await;
    for _ in 0..3 {
        let slept = client.get("/").header("x-sleep", "5").await.header("x-slept-ms").map(|ms| ms.parse::<u64>().unwrap());
        assert!(slept.is_some_and(|ms| ms >= 5), "{slept:?}");
    }
}

scenario!(what_cannot_be_copied_is_configured_each_time_and_says_why);
/// One that imports something of WASI, and one whose table could change.
async fn what_cannot_be_copied_is_configured_each_time_and_says_why() {
    let cases = [
        (r#"(import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "now" (func (result u64)))))"#, "", "wasi:clocks"),
        ("", "(table 1 funcref) (func (table.set (i32.const 0) (ref.null func)))", "table.set"),
    ];
    for (imports, core, why) in cases {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.wasm");
        std::fs::write(&file, wat::parse_str(saying_next(imports, core)).unwrap()).unwrap();
        let origin = ok();
        let proxy = proxy(with(&origin, file.display(), "isolation = 'fresh'"));
        let (kind, said) = how(&proxy).await;
        assert!(kind == "each-instance" && said.contains(why), "{kind}: {said}");
        assert_eq!(proxy.client().await.get("/").await.status, 200);
    }
}

/// A filter with a request hook that says `next`.
fn saying_next(imports: &str, core: &str) -> String {
    format!(
        r#"(component
            {imports}
            (core module $m {core} (func (export "on-request") (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (type $verdict (enum "next" "replied" "reset"))
            (func $hook (result $verdict) (canon lift (core func $i "on-request")))
            (component $names
                (import "verdict" (type $v (eq $verdict)))
                (import "on-request" (func $f (result $v)))
                (export $named "verdict" (type $v))
                (export "on-request" (func $f) (func (result $named)))
            )
            (instance $hooks (instantiate $names (with "verdict" (type $verdict)) (with "on-request" (func $hook))))
            (export "tamis:filter/request-hook@0.1.0" (instance $hooks))
        )"#
    )
}

scenario!(another_configuration_is_another_image);
async fn another_configuration_is_another_image() {
    let origin = ok();
    let proxy = proxy(with(&origin, guest("ranges"), &ranges(100_000)));
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.header("x-ranges"), Some("100000"));
    proxy.rewrite(with(&origin, guest("ranges"), &ranges(100_001)));
    loop {
        let answer = client.get("/").header("x-key", "1000010").await;
        match answer.header("x-ranges") {
            Some("100001") => return assert_eq!(answer.header("x-hit"), Some("yes")),
            other => assert_eq!((other, answer.header("x-hit")), (Some("100000"), Some("no"))),
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

scenario!(an_input_that_changes_makes_another_image);
async fn an_input_that_changes_makes_another_image() {
    let (origin, folder) = (ok(), tempfile::tempdir().unwrap());
    let list = folder.path().join("list.txt");
    let write = |count: u32| {
        let lines: String = (1..=count).map(|number| format!("{}-{}\n", number * 10, number * 10 + 4)).collect();
        tamis_tests::proxy::replace(&list, lines.as_bytes());
    };
    write(50_000);
    let filter = format!("memory = '64MiB'\ninputs = {{ ranges = '{}' }}", list.display());
    let proxy = proxy(with(&origin, guest("ranges"), &filter));
    assert_eq!(how(&proxy).await.0, "image");
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.header("x-ranges"), Some("50000"));
    write(50_001);
    while client.get("/").await.header("x-ranges") != Some("50001") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

scenario!(a_second_start_configures_nothing);
async fn a_second_start_configures_nothing() {
    let (origin, folder) = (ok(), tempfile::tempdir().unwrap());
    let toml = kept(&folder.path().join("cache"), &origin, guest("chatty"), "isolation = 'fresh'");
    let file = folder.path().join("tamis.toml");
    std::fs::write(&file, toml.replace("cluster = 'o'", "listen = '127.0.0.1:0'\ncluster = 'o'")).unwrap();
    for configures in [true, false] {
        let mut running = Running::start(env!("CARGO_BIN_EXE_tamis-cli"), &["run", "-c", file.to_str().unwrap()]);
        running.logs("listener=edge").await;
        assert_eq!(running.said.contains("chatty is configured"), configures, "{}", running.said);
    }
}

scenario!(what_a_filter_said_of_itself_is_kept_with_its_image);
async fn what_a_filter_said_of_itself_is_kept_with_its_image() {
    let (origin, folder) = (ok(), tempfile::tempdir().unwrap());
    let toml = kept(folder.path(), &origin, guest("meter"), "isolation = 'fresh'");
    for compiled in ["now", "cache"] {
        let proxy = proxy(&toml);
        assert_eq!(how(&proxy).await, ("image".to_owned(), compiled.to_owned()));
        proxy.client().await.get("/").header("x-label", compiled).header("x-size", "7").await;
        let page = proxy.admin("/metrics").await.text().to_owned();
        let line = format!("guest_requests_total{{filter=\"f\",label=\"{compiled}\",method=\"GET\"}} 1");
        assert!(page.contains(&line) && page.contains("guest_size_bytes_count"), "{page}");
    }
}

scenario!(a_damaged_image_is_made_again);
/// As after a crash in the middle, or a bad disk.
async fn a_damaged_image_is_made_again() {
    let (origin, folder) = (ok(), tempfile::tempdir().unwrap());
    let toml = kept(folder.path(), &origin, guest("keeper"), "isolation = 'fresh'");
    drop(proxy(&toml));
    let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let images: Vec<_> = files.filter(|file| file.extension().is_some_and(|ending| ending == "image")).collect();
    let [image] = &images[..] else { panic!("one image: {images:?}") };
    let good = std::fs::read(image).unwrap();
    std::fs::write(image, &good[..good.len() / 2]).unwrap();
    let proxy = proxy(&toml);
    assert_eq!(how(&proxy).await, ("image".to_owned(), "now".to_owned()));
    assert_eq!(proxy.client().await.get("/").await.header("x-exchanges"), Some("1"));
    assert_eq!(std::fs::metadata(image).unwrap().len(), good.len() as u64, "it is replaced");
}
