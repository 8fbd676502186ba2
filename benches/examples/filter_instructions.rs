//! The request hook of one shipped filter with the walk to it, so many times, to be counted from outside:
//! `filter_instructions CASE [CALLS]`. `make instructions` runs it under callgrind, which looks at [`counted`] and at nothing else.

use std::sync::Arc;

use tamis::exchange::Record;
use tamis::filter::{Chain, Entry, Filter, Reach, block_on};
use tamis_benches::{filter_by, reach, record};

const HEADERS: &str = r#"
config = { request = { set = { x-agent = "{header:user-agent}" } } }
"#;
const FRESH: &str = r#"
isolation = "fresh"
config = { request = { set = { x-agent = "{header:user-agent}" } } }
"#;
const OTHER: &str = r#"
config = { response = { set = { x-one = "1" } } }
"#;
const ACL: &str = r#"
config = { rules = [{ name = "office", action = "deny", match = { source = "198.51.100.0/24" } }], default = "allow" }
"#;
const QUOTA: &str = r#"
allow = { stores = ["quota"] }
config = { store = "quota", rules = [{ name = "clients", key = "source", limit = "1000000000/h" }] }
[stores.quota]
"#;
const SHADOW: &str = r#"
config = { rules = [{ cluster = "users" }] }
"#;
const ATTRIBUTES: &str = r#"
config = { attributes = [{ name = "agent", value = "{header:user-agent}" }] }
"#;

/// What is counted, with the filter's name and what follows `[filters.NAME]`.
fn case(name: &str) -> Option<(Entry, &'static str, String)> {
    let (entry, filter, toml) = match name {
        "none" => (Entry::Direct, "headers", OTHER.to_owned()),
        "headers" => (Entry::Direct, "headers", HEADERS.to_owned()),
        "headers-component" => (Entry::Component, "headers", HEADERS.to_owned()),
        "headers-fresh" => (Entry::Direct, "headers", FRESH.to_owned()),
        "router-100" => (Entry::Direct, "router", routes(100)),
        "shadow" => (Entry::Direct, "shadow", SHADOW.to_owned()),
        "acl" => (Entry::Direct, "acl", ACL.to_owned()),
        "quota" => (Entry::Direct, "quota", QUOTA.to_owned()),
        "attributes" => (Entry::Direct, "attributes", ATTRIBUTES.to_owned()),
        _ => return None,
    };
    Some((entry, filter, toml))
}

/// The one that is taken is neither the first nor the last.
fn routes(count: usize) -> String {
    let route = |number: usize| match number == count / 2 {
        true => "{ match = { path-prefix = \"/users\" }, to = [{ cluster = \"users\" }] }".to_owned(),
        false => format!("{{ match = {{ path-prefix = \"/service-{number}\" }}, to = [{{ cluster = \"users\" }}] }}"),
    };
    let routes: Vec<_> = (0..count).map(route).collect();
    format!("config = {{ routes = [{}] }}\n", routes.join(", "))
}

/// Calls that come before those that are counted: whatever is made once is there then.
const UNCOUNTED: usize = 20;

/// One exchange through a chain of one filter, which lets it pass.
fn pass(chain: &Arc<[Arc<Filter>]>, reach: &Arc<Reach>, record: &Record) -> bool {
    let walk = Chain::new(Arc::clone(chain), Arc::clone(reach));
    block_on(false, walk.request(record)).is_ok_and(|step| step.is_none())
}

#[inline(never)]
fn counted(chain: &Arc<[Arc<Filter>]>, reach: &Arc<Reach>, record: &Record) -> bool {
    pass(chain, reach, record)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let Some((entry, filter, toml)) = case(&name) else { panic!("there is no case `{name}`") };
    let calls: usize = arguments.next().and_then(|calls| calls.parse().ok()).unwrap_or(100);
    // Little address space is set aside: valgrind has a table of all of it.
    let chain = [filter_by(entry, &format!("builtin:{filter}"), filter, &format!("{toml}\n[limits]\ninstances = 4\n"))].into();
    let reach = reach();
    for call in 0..UNCOUNTED + calls {
        let record = record("/users/7?page=2");
        let passed = if call < UNCOUNTED { pass(&chain, &reach, &record) } else { counted(&chain, &reach, &record) };
        assert!(passed, "the filter lets the request pass");
    }
    println!("{calls} calls");
}
