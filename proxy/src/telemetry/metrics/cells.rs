//! Numbers whose series are known beforehand: one set a worker, each on lines of the cache of its own, counted without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::text::Lines;
use crate::worker;

/// One `T` for each worker.
#[derive(Debug)]
pub struct PerWorker<T>(Box<[Padded<T>]>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

impl<T: Default> PerWorker<T> {
    pub fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Padded::default()).collect())
    }

    /// That of this worker; on any other thread, that of the first.
    pub fn mine(&self) -> &T {
        &self.0.get(worker::index()).unwrap_or(&self.0[0]).0
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &padded.0)
    }

    pub fn sum(&self, of: impl Fn(&T) -> &Count) -> u64 {
        self.iter().map(|one| of(one).get()).fold(0, u64::wrapping_add)
    }
}

/// Only grows, but for [`Count::leave`].
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Of something that is under way: it may end on another worker, so that only the sum means anything.
    pub fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of durations in microseconds: from what a healthy service takes in the same rack to what no client waits for.
pub const DURATIONS_US: [u64; 16] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
    30_000_000, 60_000_000,
];

/// How many durations fell into each bucket, those past the last one at the end.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [Count; DURATIONS_US.len() + 1],
    micros: Count,
}

impl Durations {
    pub fn add(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[DURATIONS_US.partition_point(|bound| *bound < micros)].add(1);
        self.micros.add(micros);
    }

    /// Adds what is in each bucket to `sums`, and gives the microseconds of all.
    pub fn add_to(&self, sums: &mut [u64; DURATIONS_US.len() + 1]) -> u64 {
        sums.iter_mut().zip(&self.buckets).for_each(|(sum, bucket)| *sum += bucket.get());
        self.micros.get()
    }

    /// Writes those of all workers as one histogram.
    pub fn render<'a>(lines: &mut Lines<'_>, labels: &[(&str, &str)], all: impl Iterator<Item = &'a Durations> + Clone) {
        let bounds = DURATIONS_US.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let mut count = 0;
        for (at, bound) in bounds.enumerate() {
            count += all.clone().map(|one| one.buckets[at].get()).sum::<u64>();
            lines.sample("_bucket", labels, Some(bound), count as f64);
        }
        let micros = all.map(|one| one.micros.get()).fold(0, u64::wrapping_add);
        lines.sample("_sum", labels, None, micros as f64 / 1e6);
        lines.sample("_count", labels, None, count as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Exposition, Kind};
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_holds_it() {
        let (one, other) = (Durations::default(), Durations::default());
        one.add(Duration::from_micros(500));
        one.add(Duration::from_micros(501));
        other.add(Duration::from_secs(3600));
        let mut exposition = Exposition::default();
        Durations::render(&mut exposition.metric("d", "help", Kind::Histogram), &[("a", "b")], [&one, &other].into_iter());
        let page = exposition.finish();
        let lines: Vec<_> = page.lines().skip(2).collect();
        assert_eq!(lines.len(), DURATIONS_US.len() + 3);
        assert_eq!(lines[..2], [r#"d_bucket{a="b",le="0.0005"} 1"#, r#"d_bucket{a="b",le="0.001"} 2"#]);
        let end = [
            r#"d_bucket{a="b",le="60"} 2"#,
            r#"d_bucket{a="b",le="+Inf"} 3"#,
            r#"d_sum{a="b"} 3600.001001"#,
            r#"d_count{a="b"} 3"#,
        ];
        assert_eq!(lines[lines.len() - 4..], end);
    }

    #[test]
    fn what_begins_on_one_worker_and_ends_on_another_adds_up_to_nothing() {
        let counts: PerWorker<Count> = PerWorker::new(2);
        counts.0[0].0.add(1);
        counts.0[1].0.leave();
        assert_eq!(counts.sum(|count| count), 0);
    }
}
