//! Write a filter for the Tamis proxy: one struct, plain methods, one [`export!`].
//!
//! ```
//! use tamis_sdk::prelude::*;
//!
//! #[derive(Deserialize)]
//! #[serde(rename_all = "kebab-case", deny_unknown_fields)]
//! struct Config {
//!     greeting: String,
//! }
//!
//! struct Hello {
//!     greeting: String,
//! }
//!
//! impl Filter for Hello {
//!     type Config = Config;
//!
//!     fn configure(config: Config, _: &mut Setup) -> Result<Self, ConfigError> {
//!         Ok(Hello { greeting: config.greeting })
//!     }
//! }
//!
//! impl RequestHook for Hello {
//!     fn on_request(&self, request: &mut Request) -> Verdict {
//!         match request.path().as_str() {
//!             "/hello" => Reply::new(StatusCode::OK).text(&self.greeting).into(),
//!             _ => Verdict::Next,
//!         }
//!     }
//! }
//!
//! tamis_sdk::export!(Hello: request);
//!
//! # #[cfg(not(target_family = "wasm"))]
//! # fn main() {
//! use tamis_sdk::testing::{Exchange, configure};
//!
//! let hello = configure::<Hello>(r#"{ "greeting": "good day" }"#).unwrap();
//! let outcome = Exchange::get("/hello").through(&hello);
//! assert_eq!(outcome.response().unwrap().text(), "good day");
//! # }
//! ```
//!
//! A filter is configured once; then its hooks are called, one for each phase of an exchange (one request and its response).
//! Which instance of a filter a hook runs in is the proxy's business: what one hook wants to tell the next goes into
//! [`Notes`], unless the filter asks to [keep its state](Setup::keep_state).
//!
//! Natively, `cargo test` runs a filter against the fake host in [`testing`], which behaves as the real one does.

pub mod clock;
pub mod collections;
pub mod config;
pub mod entropy;
pub mod http_client;
pub mod log;
pub mod metrics;
pub mod quota;
pub mod store;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

mod chunk;
mod connection;
mod destination;
mod error;
mod fields;
mod filter;
mod hook;
mod notes;
mod outcome;
mod reply;
mod request;
mod response;
mod setup;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[allow(unsafe_code, missing_docs)]
pub mod abi;
#[doc(hidden)]
pub mod export;
mod host;
#[cfg(any(test, target_family = "wasm"))]
#[allow(unsafe_code)]
mod memory;
mod ms;
mod phase;

pub use chunk::{Chunk, ChunkVerdict};
pub use config::{ConfigError, NoConfig};
pub use connection::Connection;
pub use destination::{Destination, Mirror};
pub use error::{BodyError, Refused};
pub use fields::Fields;
pub use filter::{ConnectionVerdict, Filter, Verdict};
pub use hook::{
    CompleteHook, ConnectionHook, Hook, RequestChunkHook, RequestHook, ResponseChunkHook, ResponseHook, TickHook, TrailersHook,
};
pub use http::{HeaderValue, Method, StatusCode};
pub use notes::Notes;
pub use outcome::{Mirrored, Outcome};
pub use reply::Reply;
pub use request::Request;
pub use response::Response;
pub use serde;
pub use setup::Setup;

#[cfg(all(target_family = "wasm", feature = "allocator", not(target_feature = "atomics")))]
#[global_allocator]
static MEMORY: memory::Lists = memory::Lists::new();

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// What nearly every filter uses.
pub mod prelude {
    pub use crate::{
        BodyError, Chunk, ChunkVerdict, CompleteHook, ConfigError, Connection, ConnectionHook, ConnectionVerdict, Destination,
        Filter, HeaderValue, Hook, Method, NoConfig, Notes, Outcome, Refused, Reply, Request, RequestChunkHook, RequestHook,
        Response, ResponseChunkHook, ResponseHook, Setup, StatusCode, TickHook, TrailersHook, Verdict, clock, entropy, log,
    };
    pub use serde::Deserialize;
}
