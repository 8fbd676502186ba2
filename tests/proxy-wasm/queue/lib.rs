//! Puts the path of each request into a queue, which the plugin's own context empties into shared data.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Root { queue: 0 }));
}}

struct Root {
    queue: u32,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_vm_start(&mut self, _: usize) -> bool {
        self.queue = self.register_shared_queue("paths");
        true
    }

    fn on_queue_ready(&mut self, queue: u32) {
        if queue != self.queue {
            return;
        }
        while let Ok(Some(item)) = self.dequeue_shared_queue(queue) {
            let (all, _) = self.get_shared_data("all");
            let mut all = all.unwrap_or_default();
            all.extend_from_slice(&item);
            self.set_shared_data("all", Some(&all), None).expect("there is room");
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Queueing))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Queueing;

impl Context for Queueing {}

impl HttpContext for Queueing {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let path = self.get_http_request_header(":path").unwrap_or_default();
        if path == "/all" {
            let (all, _) = self.get_shared_data("all");
            self.send_http_response(200, vec![], Some(&all.unwrap_or_default()));
            return Action::Pause;
        }
        let queue = self.resolve_shared_queue("", "paths").expect("it is registered");
        self.enqueue_shared_queue(queue, Some(path.as_bytes())).expect("there is room");
        Action::Continue
    }
}
