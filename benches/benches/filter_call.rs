//! One request hook of a shipped filter, as Wasm in the host: one field read and one set, setting three fields, routing by path;
//! entered as the core module that it is, and as the component that is made of it. And all of the walk but the guests: a chain of
//! filters that want other hooks.

use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tamis::filter::{Chain, Entry, Filter, block_on};
use tamis_benches::{filter_by, record};

const ONE: &str = r#"
[filters.headers.config.request]
set = { x-agent = "{header:user-agent}" }
"#;
const THREE: &str = r#"
[filters.headers.config.request]
set = { x-one = "1", x-source = "{source}", x-id = "{request-id}" }
"#;
const ROUTE: &str = r#"
[[filters.router.config.routes]]
match = { path-prefix = "/users" }
to    = [{ cluster = "users" }]
"#;
const OTHER: &str = r#"
[filters.headers.config.response]
set = { x-one = "1" }
"#;

fn request_hook(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request hook");
    for (way, entry) in [("direct", Entry::Direct), ("component", Entry::Component)] {
        let filter = |name: &str, toml: &str| filter_by(entry, &format!("builtin:{name}"), name, toml);
        let (one, three, route) = (filter("headers", ONE), filter("headers", THREE), filter("router", ROUTE));
        let both = vec![three.clone(), route.clone()];
        for (name, chain) in [("one read, one set", vec![one]), ("headers", vec![three]), ("router", vec![route]), ("both", both)]
        {
            measure(&mut group, &format!("{name}, {way}"), chain);
        }
    }
    measure(&mut group, "no guest", vec![filter_by(Entry::Direct, "builtin:headers", "headers", OTHER)]);
    group.finish();
}

fn measure(group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>, name: &str, chain: Vec<Arc<Filter>>) {
    let chain: Arc<[_]> = chain.into();
    group.bench_function(name, |bencher| {
        bencher.iter_batched_ref(
            || (Chain::new(chain.clone(), Arc::default()), record("/users/7?page=2")),
            |(chain, record)| assert!(block_on(false, chain.request(record)).expect("nothing waits").is_none()),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, request_hook);
criterion_main!(benches);
