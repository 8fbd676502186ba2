//! Raw connections. Its configuration says what it does: `change` bytes in both directions, `line` waits for a whole line, `sniff` lets a
//! connection pass once it has said `hello`, `judge` asks a service at its beginning and `ask` at its first bytes, `hoard` keeps back what
//! it gets; any of them closes at `close`, and panics at `panic`.

use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MetricType, PeerType};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Root { mode: String::new() }));
}}

struct Root {
    mode: String,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        self.mode = String::from_utf8(self.get_plugin_configuration().unwrap_or_default()).unwrap();
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::StreamContext)
    }

    fn create_stream_context(&self, _: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(Network { mode: self.mode.clone(), asked: false, waits: false }))
    }
}

struct Network {
    mode: String,
    asked: bool,
    waits: bool,
}

fn count(name: &str) {
    let metric = hostcalls::define_metric(MetricType::Counter, name).unwrap();
    hostcalls::increment_metric(metric, 1).unwrap();
}

fn peer(peer: PeerType) -> &'static str {
    match peer {
        PeerType::Remote => "remote",
        PeerType::Local => "local",
        _ => "unknown",
    }
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|found| found == word.as_bytes())
}

impl Network {
    fn ask(&mut self) -> Action {
        (self.asked, self.waits) = (true, true);
        let source = self.get_property(vec!["source", "address"]).unwrap_or_default();
        let source = String::from_utf8(source).unwrap();
        let head = vec![(":method", "GET"), (":path", "/check"), (":authority", "auth.test"), ("x-source", &source)];
        self.dispatch_http_call("auth", head, None, vec![], Duration::from_secs(5)).unwrap();
        Action::Pause
    }
}

impl Context for Network {
    fn on_http_call_response(&mut self, _: u32, headers: usize, _: usize, _: usize) {
        self.waits = false;
        count(if headers > 0 { "answered" } else { "unanswered" });
        if self.get_http_call_response_header(":status").as_deref() == Some("200") {
            self.resume_downstream();
        } else {
            self.close_downstream();
        }
    }

    fn on_done(&mut self) -> bool {
        count("done");
        true
    }
}

impl StreamContext for Network {
    fn on_new_connection(&mut self) -> Action {
        self.set_property(vec!["seen"], Some(b"connection"));
        match self.mode.as_str() {
            "sniff" => Action::Pause,
            "judge" => self.ask(),
            _ => Action::Continue,
        }
    }

    fn on_downstream_data(&mut self, size: usize, end: bool) -> Action {
        let data = self.get_downstream_data(0, size).unwrap_or_default();
        assert_eq!(data.len(), size);
        assert_eq!(self.get_upstream_data(0, 1), None, "it is not its turn");
        if contains(&data, "panic") {
            panic!("on purpose");
        }
        if contains(&data, "close") {
            self.close_downstream();
            return Action::Pause;
        }
        match self.mode.as_str() {
            _ if self.waits => Action::Pause,
            "change" => {
                self.set_downstream_data(0, size, &data.to_ascii_uppercase());
                if end {
                    self.set_downstream_data(usize::MAX >> 1, 0, b"!");
                }
                Action::Continue
            }
            "line" if !end && !data.ends_with(b"\n") => Action::Pause,
            "sniff" if !self.asked && !end && !data.starts_with(b"hello") => Action::Pause,
            "sniff" => {
                self.asked = true;
                Action::Continue
            }
            "ask" if !self.asked && size > 0 => self.ask(),
            "hoard" => Action::Pause,
            _ => Action::Continue,
        }
    }

    fn on_upstream_data(&mut self, size: usize, end: bool) -> Action {
        let data = self.get_upstream_data(0, size).unwrap_or_default();
        if contains(&data, "goodbye") {
            self.close_upstream();
            return Action::Pause;
        }
        if self.mode == "change" {
            if size > 0 {
                self.set_upstream_data(0, 0, b"<");
            }
            if end {
                self.set_upstream_data(usize::MAX >> 1, 0, b">");
            }
        }
        Action::Continue
    }

    fn on_downstream_close(&mut self, by: PeerType) {
        count(&format!("downstream_{}", peer(by)));
    }

    fn on_upstream_close(&mut self, by: PeerType) {
        count(&format!("upstream_{}", peer(by)));
    }

    fn on_log(&mut self) {
        count("logged");
    }
}
