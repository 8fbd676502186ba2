//! One metric with its series, in shards that threads do not share.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::text::Exposition;
use super::{Description, Kind};

/// What labels read when there are too many series.
pub const OTHER: &str = "other";
/// Upper bounds of the buckets of every histogram: seconds from a millisecond to hours, or counts and bytes to ten
/// thousand, in steps that nobody needs to think about.
pub const BUCKETS: [f64; 22] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0,
    2500.0, 5000.0, 10_000.0,
];

/// Shards of a metric: as many workers count without meeting another.
pub const SHARDS: usize = 16;
/// Bytes of the value of a label; the rest is cut off.
const LABEL_BYTES_MAX: usize = 256;
/// Between two values of a key: no byte of any text in UTF-8.
const BETWEEN: u8 = 0xFF;

/// The values of the labels, in order.
type Key = Box<[u8]>;

/// A value that cannot be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    #[error("expected {expected} values for its labels, found {found}")]
    Labels { expected: usize, found: usize },
    #[error("expected a number, found NaN")]
    NotANumber,
    #[error("expected a finite number")]
    Infinite,
    #[error("a counter never falls; expected a number that is not negative")]
    Negative,
}

/// See the module.
#[derive(Debug)]
pub struct Family {
    description: Description,
    values: Arc<Values>,
}

#[derive(Debug)]
struct Values {
    series_max: usize,
    series: Series,
}

#[derive(Debug)]
enum Series {
    /// The bits of the last value.
    Set(RwLock<HashMap<Key, AtomicU64>>),
    Added {
        /// Those of all shards, to bound them together.
        known: RwLock<HashSet<Key>>,
        shards: Box<[Shard]>,
    },
}

/// On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<HashMap<Key, Sum>>);

#[derive(Debug, Clone, Default)]
struct Sum {
    sum: f64,
    /// Of a histogram: values in each bucket, those past the last one at the end.
    buckets: Box<[u64]>,
}

thread_local! {
    static SHARD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS
    };
    /// Where keys are put together.
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The shard of this thread.
pub fn shard() -> usize {
    SHARD.with(|shard| *shard)
}

impl Family {
    pub fn new(description: Description, series_max: usize) -> Self {
        let series = match description.kind {
            Kind::Gauge => Series::Set(RwLock::default()),
            Kind::Counter | Kind::Histogram => {
                Series::Added { known: RwLock::default(), shards: (0..SHARDS).map(|_| Shard::default()).collect() }
            }
        };
        Self { description, values: Arc::new(Values { series_max, series }) }
    }

    /// The same series under a declaration that counts alike, which may have other words of help.
    #[must_use]
    pub fn again(&self, description: Description) -> Self {
        debug_assert!(self.description.counts_like(&description));
        Self { description, values: Arc::clone(&self.values) }
    }

    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Adds to a counter, sets a gauge, or counts in a histogram.
    pub fn observe<S: AsRef<str>>(&self, labels: &[S], value: f64) -> Result<(), Ignored> {
        let expected = self.description.labels.len();
        if labels.len() != expected {
            return Err(Ignored::Labels { expected, found: labels.len() });
        }
        match self.description.kind {
            _ if value.is_nan() => return Err(Ignored::NotANumber),
            Kind::Gauge => {}
            _ if value.is_infinite() => return Err(Ignored::Infinite),
            Kind::Counter if value < 0.0 => return Err(Ignored::Negative),
            Kind::Counter | Kind::Histogram => {}
        }
        KEY.with_borrow_mut(|key| {
            key.clear();
            write_key(key, labels.iter().map(AsRef::as_ref));
            if !self.values.observe(self.description.kind, key, value, false) {
                key.clear();
                write_key(key, labels.iter().map(|_| OTHER));
                self.values.observe(self.description.kind, key, value, true);
            }
        });
        Ok(())
    }

    /// Adds up what there is. `constant` labels stand before those of the series.
    pub fn render(&self, exposition: &mut Exposition, constant: &[(&str, &str)]) {
        let Description { name, help, kind, labels } = &self.description;
        let mut lines = exposition.metric(name, help, *kind);
        for (key, sum) in self.values.total() {
            let values = key.split(|byte| *byte == BETWEEN).map(|value| std::str::from_utf8(value).unwrap_or_default());
            let labels: Vec<(&str, &str)> =
                constant.iter().copied().chain(labels.iter().map(|label| &**label).zip(values)).collect();
            match kind {
                Kind::Counter | Kind::Gauge => lines.sample("", &labels, None, sum.sum),
                Kind::Histogram => {
                    let mut count = 0;
                    for (bound, values) in BUCKETS.iter().copied().chain([f64::INFINITY]).zip(&sum.buckets) {
                        count += values;
                        lines.sample("_bucket", &labels, Some(bound), count as f64);
                    }
                    lines.sample("_sum", &labels, None, sum.sum);
                    lines.sample("_count", &labels, None, count as f64);
                }
            }
        }
    }
}

impl Values {
    /// False if there are too many series for one more, unless it is `forced`.
    fn observe(&self, kind: Kind, key: &[u8], value: f64, forced: bool) -> bool {
        match &self.series {
            Series::Set(series) => {
                if let Some(present) = read(series).get(key) {
                    present.store(value.to_bits(), Ordering::Relaxed);
                    return true;
                }
                let mut series = series.write().unwrap_or_else(PoisonError::into_inner);
                let room = forced || series.len() < self.series_max || series.contains_key(key);
                if room {
                    series.entry(key.into()).or_default().store(value.to_bits(), Ordering::Relaxed);
                }
                room
            }
            Series::Added { known, shards } => {
                let mut shard = locked(&shards[shard()]);
                if let Some(sum) = shard.get_mut(key) {
                    sum.add(value);
                    return true;
                }
                let room = forced || self.admit(known, key);
                if room {
                    let buckets = if kind == Kind::Histogram { BUCKETS.len() + 1 } else { 0 };
                    let sum = shard.entry(key.into()).or_insert(Sum { sum: 0.0, buckets: vec![0; buckets].into() });
                    sum.add(value);
                }
                room
            }
        }
    }

    /// Asked once a series and shard, and for what is past the bound.
    fn admit(&self, known: &RwLock<HashSet<Key>>, key: &[u8]) -> bool {
        {
            let known = read(known);
            if known.contains(key) || known.len() >= self.series_max {
                return known.contains(key);
            }
        }
        let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
        known.contains(key) || known.len() < self.series_max && known.insert(key.into())
    }

    fn total(&self) -> BTreeMap<Key, Sum> {
        match &self.series {
            Series::Set(series) => read(series)
                .iter()
                .map(|(key, bits)| (key.clone(), Sum { sum: f64::from_bits(bits.load(Ordering::Relaxed)), ..Sum::default() }))
                .collect(),
            Series::Added { shards, .. } => {
                let mut total: BTreeMap<Key, Sum> = BTreeMap::new();
                for shard in shards {
                    for (key, sum) in locked(shard).iter() {
                        match total.get_mut(key) {
                            Some(present) => present.merge(sum),
                            None => drop(total.insert(key.clone(), sum.clone())),
                        }
                    }
                }
                total
            }
        }
    }
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.sum += value;
        let at = BUCKETS.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += more;
        }
    }
}

fn write_key<'a>(key: &mut Vec<u8>, labels: impl Iterator<Item = &'a str>) {
    for (place, label) in labels.enumerate() {
        if place > 0 {
            key.push(BETWEEN);
        }
        key.extend_from_slice(&label.as_bytes()[..label.floor_char_boundary(LABEL_BYTES_MAX)]);
    }
}

fn locked(shard: &Shard) -> MutexGuard<'_, HashMap<Key, Sum>> {
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(kind: Kind, labels: &[&str], series_max: usize) -> Family {
        let labels = labels.iter().map(|label| Box::from(*label)).collect();
        Family::new(Description { name: "m".into(), help: "h".into(), kind, labels }, series_max)
    }

    fn lines(family: &Family) -> Vec<String> {
        let mut exposition = Exposition::default();
        family.render(&mut exposition, &[("filter", "f")]);
        exposition.finish().lines().skip(2).map(str::to_owned).collect()
    }

    #[test]
    fn threads_count_apart_and_are_read_together() {
        let counter = family(Kind::Counter, &["a"], 10);
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| (0..100).for_each(|_| counter.observe(&["x"], 0.5).expect("a number")));
            }
        });
        assert_eq!(lines(&counter), [r#"m{filter="f",a="x"} 1000"#]);
    }

    #[test]
    fn past_the_bound_labels_read_other_on_every_thread() {
        for kind in [Kind::Counter, Kind::Gauge] {
            let counter = family(kind, &["a", "b"], 2);
            std::thread::scope(|scope| {
                scope.spawn(|| ["1", "2", "3", "1"].iter().for_each(|a| counter.observe(&[*a, ""], 1.0).expect("a number")));
            });
            ["4", "2"].iter().for_each(|a| counter.observe(&[*a, ""], 1.0).expect("a number"));
            let (one, rest) = if kind == Kind::Counter { (2, 2) } else { (1, 1) };
            let expected = [
                format!(r#"m{{filter="f",a="1",b=""}} {one}"#),
                format!(r#"m{{filter="f",a="2",b=""}} {one}"#),
                format!(r#"m{{filter="f",a="other",b="other"}} {rest}"#),
            ];
            assert_eq!(lines(&counter), expected);
        }
    }

    #[test]
    fn a_gauge_is_what_was_set_last() {
        let gauge = family(Kind::Gauge, &[], 10);
        gauge.observe(&[""; 0], 5.0).expect("a number");
        std::thread::scope(|scope| {
            scope.spawn(|| gauge.observe(&[""; 0], f64::NEG_INFINITY).expect("gauges can be that"));
        });
        assert_eq!(lines(&gauge), [r#"m{filter="f"} -Inf"#]);
    }

    #[test]
    fn buckets_hold_what_is_not_above_them() {
        let histogram = family(Kind::Histogram, &[], 10);
        for value in [0.0, 0.001, 0.0011, 1e9, -1.0] {
            histogram.observe(&[""; 0], value).expect("a number");
        }
        let lines = lines(&histogram);
        assert_eq!(lines.len(), BUCKETS.len() + 3);
        let expected = [
            r#"m_bucket{filter="f",le="0.001"} 3"#,
            r#"m_bucket{filter="f",le="0.0025"} 4"#,
            r#"m_bucket{filter="f",le="10000"} 4"#,
            r#"m_bucket{filter="f",le="+Inf"} 5"#,
            r#"m_sum{filter="f"} 999999999.0021"#,
            r#"m_count{filter="f"} 5"#,
        ];
        for line in expected {
            assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        }
    }

    #[test]
    fn what_is_no_number_is_ignored() {
        let counter = family(Kind::Counter, &["a"], 10);
        assert_eq!(counter.observe(&["x"], f64::NAN), Err(Ignored::NotANumber));
        assert_eq!(counter.observe(&["x"], f64::INFINITY), Err(Ignored::Infinite));
        assert_eq!(counter.observe(&["x"], -1.0), Err(Ignored::Negative));
        assert_eq!(counter.observe(&["x", "y"], 1.0), Err(Ignored::Labels { expected: 1, found: 2 }));
        assert_eq!(lines(&counter), [""; 0]);
    }

    #[test]
    fn a_long_label_is_cut() {
        let counter = family(Kind::Counter, &["a"], 10);
        counter.observe(&["é".repeat(200)], 1.0).expect("a number");
        assert_eq!(lines(&counter), [format!(r#"m{{filter="f",a="{}"}} 1"#, "é".repeat(128))]);
    }
}
