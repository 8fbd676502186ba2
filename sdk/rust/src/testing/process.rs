//! What outlives an exchange: the clock, stores and quotas, metrics, and the services that a filter may call.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use super::call::{Answer, Call};
use super::metrics::Metrics;
use super::store::Stores;
use crate::http_client::Error;

/// What a scripted service answers.
pub(super) type Service = Rc<dyn Fn(&Call) -> Result<Answer, Error>>;

#[derive(Default, Clone)]
pub(super) struct Process {
    pub clock: Clock,
    pub stores: Stores,
    pub metrics: Metrics,
    pub services: BTreeMap<String, Service>,
    pub calls: Vec<Call>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<&String> = self.services.keys().collect();
        f.debug_struct("Process")
            .field("clock", &self.clock)
            .field("stores", &self.stores)
            .field("metrics", &self.metrics)
            .field("services", &services)
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

/// Time, which passes by itself unless it is stopped, and passes at once where a filter sleeps.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clock {
    pub stopped: Option<Duration>,
    pub passed: Duration,
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock {
    pub(super) fn now(&self) -> Duration {
        self.stopped.unwrap_or_else(|| SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()) + self.passed
    }

    pub(super) fn monotonic(&self) -> Duration {
        match self.stopped {
            Some(_) => self.passed,
            None => START.elapsed() + self.passed,
        }
    }
}
