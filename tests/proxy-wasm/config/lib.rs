//! Tells its configuration in a field of each answer; `refuse` is refused.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, Bytes, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Root { vm: Vec::new(), plugin: Vec::new() }));
}}

struct Root {
    vm: Bytes,
    plugin: Bytes,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_vm_start(&mut self, _: usize) -> bool {
        self.vm = self.get_vm_configuration().unwrap_or_default();
        true
    }

    fn on_configure(&mut self, size: usize) -> bool {
        self.plugin = self.get_plugin_configuration().unwrap_or_default();
        size == self.plugin.len() && self.plugin != b"refuse"
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        let told = format!("{}|{}", String::from_utf8_lossy(&self.vm), String::from_utf8_lossy(&self.plugin));
        Some(Box::new(Told(told)))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Told(String);

impl Context for Told {}

impl HttpContext for Told {
    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_response_header("x-config", Some(&self.0));
        Action::Continue
    }
}
