//! Tamis: a proxy whose decisions about traffic are WebAssembly filters.
//!
//! Start reading at [`http::exchange`]: it is the path of one request, phase by phase. The modules stand in the order
//! in which they build on each other; each imports only those below it.

pub mod cli;

pub mod app;

pub mod admin;
pub mod listener;

pub mod http;

pub mod tcp;

pub mod udp;

pub mod snapshot;

pub mod filter;

pub mod cluster;

pub mod trace;

pub mod exchange;

pub mod store;

pub mod tls;

pub mod telemetry;

pub mod worker;

pub mod drain;

pub mod dial;

pub mod config;
