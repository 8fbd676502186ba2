//! One request hook of a shipped filter, as Wasm in the host: routing by path, and setting three fields.

use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tamis::filter::{Chain, block_on};
use tamis_benches::{filter, record};

fn request_hook(criterion: &mut Criterion) {
    let router = filter(
        "router",
        r#"
        [[filters.router.config.routes]]
        match = { path-prefix = "/users" }
        to    = [{ cluster = "users" }]
        "#,
    );
    let headers = filter(
        "headers",
        r#"
        [filters.headers.config.request]
        set = { x-one = "1", x-source = "{source}", x-id = "{request-id}" }
        "#,
    );
    let mut group = criterion.benchmark_group("request hook");
    for (name, chain) in [("router", vec![router.clone()]), ("headers", vec![headers.clone()]), ("both", vec![headers, router])] {
        let chain: Arc<[_]> = chain.into();
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || (Chain::new(chain.clone(), Arc::default()), record("/users/7?page=2")),
                |(chain, record)| assert!(block_on(false, chain.request(record)).expect("nothing waits").is_none()),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, request_hook);
criterion_main!(benches);
