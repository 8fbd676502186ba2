//! One field read, one set, and one set on the answer: what scripts/must-show/proxy-wasm.sh measures.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_http_context(|_, _| Box::new(Cost));
}}

struct Cost;

impl Context for Cost {}

impl HttpContext for Cost {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let agent = self.get_http_request_header("user-agent").unwrap_or_default();
        self.set_http_request_header("x-agent", Some(&agent));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_response_header("x-filtered", Some("yes"));
        Action::Continue
    }
}
