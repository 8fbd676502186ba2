//! What the proxy tells about itself. Today: the access log, one JSON line an exchange.

pub mod access_log;
