//! Changes bodies: `x-mode: whole` waits for all of one and replaces it, `prepend` and `append` work on its first and last piece, `deny` answers
//! itself when the body has come, `longer` changes the length and forgets to say so, `pause` waits for all of it and changes nothing.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_http_context(|_, _| Box::new(Bodies { mode: String::new(), request: 0, begun: false }));
}}

struct Bodies {
    mode: String,
    request: usize,
    begun: bool,
}

impl Context for Bodies {}

impl HttpContext for Bodies {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.mode = self.get_http_request_header("x-mode").unwrap_or_default();
        if ["whole", "prepend", "append"].contains(&self.mode.as_str()) {
            self.set_http_request_header("content-length", None);
        }
        Action::Continue
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        match self.mode.as_str() {
            "whole" | "deny" | "pause" if !end => return Action::Pause,
            "pause" => self.request = size,
            "whole" => {
                self.request = size;
                let body = self.get_http_request_body(0, size).unwrap_or_default();
                let changed = String::from_utf8_lossy(&body).to_uppercase();
                self.set_http_request_body(0, size, changed.as_bytes());
            }
            "deny" => {
                self.send_http_response(403, vec![("x-denied", "body")], Some(b"denied"));
                return Action::Pause;
            }
            "longer" => self.set_http_request_body(size, 0, b" and more"),
            "prepend" if !self.begun => self.set_http_request_body(0, 0, b"<"),
            "append" if end => self.set_http_request_body(size, 0, b">"),
            _ => {}
        }
        self.begun = true;
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, count: usize) -> Action {
        self.set_http_request_trailer("x-trailers", Some(&count.to_string()));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, end: bool) -> Action {
        self.set_http_response_header("x-end", Some(&end.to_string()));
        self.set_http_response_header("x-request-size", Some(&self.request.to_string()));
        if self.mode == "whole" {
            self.set_http_response_header("content-length", None);
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if self.mode != "whole" {
            return Action::Continue;
        }
        if !end {
            return Action::Pause;
        }
        let body = self.get_http_response_body(0, size).unwrap_or_default();
        let text = format!("[{}]", String::from_utf8_lossy(&body));
        self.set_http_response_body(0, size, text.as_bytes());
        Action::Continue
    }
}
