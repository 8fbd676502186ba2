//! What the proxy tells about itself: the access log, one line an exchange, and metrics, which a scraper reads; `traffic` are
//! those of exchanges, `streams` those of raw connections. `redact`: what none of them shows. `log`: the proxy's own log;
//! `process`: what the process takes; `propagation`: the fields by which a trace goes on.

pub mod access_log;
pub mod log;
pub mod metrics;
pub mod process;
pub mod propagation;
pub mod redact;
pub mod streams;
pub mod traffic;
