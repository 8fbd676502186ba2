//! Logs lines with each request: `x-lines` of them, at `x-severity`, each filled up to `x-length` bytes.

use tamis_sdk::log::Severity;
use tamis_sdk::prelude::*;

struct Chatty;

impl Filter for Chatty {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        log::info!("chatty is configured");
        Ok(Chatty)
    }
}

impl RequestHook for Chatty {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let severity = match request.header("x-severity").as_ref().map(HeaderValue::as_bytes) {
            Some(b"trace") => Severity::Trace,
            Some(b"debug") => Severity::Debug,
            Some(b"warn") => Severity::Warn,
            Some(b"error") => Severity::Error,
            _ => Severity::Info,
        };
        let number = |name: &str| request.header(name).and_then(|number| number.to_str().ok()?.parse::<usize>().ok());
        for line in 1..=number("x-lines").unwrap_or(1) {
            let words = format!("line {line} of {}", request.path());
            let filling = "x".repeat(number("x-length").unwrap_or(0).saturating_sub(words.len()));
            log::write(severity, format_args!("{words}{filling}"));
        }
        Verdict::Next
    }
}

tamis_sdk::export!(Chatty: request);
