//! Counts in a counter, a gauge and a histogram, and reads what it has counted.

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MetricType};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Root { ids: [0; 3] }));
}}

struct Root {
    ids: [u32; 3],
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let kinds = [MetricType::Counter, MetricType::Gauge, MetricType::Histogram];
        self.ids = kinds.map(|kind| hostcalls::define_metric(kind, &format!("pw.test.{kind:?}")).expect("it is defined"));
        true
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Counting { ids: self.ids }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Counting {
    ids: [u32; 3],
}

impl Context for Counting {}

impl HttpContext for Counting {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let [counter, gauge, histogram] = self.ids;
        hostcalls::increment_metric(counter, 2).expect("it counts");
        hostcalls::increment_metric(gauge, 5).expect("it rises");
        hostcalls::increment_metric(gauge, -2).expect("it falls");
        hostcalls::record_metric(histogram, 7).expect("it is recorded");
        let count = hostcalls::get_metric(counter).expect("it is there");
        self.set_http_request_header("x-count", Some(&count.to_string()));
        Action::Continue
    }
}
