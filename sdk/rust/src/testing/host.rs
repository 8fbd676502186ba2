//! The host's functions, faked: the same names and shapes as those that a filter imports.

pub mod chunk;
pub mod clock;
pub mod connection;
pub mod destination;
pub mod entropy;
pub mod http_client;
pub mod log;
pub mod metrics;
pub mod notes;
pub mod outcome;
pub mod quota;
pub mod reply;
pub mod request;
pub mod response;
pub mod setup;
pub mod store;

/// One field of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub value: Vec<u8>,
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    TooLarge,
    PeerGone,
    AlreadyStreamed,
}
