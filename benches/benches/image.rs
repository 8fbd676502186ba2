//! A request hook over a list of a million ranges: in an instance that is used again, and in a new one each time.

use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tamis::filter::{Chain, Configured, block_on};
use tamis_benches::{filter_of, record};
use tamis_tests::guest;

fn isolation(criterion: &mut Criterion) {
    let ranges = guest("ranges").to_string();
    let mut group = criterion.benchmark_group("a million ranges");
    for isolation in ["reuse", "fresh"] {
        let settings = format!("memory = \"128MiB\"\nisolation = \"{isolation}\"\nconfig = {{ count = 1000000 }}");
        let filter = filter_of(&ranges, "ranges", &settings);
        assert!(matches!(filter.configured, Configured::Image(_)), "{:?}", filter.configured);
        let chain: Arc<[_]> = [filter].into();
        group.bench_function(isolation, |bencher| {
            bencher.iter_batched_ref(
                || (Chain::new(chain.clone(), Arc::default()), record("/users/7?page=2")),
                |(chain, record)| assert!(block_on(false, chain.request(record)).expect("nothing waits").is_none()),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, isolation);
criterion_main!(benches);
