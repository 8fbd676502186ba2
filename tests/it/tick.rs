//! Ticks: once a process, one after the other, as long as the filter is there.

use std::time::Duration;

use tamis_tests::{Client, Proxy, chain, guest, origin, proxy, scenario};

const STORE: &str = "[stores.ticks]\n";

fn ticking(config: &str) -> String {
    let more = format!("allow = {{ stores = ['ticks'] }}\nconfig = {{ {config} }}");
    format!("{}{STORE}", chain("127.0.0.1:1", &[("ticker", &more)]))
}

async fn count(client: &Client, path: &str) -> u64 {
    client.get(path).await.text().parse().expect("a count")
}

/// Waits until there were so many ticks.
async fn ticks(client: &Client, least: u64) -> u64 {
    loop {
        let ticks = count(client, "/ticks").await;
        if ticks >= least {
            return ticks;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

scenario!(a_filter_ticks_in_one_instance);
async fn a_filter_ticks_in_one_instance() {
    let proxy = proxy(ticking("every-ms = 10"));
    let client = proxy.client().await;
    ticks(&client, 10).await;
    assert_eq!(count(&client, "/ticks/instances").await, 1, "two workers, and one of them ticks");
}

scenario!(a_tick_that_takes_longer_than_its_period_does_not_overlap);
async fn a_tick_that_takes_longer_than_its_period_does_not_overlap() {
    let proxy = proxy(ticking("every-ms = 10, takes-ms = 30"));
    let client = proxy.client().await;
    ticks(&client, 5).await;
    assert_eq!(count(&client, "/ticks/overlaps").await, 0);
}

scenario!(a_tick_that_traps_does_not_end_the_ticks);
async fn a_tick_that_traps_does_not_end_the_ticks() {
    let proxy = proxy(chain("127.0.0.1:1", &[("trap-late", "config = { tick-ms = 10 }\ntrip = { calls = 1000 }")]));
    while proxy.failures("trap-late").await < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The filter that ticks and one that looks at the same store, which stays when the other goes.
fn with_watcher(module: &dyn std::fmt::Display, ticks: bool) -> String {
    let ticker = format!(
        "[filters.ticker]\nmodule = '{module}'\ndeadline = '1s'\nallow = {{ stores = ['ticks'] }}\nconfig = {{ every-ms = 10 }}\n"
    );
    let names = if ticks { "'watcher', 'ticker'" } else { "'watcher'" };
    format!(
        "[listeners.edge]\nfilters = [{names}]\n{}[filters.watcher]\nmodule = '{}'\ndeadline = '1s'\nallow = {{ stores = ['ticks'] }}\nconfig = {{ every-ms = 0 }}\n{STORE}",
        if ticks { ticker } else { String::new() },
        guest("ticker"),
    )
}

scenario!(a_filter_that_leaves_ticks_no_more);
async fn a_filter_that_leaves_ticks_no_more() {
    let module = guest("ticker");
    let proxy = proxy(with_watcher(&module, true));
    let client = proxy.client().await;
    ticks(&client, 3).await;
    proxy.rewrite(with_watcher(&module, false));
    gone(&proxy, "ticker").await;
    let before = settled(&client).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(count(&client, "/ticks").await, before);
}

async fn gone(proxy: &Proxy, filter: &str) {
    loop {
        let filters = proxy.admin("/filters").await.json();
        if filters["filters"].as_array().unwrap().iter().all(|other| other["name"] != filter) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Workers hear of a new snapshot a moment after the admin.
async fn settled(client: &Client) -> u64 {
    let mut before = count(client, "/ticks").await;
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = count(client, "/ticks").await;
        if now == before {
            return now;
        }
        before = now;
    }
}

scenario!(a_filter_that_is_swapped_goes_on_ticking);
async fn a_filter_that_is_swapped_goes_on_ticking() {
    let module = guest("ticker").watched();
    let proxy = proxy(with_watcher(&module, true));
    let client = proxy.client().await;
    ticks(&client, 3).await;
    let before = proxy.filter("ticker").await;
    // The same code is another module with one more custom section, of which the first byte is the length of the rest.
    let mut bytes = guest("ticker").bytes();
    bytes.extend_from_slice(b"\0\x05\x04more");
    module.becomes_bytes(&bytes);
    proxy.filter_becomes("ticker", |filter| filter["hash"] != before["hash"]).await;
    let then = ticks(&client, 0).await;
    ticks(&client, then + 5).await;
    assert_eq!(count(&client, "/ticks/instances").await, 2, "the new one has an instance of its own");
}

scenario!(an_exchange_is_served_while_a_tick_waits);
async fn an_exchange_is_served_while_a_tick_waits() {
    let origin = origin().route("/", "here").run();
    let more = "allow = { stores = ['ticks'] }\nconfig = { every-ms = 10, takes-ms = 20000 }\ninstances-max = 2";
    let mut proxy = proxy(format!("{}{STORE}", chain(&origin, &[("ticker", more)])));
    let client = proxy.client().await;
    ticks(&client, 1).await;
    assert_eq!(client.get("/").await.text(), "here");
    proxy.handle().stop();
    proxy.ended().await;
}
