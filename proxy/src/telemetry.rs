//! What the proxy tells about itself: the access log, one JSON line an exchange, and metrics, which a scraper reads; `traffic`
//! are those of exchanges; `propagation`: the fields by which a trace goes on.

pub mod access_log;
pub mod metrics;
pub mod propagation;
pub mod traffic;
