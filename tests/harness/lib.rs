//! What every scenario is written with: an origin that records what it sees, a proxy under test, clients of every kind,
//! and certificates. It knows the proxy's public interface and nothing of its inside.
//!
//! ```ignore
//! matrix!(a_request_reaches_the_origin);
//! async fn a_request_reaches_the_origin(edge: Edge) {
//!     let origin = origin().route("/hello", "hello").run();
//!     let proxy = edge.forward_to(&origin);
//!     let answer = proxy.client().await.get("/hello").await;
//!     assert_eq!((answer.status, answer.text()), (200, "hello"));
//! }
//! ```

pub mod access_log;
pub mod body;
pub mod certificates;
pub mod client;
pub mod collector;
pub mod command;
pub mod edge;
pub mod guests;
pub mod languages;
pub mod logged;
pub mod origin;
pub mod proxy;
pub mod raw;
pub mod redis;
pub mod shipped;

pub use body::Feed;
pub use client::{Answer, Client};
pub use collector::{Collector, collector};
pub use edge::Edge;
pub use guests::{chain, example, guest};
pub use origin::{Gate, Origin, Reply, origin, raw_origin, raw_origin_at};
pub use proxy::{Proxy, proxy, refused};
pub use raw::Raw;
pub use redis::Redis;
pub use shipped::shipped;
