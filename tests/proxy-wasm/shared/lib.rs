//! Counts exchanges in data that all instances share, with a compare-and-swap.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel, Status};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_http_context(|_, _| Box::new(Shared));
}}

struct Shared;

impl Context for Shared {}

impl HttpContext for Shared {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        loop {
            let (value, version) = self.get_shared_data("count");
            let count: u64 = value.and_then(|value| String::from_utf8(value).ok()?.parse().ok()).unwrap_or(0);
            let next = (count + 1).to_string();
            match self.set_shared_data("count", Some(next.as_bytes()), version) {
                Ok(()) => {
                    self.set_http_request_header("x-count", Some(&next));
                    return Action::Continue;
                }
                Err(Status::CasMismatch) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}
