//! The seam to the host: the same functions, imported in a filter, and faked natively.

#[cfg(target_family = "wasm")]
pub(crate) use crate::abi::imports::tamis::filter::{
    chunk, clock, connection, destination, entropy, http_client, log, metrics, notes, outcome, quota, reply, request, response,
    setup, store,
    types::{BodyError, Field},
};

#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::host::{
    BodyError, Field, chunk, clock, connection, destination, entropy, http_client, log, metrics, notes, outcome, quota, reply,
    request, response, setup, store,
};
