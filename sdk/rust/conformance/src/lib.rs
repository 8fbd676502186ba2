//! What the SDK promises, as cases that can be run twice: natively against the fake host, and as Wasm inside the real one, so
//! that the fake cannot lie.
//!
//! A [`Case`] is an exchange, as data, and what a filter does with it. [`Conformance`] is the filter: the request's field
//! `x-case` names the case to run, and the response's field `x-case-result` is `ok`, or says what was not as it should be.
//! What only the two ends can see is data as well: [`Upstream`] and [`Client`].

mod case;
mod cases;
mod check;
mod filter;

pub use case::{Answer, Case, Client, Upstream};
pub use cases::cases;
pub use filter::{CASE, Conformance, RESULT};
