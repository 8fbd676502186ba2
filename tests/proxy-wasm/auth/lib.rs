//! Asks a service whether a request may pass. `x-upstream` names another one, `x-timeout` how long it waits in milliseconds;
//! what came of it is told the upstream.

use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_http_context(|_, _| Box::new(Auth { asked: None }));
}}

struct Auth {
    asked: Option<u32>,
}

impl HttpContext for Auth {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let upstream = self.get_http_request_header("x-upstream").unwrap_or_else(|| "auth".to_owned());
        let timeout = self.get_http_request_header("x-timeout").and_then(|ms| ms.parse().ok()).unwrap_or(5000);
        let token = self.get_http_request_header("x-token").unwrap_or_default();
        let headers = vec![
            (":method", "POST"),
            (":path", "/check?a=b"),
            (":authority", "auth.test"),
            ("x-token", &token),
            ("content-length", "4"),
        ];
        match self.dispatch_http_call(&upstream, headers, Some(b"body"), vec![], Duration::from_millis(timeout)) {
            Ok(token) => {
                self.asked = Some(token);
                Action::Pause
            }
            Err(status) => {
                self.send_http_response(500, vec![], Some(format!("{status:?}").as_bytes()));
                Action::Pause
            }
        }
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_response_header("x-passed", Some("yes"));
        Action::Continue
    }
}

impl Context for Auth {
    fn on_http_call_response(&mut self, token: u32, headers: usize, size: usize, _trailers: usize) {
        if self.asked != Some(token) {
            self.send_http_response(500, vec![], Some(b"another token"));
            return;
        }
        if headers == 0 {
            self.send_http_response(504, vec![("x-auth", "timeout")], Some(b"no answer"));
            return;
        }
        let status = self.get_http_call_response_header(":status").unwrap_or_default();
        let body = self.get_http_call_response_body(0, size).unwrap_or_default();
        if status == "200" {
            self.set_http_request_header("x-user", Some(&String::from_utf8_lossy(&body)));
            self.resume_http_request();
        } else {
            self.send_http_response(403, vec![("x-auth", &status)], Some(&body));
        }
    }
}
