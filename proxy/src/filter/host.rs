//! What a filter can ask the host for: one file an interface of wit/, plain functions on what is in hand.
//!
//! Nothing here knows wasmtime or any ABI, except `wasi`, which is an adapter itself. An error is what the guest got wrong
//! and can handle.

pub mod body;
pub mod connection;
pub mod destination;
pub mod fields;
pub mod http_client;
pub mod inputs;
pub mod log;
pub mod metrics;
pub mod mirror;
pub mod notes;
pub mod outcome;
pub mod quota;
pub mod reply;
pub mod request;
pub mod response;
pub mod setup;
pub mod store;
pub mod system;
pub mod trailers;
pub mod wasi;
