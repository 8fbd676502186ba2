//! What filters export: where each hook of wit/ is, in a module of whatever form.

use crate::filter::Hook;

/// One of each function that this version calls.
pub struct Exports<T> {
    pub configure: Option<T>,
    pub request: Option<T>,
    pub request_chunk: Option<T>,
    pub response: Option<T>,
    pub response_chunk: Option<T>,
    pub request_trailers: Option<T>,
    pub response_trailers: Option<T>,
    pub complete: Option<T>,
    pub tick: Option<T>,
    pub connection: Option<T>,
}

/// The functions of an interface.
pub fn functions(interface: &str) -> &'static [&'static str] {
    match interface {
        "configure" => &["configure"],
        "request-hook" => &["on-request"],
        "request-chunk-hook" => &["on-request-chunk"],
        "response-hook" => &["on-response"],
        "response-chunk-hook" => &["on-response-chunk"],
        "trailers-hook" => &["on-request-trailers", "on-response-trailers"],
        "complete-hook" => &["on-complete"],
        "tick-hook" => &["on-tick"],
        "connection-hook" => &["on-connection"],
        _ => &[],
    }
}

impl<T> Default for Exports<T> {
    fn default() -> Self {
        Self {
            configure: None,
            request: None,
            request_chunk: None,
            response: None,
            response_chunk: None,
            request_trailers: None,
            response_trailers: None,
            complete: None,
            tick: None,
            connection: None,
        }
    }
}

impl<T> Exports<T> {
    /// Where the function of this name has its place.
    pub fn place(&mut self, function: &str) -> Option<&mut Option<T>> {
        Some(match function {
            "configure" => &mut self.configure,
            "on-request" => &mut self.request,
            "on-request-chunk" => &mut self.request_chunk,
            "on-response" => &mut self.response,
            "on-response-chunk" => &mut self.response_chunk,
            "on-request-trailers" => &mut self.request_trailers,
            "on-response-trailers" => &mut self.response_trailers,
            "on-complete" => &mut self.complete,
            "on-tick" => &mut self.tick,
            "on-connection" => &mut self.connection,
            _ => return None,
        })
    }

    /// The hooks that are there.
    pub fn hooks(&self) -> Vec<Hook> {
        let there = |hook: &Hook| match hook {
            Hook::Request => self.request.is_some(),
            Hook::RequestChunk => self.request_chunk.is_some(),
            Hook::Response => self.response.is_some(),
            Hook::ResponseChunk => self.response_chunk.is_some(),
            Hook::Trailers => self.request_trailers.is_some() || self.response_trailers.is_some(),
            Hook::Complete => self.complete.is_some(),
            Hook::Tick => self.tick.is_some(),
            Hook::Connection => self.connection.is_some(),
        };
        Hook::ALL.iter().copied().filter(there).collect()
    }
}
