//! Times and resident memory.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::filter::say;

/// Durations of one kind of thing.
#[derive(Debug, Default)]
pub struct Figures(Vec<Duration>);

impl Figures {
    /// Runs it and keeps how long it took, if it succeeded.
    pub async fn time<T, E>(&mut self, job: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let began = Instant::now();
        let done = job.await?;
        self.0.push(began.elapsed());
        Ok(done)
    }

    pub fn extend(&mut self, took: Option<Duration>) {
        self.0.extend(took);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of so many in a hundred, the longest; nearest rank.
    fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }

    pub fn to_json(&self) -> Value {
        let nanos = |percent| u64::try_from(self.percentile(percent).as_nanos()).unwrap_or(u64::MAX);
        json!({ "median": nanos(50), "p99": nanos(99), "calls": self.0.len() })
    }

    pub fn print(&self, what: &str) {
        let [median, p99] = [50, 99].map(|percent| say::time(self.percentile(percent)));
        println!("{what:<24}{median:>12}{p99:>12}{:>10}", self.0.len());
    }
}

/// Resident memory of this process at some moment; `None` where nobody tells.
pub struct Resident(Option<usize>);

impl Resident {
    pub fn now() -> Self {
        Self(resident())
    }

    pub fn grown(&mut self) -> Option<usize> {
        Some(resident()?.saturating_sub(self.0?))
    }
}

/// Linux tells it in pages, as the second number.
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_durations_that_happened() {
        let of = |nanos: &[u64]| Figures(nanos.iter().map(|nanos| Duration::from_nanos(*nanos)).collect());
        assert_eq!(of(&[]).percentile(50), Duration::ZERO);
        assert_eq!(of(&[7]).percentile(99), Duration::from_nanos(7));
        let hundred = of(&(1..=100).rev().collect::<Vec<_>>());
        assert_eq!(hundred.percentile(50), Duration::from_nanos(50));
        assert_eq!(hundred.percentile(99), Duration::from_nanos(99));
    }
}
