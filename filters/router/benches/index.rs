//! Looking up a route among ten and among ten thousand.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use matching::host::Pattern as Host;
use matching::pattern::{Pattern, Template};
use router::index::{Builder, Index};

/// A host and a path that leads to one route.
#[derive(Clone)]
struct Question {
    host: String,
    path: String,
}

/// Half of the routes are prefixes, a quarter each exact paths and templates, ten to a host.
fn routes(count: usize) -> (Index, Vec<Question>) {
    let mut builder = Builder::default();
    let mut questions = Vec::new();
    for i in 0..count {
        let host = format!("host-{}.example.com", i / 10);
        let base = format!("/api/service-{}", i % 10);
        let (pattern, path) = match i % 4 {
            0 => (Pattern::Exact(format!("{base}/status")), format!("{base}/status")),
            1 => (Pattern::Template(Template::parse(&format!("{base}/{{id}}/posts")).unwrap()), format!("{base}/7/posts")),
            _ => (Pattern::prefix(&base), format!("{base}/users/7")),
        };
        builder.insert(&[Host::parse(&host).unwrap()], &pattern, 0);
        questions.push(Question { host, path });
    }
    (builder.finish(), questions)
}

/// An order that no prefetcher guesses.
fn shuffle(questions: &mut [Question]) {
    let mut state = 1u64;
    for i in (1..questions.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        questions.swap(i, (state >> 33) as usize % (i + 1));
    }
}

/// Ten questions of every kind: among ten thousand routes, they lie this far apart.
const APART: usize = 1001;
/// How many questions are read before the clock starts.
const ROUND: usize = 50;

fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    let (index, questions) = routes(10);
    measure(&mut group, "among-10", &index, &questions);
    let (index, mut questions) = routes(10_000);
    let favourites: Vec<_> = questions.iter().step_by(APART).cloned().collect();
    measure(&mut group, "among-10000", &index, &favourites);
    // Traffic without any favourites: each lookup meets a part of the index that has left the nearest caches.
    shuffle(&mut questions);
    measure(&mut group, "among-10000-each-another", &index, &questions);
    group.finish();
}

/// A request that has just been read lies in the cache, so a round of questions is read before the clock starts.
fn measure(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, index: &Index, questions: &[Question]) {
    let mut next = questions.iter().cycle();
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            let rounds = iterations.div_ceil(ROUND as u64);
            let mut elapsed = Duration::ZERO;
            for _ in 0..rounds {
                let round: Vec<Question> = next.by_ref().take(ROUND).cloned().collect();
                let start = Instant::now();
                for question in &round {
                    let found = index.find(black_box(&question.host), black_box(&question.path), |_| true);
                    assert!(black_box(found).is_some());
                }
                elapsed += start.elapsed();
            }
            elapsed.mul_f64(iterations as f64 / (rounds * ROUND as u64) as f64)
        });
    });
}

criterion_group!(benches, lookup);
criterion_main!(benches);
