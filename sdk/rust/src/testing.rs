//! The fake host: a filter's unit tests run natively against it, with the real host's rules and without a proxy.
//!
//! ```
//! # use tamis_sdk::prelude::*;
//! # struct Teapot;
//! # impl Filter for Teapot {
//! #     type Config = NoConfig;
//! #     fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> { Ok(Teapot) }
//! # }
//! # impl RequestHook for Teapot {
//! #     fn on_request(&self, request: &mut Request) -> Verdict {
//! #         request.set_header("x-short", "and stout").unwrap();
//! #         Verdict::Next
//! #     }
//! # }
//! # tamis_sdk::export!(Teapot: request);
//! # fn main() {
//! use tamis_sdk::testing::{Exchange, configure};
//!
//! let teapot = configure::<Teapot>("{}").unwrap();
//! let outcome = Exchange::get("/tea?sugar=2").header("cookie", "a=1").through(&teapot);
//!
//! assert_eq!(outcome.verdict(), &Verdict::Next);
//! assert_eq!(outcome.upstream().unwrap().header("x-short").unwrap(), "and stout");
//! # }
//! ```
//!
//! What the fake does is what the proxy does: the cases of the conformance suite run against both. What an exchange has to do
//! with is told to the [`Exchange`]; what outlives it, stores, services to call, inputs and the clock, to the [`Host`].

mod body;
mod call;
mod configured;
mod exchange;
mod hand;
#[doc(hidden)]
#[allow(missing_docs)]
pub mod host;
mod metrics;
mod outcome;
mod process;
mod rules;
mod run;
mod store;
mod target;

pub use call::{Answer, Call};
pub use configured::{Configured, Host, configure};
pub use exchange::Exchange;
pub use outcome::{Line, Outcome, Retry, SentMirror, SentRequest, SentResponse};
