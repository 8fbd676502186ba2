//! The ticks of an instance: one task, whatever periods the guest has asked for.

use std::cell::RefCell;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior};

use crate::filter::host::setup::TICK_MIN;
use crate::worker;

/// Dropped, they end.
#[derive(Debug, Default)]
pub struct Ticks(RefCell<Option<oneshot::Sender<()>>>);

impl Ticks {
    /// From now on `job` runs this often, and none before it, until it says that it is over. Zero: never.
    pub fn every(&self, period: Duration, job: impl Fn() -> bool + 'static) {
        if period.is_zero() {
            return self.stop();
        }
        let (kept, mut stopped) = oneshot::channel();
        self.0.replace(Some(kept));
        let period = period.max(TICK_MIN);
        worker::spawn(async move {
            let mut due = tokio::time::interval_at(Instant::now() + period, period);
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    _ = &mut stopped => return,
                    _ = due.tick() => {}
                }
                if !job() {
                    return;
                }
            }
        });
    }

    pub fn stop(&self) {
        self.0.take();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::worker::Worker;

    #[tokio::test]
    async fn another_period_takes_the_place_of_the_one_before() {
        let worker = Worker::start(0).expect("a thread");
        let (count, late) = (Arc::<AtomicU32>::default(), Arc::new(()));
        let (counted, kept) = (Arc::clone(&count), Arc::clone(&late));
        let ticks = worker.ask(move || {
            let ticks = Ticks::default();
            for _ in 0..1000 {
                let kept = Arc::clone(&kept);
                ticks.every(Duration::from_secs(3600), move || Arc::strong_count(&kept) > 0);
            }
            drop(kept);
            ticks.every(TICK_MIN, move || counted.fetch_add(1, Ordering::Relaxed) < 2);
            std::mem::forget(ticks);
        });
        ticks.await.expect("the worker is there");
        while count.load(Ordering::Relaxed) < 3 || Arc::strong_count(&late) > 1 {
            tokio::task::yield_now().await;
        }
        worker.stop();
        assert_eq!(count.load(Ordering::Relaxed), 3, "it said that it was over");
    }
}
