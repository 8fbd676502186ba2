//! What a filter can ask the host for: one file an interface of wit/, plain functions on the state of an exchange.
//!
//! Nothing here knows wasmtime or any ABI. An error is what the guest got wrong and can handle.

pub mod connection;
pub mod destination;
pub mod fields;
pub mod log;
pub mod metrics;
pub mod notes;
pub mod quota;
pub mod reply;
pub mod request;
pub mod response;
pub mod setup;
pub mod store;
pub mod system;
