//! HTTP: from the bytes of a client to the bytes of an endpoint and back.
//!
//! `exchange` is the path of one request and the place to start reading. `serve` brings HTTP/1 and HTTP/2 to it: `pulse` knows what a
//! connection does, `watch` when it ends, and `rest` keeps idle ones small. `headers` is what every head goes through, `trace` the trace
//! it belongs to, `forward` takes a request to its cluster, `reply` renders every answer of the proxy's own, `body` streams answers and
//! `outbound` requests, both through `passage` where filters want the pieces, and `upgrade` is what follows a 101.

pub mod body;
pub mod exchange;
pub mod forward;
pub mod headers;
mod hops;
pub mod mirror;
mod outbound;
mod passage;
pub mod paths;
pub mod pulse;
pub mod rate;
pub mod reply;
mod rest;
pub mod serve;
pub mod stall;
mod trace;
pub mod upgrade;
mod watch;
