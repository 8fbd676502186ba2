//! A filter for proxy-wasm that plain Go has compiled.

use tamis_tests::guests::go_guest;
use tamis_tests::{chain, origin, proxy, scenario};

scenario!(a_filter_in_plain_go_runs);
async fn a_filter_in_plain_go_runs() {
    let module = match go_guest() {
        Ok(module) => module,
        Err(why) => return eprintln!("SKIPPED: a_filter_in_plain_go_runs: {why}"),
    };
    let origin = origin().reflect("/").run();
    let more = "config = 'from the file'\nmemory = '64MiB'\nallow = { environment = { REGION = 'eu' } }";
    let configuration = chain(&origin, &[("pw-config", more)]);
    let guest = tamis_tests::guest("pw-config").to_string();
    let proxy = proxy(configuration.replace(&guest, &module.display().to_string()));
    let answer = proxy.client().await.post("/", "body").header("x-word", "word").await;
    assert_eq!((answer.status, answer.text()), (200, "BODY"));
    assert_eq!(origin.request().header("x-go"), Some("WORD"));
    assert_eq!((answer.header("x-config"), answer.header("x-region")), (Some("from the file"), Some("eu")));
    assert!(answer.header("x-year").unwrap().parse::<u32>().unwrap() > 2024);
}
