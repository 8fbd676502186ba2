//! What the proxy tells about itself: the access log, one JSON line an exchange, and metrics, which a scraper reads.

pub mod access_log;
pub mod metrics;
