//! How often a filter has failed, by what went wrong. The count goes on when its module is swapped.

use std::sync::Arc;

use super::Fault;
use crate::telemetry::metrics::{Family, Registry};

/// See the module.
#[derive(Debug)]
pub struct Failures {
    filter: Arc<str>,
    counter: Arc<Family>,
}

impl Failures {
    pub fn of(filter: &Arc<str>, metrics: &Registry) -> Self {
        let help = "Hooks of a filter that failed, by kind.";
        let counter = metrics.counter("tamis_filter_failures_total", help, &["filter", "kind"]);
        Self { filter: Arc::clone(filter), counter }
    }

    pub fn count(&self, fault: &Fault) {
        // One is a number, and both labels are there.
        let _ = self.counter.observe(&[&*self.filter, fault.kind()], 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Exposition;

    #[test]
    fn failures_are_counted_over_swaps() {
        let metrics = Registry::default();
        Failures::of(&"f".into(), &metrics).count(&Fault::Trap(String::new()));
        Failures::of(&"f".into(), &metrics).count(&Fault::Trap(String::new()));
        Failures::of(&"g".into(), &metrics).count(&Fault::Deadline(std::time::Duration::ZERO));
        let mut exposition = Exposition::default();
        metrics.render(&mut exposition);
        let page = exposition.finish();
        let lines = "tamis_filter_failures_total{filter=\"f\",kind=\"trap\"} 2\ntamis_filter_failures_total{filter=\"g\",kind=\"deadline\"} 1\n";
        assert!(page.ends_with(lines), "{page}");
    }
}
