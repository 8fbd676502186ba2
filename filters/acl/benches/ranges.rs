//! A million ranges: reading them, and finding an address in them.

use std::hint::black_box;
use std::net::Ipv4Addr;

use acl::ranges::Ranges;
use criterion::{Criterion, criterion_group, criterion_main};

const COUNT: u32 = 1_000_000;
/// So far apart, they are spread over all of IPv4.
const APART: u32 = 4096;

fn list() -> String {
    let first = |number: u32| number * APART;
    (0..COUNT)
        .map(|number| format!("{}-{}\n", Ipv4Addr::from_bits(first(number)), Ipv4Addr::from_bits(first(number) + 999)))
        .collect()
}

fn ranges(criterion: &mut Criterion) {
    let text = list();
    let ranges = Ranges::read(text.as_bytes()).expect("the list is one");
    assert_eq!(ranges.len(), COUNT as usize);
    let mut group = criterion.benchmark_group("a-million-ranges");
    group.sample_size(10);
    group.bench_function("read", |bencher| bencher.iter(|| Ranges::read(black_box(text.as_bytes()))));
    group.sample_size(100);
    let mut address = 1u32;
    group.bench_function("lookup", |bencher| {
        bencher.iter(|| {
            // An order that no prefetcher guesses.
            address = address.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            black_box(ranges.contains(Ipv4Addr::from_bits(address).into()))
        });
    });
    group.finish();
}

criterion_group!(benches, ranges);
criterion_main!(benches);
