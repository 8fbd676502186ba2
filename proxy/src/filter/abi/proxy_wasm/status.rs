//! What a call of the host answers.

/// The numbers of the ABI. A guest made with the SDK of Rust has no others, and panics at some of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    Ok = 0,
    NotFound = 1,
    BadArgument = 2,
    SerializationFailure = 3,
    ParseFailure = 4,
    Empty = 7,
    CasMismatch = 8,
    InternalFailure = 10,
}

/// Which message, or which side of a connection.
pub const STREAM_REQUEST: u32 = 0;
pub const STREAM_RESPONSE: u32 = 1;
pub const STREAM_DOWNSTREAM: u32 = 2;
pub const STREAM_UPSTREAM: u32 = 3;

/// Buffers that a guest can read.
pub mod buffer {
    pub const REQUEST_BODY: u32 = 0;
    pub const RESPONSE_BODY: u32 = 1;
    pub const DOWNSTREAM_DATA: u32 = 2;
    pub const UPSTREAM_DATA: u32 = 3;
    pub const CALL_BODY: u32 = 4;
    pub const GRPC_MESSAGE: u32 = 5;
    pub const VM_CONFIGURATION: u32 = 6;
    pub const PLUGIN_CONFIGURATION: u32 = 7;
    /// Higress' own, and the last.
    pub const REDIS_REPLY: u32 = 9;
}

/// Maps of fields.
pub mod map {
    pub const REQUEST_HEADERS: u32 = 0;
    pub const REQUEST_TRAILERS: u32 = 1;
    pub const RESPONSE_HEADERS: u32 = 2;
    pub const RESPONSE_TRAILERS: u32 = 3;
    pub const GRPC_INITIAL: u32 = 4;
    pub const GRPC_TRAILING: u32 = 5;
    pub const CALL_HEADERS: u32 = 6;
    pub const CALL_TRAILERS: u32 = 7;
}
