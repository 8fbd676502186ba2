//! Reads, sets, adds and removes fields on both ways; `/local` is answered here, `/reset` ends without an answer.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_http_context(|context_id, _| Box::new(Headers { context_id, path: String::new() }));
}}

struct Headers {
    context_id: u32,
    /// Other proxies do not show the request any more once it has gone on.
    path: String,
}

impl Context for Headers {
    fn on_done(&mut self) -> bool {
        log::info!("done {}", self.path);
        true
    }
}

impl HttpContext for Headers {
    fn on_http_request_headers(&mut self, count: usize, end: bool) -> Action {
        let all = self.get_http_request_headers();
        self.set_http_request_header("x-seen-count", Some(&(all.len() == count).to_string()));
        self.set_http_request_header("x-seen-end", Some(&end.to_string()));
        let names: Vec<_> = all.iter().take(4).map(|(name, _)| name.as_str()).collect();
        self.set_http_request_header("x-seen-first", Some(&names.join(" ")));
        let token = self.get_http_request_header("X-Token");
        self.add_http_request_header("x-added", "one");
        self.add_http_request_header("x-added", "two");
        self.set_http_request_header("x-remove", None);
        self.path = self.get_http_request_header(":path").unwrap_or_default();
        match self.path.as_str() {
            "/local" => {
                let token = token.unwrap_or_default();
                self.send_http_response(418, vec![("x-token-was", &token), ("powered-by", "proxy-wasm")], Some(b"local"));
                Action::Pause
            }
            "/reset" => {
                self.reset_http_request();
                Action::Pause
            }
            "/rewrite" => {
                self.set_http_request_header(":path", Some("/rewritten?a=b"));
                self.set_http_request_header(":authority", Some("other.test"));
                Action::Continue
            }
            "/wrong" => {
                self.set_http_request_header("x-wrong", Some("a\r\nb: c"));
                Action::Continue
            }
            _ => Action::Continue,
        }
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let status = self.get_http_response_header(":status").unwrap_or_default();
        self.set_http_response_header("x-status-was", Some(&status));
        self.set_http_response_header("x-context", Some(&(self.context_id > 1).to_string()));
        self.set_http_response_header("x-upstream-only", None);
        let property = |path: Vec<&str>| {
            let value = self.get_property(path).unwrap_or_default();
            String::from_utf8_lossy(&value).into_owned()
        };
        let told = [
            property(vec!["request", "method"]),
            property(vec!["request", "url_path"]),
            property(vec!["plugin_name"]),
            property(vec!["plugin_root_id"]),
            property(vec!["cluster_name"]),
        ];
        self.set_http_response_header("x-properties", Some(&told.join(" ")));
        if self.path == "/status" {
            self.set_http_response_header(":status", Some("202"));
        }
        self.set_property(vec!["mine", "key"], Some(b"kept"));
        let kept = self.get_property(vec!["mine", "key"]).unwrap_or_default();
        self.set_http_response_header("x-kept", Some(&String::from_utf8_lossy(&kept)));
        Action::Continue
    }
}
