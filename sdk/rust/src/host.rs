//! The seam to the host: the same functions, imported in a filter, and faked natively.

#[cfg(target_family = "wasm")]
pub(crate) use crate::abi::imports::tamis::filter::{
    clock, connection, destination, entropy, log, notes, reply, request, response, setup, types::Field,
};

#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::host::{
    Field, clock, connection, destination, entropy, log, notes, reply, request, response, setup,
};
