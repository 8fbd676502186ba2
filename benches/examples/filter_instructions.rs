//! Request hooks, so many of them, to be counted from outside: `filter_instructions direct|component CALLS`. Run it twice with another
//! number of calls under `valgrind --tool=callgrind`, and what lies between is what the calls took, whatever else the machine does.

use std::sync::Arc;

use tamis::filter::{Chain, Entry, block_on};
use tamis_benches::{filter_by, record};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let entry = match arguments.next().as_deref() {
        Some("direct") => Entry::Direct,
        Some("component") => Entry::Component,
        other => panic!("expected direct or component, found {other:?}"),
    };
    let calls: usize = arguments.next().and_then(|calls| calls.parse().ok()).unwrap_or(1000);
    // Little address space is set aside: valgrind has a table of all of it.
    let toml = "[filters.headers.config.request]\nset = { x-agent = \"{header:user-agent}\" }\n[limits]\ninstances = 4\n";
    let chain: Arc<[_]> = [filter_by(entry, "builtin:headers", "headers", toml)].into();
    let record = record("/users/7?page=2");
    for _ in 0..calls {
        let walk = Chain::new(chain.clone(), Arc::default());
        assert!(block_on(false, walk.request(&record)).expect("nothing waits").is_none());
    }
    println!("{calls} calls");
}
