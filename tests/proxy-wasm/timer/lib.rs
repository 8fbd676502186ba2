//! Ticks, and asks a service in each tick; how often and what it last answered is told in each exchange.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Root { ticks: Rc::default() }));
}}

#[derive(Default)]
struct Ticks {
    count: u32,
    answer: String,
}

struct Root {
    ticks: Rc<RefCell<Ticks>>,
}

impl Context for Root {
    fn on_http_call_response(&mut self, _: u32, _: usize, size: usize, _: usize) {
        let body = self.get_http_call_response_body(0, size).unwrap_or_default();
        self.ticks.borrow_mut().answer = String::from_utf8_lossy(&body).into_owned();
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        self.set_tick_period(Duration::from_millis(20));
        true
    }

    fn on_tick(&mut self) {
        self.ticks.borrow_mut().count += 1;
        let headers = vec![(":method", "GET"), (":path", "/keys"), (":authority", "keys.test")];
        let _ = self.dispatch_http_call("keys", headers, None, vec![], Duration::from_secs(1));
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Told(Rc::clone(&self.ticks))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Told(Rc<RefCell<Ticks>>);

impl Context for Told {}

impl HttpContext for Told {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let ticks = self.0.borrow();
        let told = [("x-ticks", ticks.count.to_string()), ("x-answer", ticks.answer.clone())];
        let told = told.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.send_http_response(200, told, None);
        Action::Pause
    }
}
