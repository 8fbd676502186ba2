//! `/panic` panics, `/loop` never ends, `/hog` takes all the memory there is, `/wait` waits for ever; anything else is answered
//! with how many exchanges this instance has seen.

use std::cell::Cell;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_http_context(|_, _| Box::new(Trap));
}}

thread_local! {
    static SEEN: Cell<u32> = const { Cell::new(0) };
}

struct Trap;

impl Context for Trap {}

impl HttpContext for Trap {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        SEEN.set(SEEN.get() + 1);
        let path = self.get_http_request_header(":path").unwrap_or_default();
        match path.as_str() {
            "/panic" => panic!("on purpose"),
            "/loop" => loop {
                std::hint::black_box(path.len());
            },
            "/hog" => {
                let mut all = Vec::new();
                loop {
                    all.push(std::hint::black_box(vec![1_u8; 1 << 20]));
                }
            }
            "/wait" => Action::Pause,
            _ => {
                self.set_http_request_header("x-seen", Some(&SEEN.get().to_string()));
                Action::Continue
            }
        }
    }
}
