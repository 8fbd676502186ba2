//! One pick, by policy and by the number of endpoints; one of a retry, and one of a subset. A key for those that go by one.

use std::path::Path;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tamis::cluster::discovery::Resolved;
use tamis::cluster::{Cluster, Wishes, hash};
use tamis::config;

const POLICIES: [&str; 7] = ["round-robin", "random", "least-request", "peak-ewma", "ring-hash", "maglev", "hash"];
const COUNTS: [usize; 4] = [10, 100, 1000, 10_000];

fn cluster(policy: &str, count: usize, weighted: bool) -> Arc<Cluster> {
    let endpoint = |number: usize| {
        let weight = if weighted { 1 + number % 3 } else { 1 };
        let (high, low, half) = (number >> 8, number & 255, number % 2);
        format!("{{ address = \"10.0.{high}.{low}:80\", weight = {weight}, labels = {{ half = \"{half}\" }} }}")
    };
    let endpoints: Vec<_> = (0..count).map(endpoint).collect();
    let text = format!(
        "[listeners.l]\nlisten = \"127.0.0.1:0\"\n[clusters.users]\nbalance = \"{policy}\"\nendpoints = [{}]\n",
        endpoints.join(", ")
    );
    let loaded = config::parse(&text, Path::new("bench.toml")).expect("a configuration of this bench");
    Cluster::build(&"users".into(), &loaded.config.clusters["users"], &Resolved::default(), None)
}

fn picks(criterion: &mut Criterion) {
    for (title, weighted) in [("pick", false), ("pick, weighted", true)] {
        let mut group = criterion.benchmark_group(title);
        for policy in POLICIES {
            for count in COUNTS {
                let cluster = cluster(policy, count, weighted);
                let mut number = 0_u64;
                group.bench_function(BenchmarkId::new(policy, count), |bencher| {
                    bencher.iter(|| {
                        number += 1;
                        let wishes = Wishes { key: Some(hash::of_key(&number.to_le_bytes())), ..Wishes::default() };
                        cluster.pick(&wishes, &[])
                    });
                });
            }
        }
        group.finish();
    }
}

fn others(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pick, least-request");
    for count in COUNTS {
        let cluster = cluster("least-request", count, false);
        let tried: Vec<_> = cluster.endpoints[..3].iter().map(|endpoint| endpoint.id).collect();
        group.bench_function(BenchmarkId::new("third retry", count), |bencher| {
            bencher.iter(|| cluster.pick(&Wishes::default(), &tried));
        });
        let wishes = Wishes { subset: vec![("half".to_owned(), "1".to_owned())], ..Wishes::default() };
        group.bench_function(BenchmarkId::new("subset", count), |bencher| {
            bencher.iter(|| cluster.pick(&wishes, &[]));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("refresh");
    for policy in POLICIES {
        for count in COUNTS {
            let cluster = cluster(policy, count, false);
            group.bench_function(BenchmarkId::new(policy, count), |bencher| bencher.iter(|| cluster.refresh()));
        }
    }
    group.finish();
}

criterion_group!(benches, picks, others);
criterion_main!(benches);
