//! Asks a service of gRPC before a request passes: one message each way, or with `x-stream` two on a stream.

use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_http_context(|_, _| Box::new(Grpc { received: Vec::new() }));
}}

struct Grpc {
    received: Vec<String>,
}

impl HttpContext for Grpc {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let stream = self.get_http_request_header("x-stream").is_some();
        if stream {
            match self.open_grpc_stream("service", "test.Echo", "Stream", vec![("x-meta", b"1")]) {
                Ok(token) => {
                    self.send_grpc_stream_message(token, Some(b"one"), false);
                    self.send_grpc_stream_message(token, Some(b"two"), true);
                }
                Err(status) => self.send_http_response(500, vec![], Some(format!("{status:?}").as_bytes())),
            }
            return Action::Pause;
        }
        let called = self.dispatch_grpc_call(
            "service",
            "test.Echo",
            "Say",
            vec![("x-meta", b"1")],
            Some(b"hello"),
            Duration::from_secs(5),
        );
        if let Err(status) = called {
            self.send_http_response(500, vec![], Some(format!("{status:?}").as_bytes()));
        }
        Action::Pause
    }
}

impl Context for Grpc {
    fn on_grpc_call_response(&mut self, _: u32, status: u32, size: usize) {
        if status != 0 {
            let (code, message) = self.get_grpc_status();
            let told = format!("{status} {code} {}", message.unwrap_or_default());
            self.send_http_response(502, vec![("x-grpc", &told)], None);
            return;
        }
        let message = self.get_grpc_call_response_body(0, size).unwrap_or_default();
        self.set_http_request_header("x-grpc", Some(&String::from_utf8_lossy(&message)));
        self.resume_http_request();
    }

    fn on_grpc_stream_message(&mut self, _: u32, size: usize) {
        let message = self.get_grpc_stream_message(0, size).unwrap_or_default();
        self.received.push(String::from_utf8_lossy(&message).into_owned());
    }

    fn on_grpc_stream_close(&mut self, _: u32, status: u32) {
        let told = format!("{} {status}", self.received.join(","));
        self.set_http_request_header("x-grpc", Some(&told));
        self.resume_http_request();
    }
}
