//! `log`: what a filter writes goes into the proxy's log, with the filter's name.

use tracing::Level;

/// Bytes of one message; the rest is cut off.
pub const MESSAGE_BYTES_MAX: usize = 8192;

/// Whether somebody would read it.
pub fn enabled(severity: Level) -> bool {
    severity <= tracing::level_filters::LevelFilter::current()
}

pub fn write(filter: &str, severity: Level, message: &str) {
    let message = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
    match severity {
        Level::TRACE => tracing::trace!(target: "tamis::filter_log", filter, "{message}"),
        Level::DEBUG => tracing::debug!(target: "tamis::filter_log", filter, "{message}"),
        Level::INFO => tracing::info!(target: "tamis::filter_log", filter, "{message}"),
        Level::WARN => tracing::warn!(target: "tamis::filter_log", filter, "{message}"),
        Level::ERROR => tracing::error!(target: "tamis::filter_log", filter, "{message}"),
    }
}
