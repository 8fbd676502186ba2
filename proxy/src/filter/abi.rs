//! Ways across the border of the sandbox. Each is a thin adapter between an ABI and `filter/host`.

pub mod component;

use bytes::Bytes;

use super::Hook;

/// One call of a hook, with its arguments.
#[derive(Debug, Clone)]
pub enum Call {
    Request,
    /// A piece of the body, and whether it is the last.
    RequestChunk(Bytes, bool),
    Response,
    ResponseChunk(Bytes, bool),
    RequestTrailers,
    ResponseTrailers,
    Complete,
    Tick,
    Connection,
}

impl Call {
    pub fn hook(&self) -> Hook {
        match self {
            Call::Request => Hook::Request,
            Call::RequestChunk(..) => Hook::RequestChunk,
            Call::Response => Hook::Response,
            Call::ResponseChunk(..) => Hook::ResponseChunk,
            Call::RequestTrailers | Call::ResponseTrailers => Hook::Trailers,
            Call::Complete => Hook::Complete,
            Call::Tick => Hook::Tick,
            Call::Connection => Hook::Connection,
        }
    }
}
