//! Takes as much of the host as it gets, in pieces of a megabyte, and tells how many and why no more: `/calls` of calls that
//! nobody answers, `/messages` of a stream of gRPC, `/bytes` of a body of its own, `/grow` of the one that there is. `/rebuild` wants
//! another instance each time and waits for ever, `/leave` makes a call and does not wait; `/ticks` asks for another period a thousand
//! times.

use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel, MetricType};

const PIECE: usize = 1 << 20;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_http_context(|_, _| Box::new(Hoard { path: String::new() }));
}}

struct Hoard {
    path: String,
}

/// How often it goes well, and how it does not then.
fn until_refused<T>(mut job: impl FnMut() -> Result<(), T>) -> (usize, Option<T>) {
    for count in 0..1000 {
        if let Err(refused) = job() {
            return (count, Some(refused));
        }
    }
    (1000, None)
}

impl Context for Hoard {}

impl HttpContext for Hoard {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.path = self.get_http_request_header(":path").unwrap_or_default();
        let piece = vec![b'x'; PIECE];
        let (count, refused) = match self.path.as_str() {
            "/calls" => until_refused(|| {
                let head = vec![(":method", "POST"), (":path", "/"), (":authority", "a.test")];
                self.dispatch_http_call("service", head, Some(&piece), vec![], Duration::from_secs(20)).map(drop)
            }),
            "/messages" => match self.open_grpc_stream("service", "test.Echo", "Stream", vec![]) {
                Ok(token) => {
                    let sent = until_refused(|| hostcalls::send_grpc_stream_message(token, Some(&piece), false));
                    self.cancel_grpc_stream(token);
                    sent
                }
                Err(refused) => (0, Some(refused)),
            },
            "/rebuild" => {
                let arrived = hostcalls::define_metric(MetricType::Counter, "arrived").unwrap();
                hostcalls::increment_metric(arrived, 1).unwrap();
                self.set_property(vec!["wasm_need_rebuild"], Some(b"true"));
                return Action::Pause;
            }
            "/leave" => {
                let head = vec![(":method", "POST"), (":path", "/"), (":authority", "a.test")];
                self.dispatch_http_call("service", head, None, vec![], Duration::from_secs(30)).unwrap();
                self.set_property(vec!["wasm_need_rebuild"], Some(b"true"));
                return Action::Continue;
            }
            "/ticks" => until_refused(|| hostcalls::set_tick_period(Duration::from_secs(1_000_000))),
            _ => return Action::Continue,
        };
        self.send_http_response(200, vec![("x-hoarded", &format!("{count} {refused:?}"))], None);
        Action::Pause
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if self.path == "/bytes" {
            // A message of the field 1, which has these bytes.
            let mut message = vec![0x0a, 0x80, 0x80, 0x40];
            message.resize(4 + PIECE, b'x');
            let (count, refused) =
                until_refused(|| self.call_foreign_function("inject_encoded_data_to_filter_chain", Some(&message)).map(drop));
            self.set_http_response_header("content-length", None);
            self.set_http_response_header("x-hoarded", Some(&format!("{count} {refused:?}")));
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, _: usize, _: bool) -> Action {
        if self.path == "/grow" {
            let piece = vec![b'x'; PIECE];
            (0..100).for_each(|_| self.set_http_response_body(usize::MAX, 0, &piece));
        }
        Action::Continue
    }
}
