//! `on-tick`: once a process, on one of its workers, in an instance of its own, one call after the other.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::abi::Call;
use super::hand::{Hand, Reach};
use super::{ConfigureError, Fault, Filter, Hook, Verdict};

thread_local! {
    static TICKING: RefCell<HashMap<u64, JoinHandle<()>>> = RefCell::new(HashMap::new());
    static REACH: RefCell<Arc<Reach>> = RefCell::default();
}

/// From now on these filters tick on this worker, and no others.
pub fn set(filters: Vec<Arc<Filter>>, reach: Arc<Reach>) {
    REACH.set(reach);
    TICKING.with_borrow_mut(|ticking| {
        ticking.retain(|id, task| {
            let stays = filters.iter().any(|filter| filter.id == *id);
            if !stays {
                task.abort();
            }
            stays
        });
        for filter in filters {
            if let Some(period) = filter.setup.tick_every() {
                ticking.entry(filter.id).or_insert_with(|| tokio::task::spawn_local(run(filter, period)));
            }
        }
    });
}

async fn run(filter: Arc<Filter>, period: Duration) {
    let mut due = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut instance = None;
    loop {
        due.tick().await;
        let Ok(admission) = filter.health.admits() else { continue };
        let mut waited = Duration::ZERO;
        let outcome = async {
            let mut ready = match instance.take() {
                Some(instance) => instance,
                None => filter.instance().await.map_err(|error| match error {
                    ConfigureError::Fault(fault) => fault,
                    ConfigureError::Refused(message) => Fault::Configure(message),
                })?,
            };
            let mut hand = Hand::empty(Hook::Tick, &REACH.with_borrow(Arc::clone));
            let ended = ready.call(Call::Tick, &mut hand).await;
            waited = hand.waited;
            ended?;
            Ok(ready)
        };
        let began = Instant::now();
        let outcome = outcome.await;
        filter.calls.ended(Hook::Tick, outcome.as_ref().map(|_| Verdict::Next), began.elapsed(), waited);
        match outcome {
            Ok(ready) => {
                filter.health.ended(&filter.identity, admission, true);
                instance = Some(ready);
            }
            Err(fault) => {
                let fault: Fault = fault;
                filter.failures.count(&fault);
                if fault.is_the_filters() {
                    filter.health.ended(&filter.identity, admission, false);
                }
                tracing::warn!(filter = %filter.name, hook = Hook::Tick.name(), %fault, "a filter failed");
            }
        }
    }
}
