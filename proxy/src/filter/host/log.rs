//! `log`: what a filter writes goes into the proxy's log, with the filter's name.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::Level;

use super::system;
use crate::filter::{Identity, witness};

/// Bytes of one message; the rest is cut off.
pub const MESSAGE_BYTES_MAX: usize = 8192;

/// How many lines one filter may write, all of its instances together.
#[derive(Debug, Default)]
pub struct Gate {
    /// The second in which the lines of `written` were written, since the process began.
    second: AtomicU64,
    written: AtomicU64,
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// It is written, after this many that were not in the second before.
    Written(u64),
    Dropped,
}

impl Gate {
    /// `max`: lines a second; zero: as many as it likes.
    fn pass(&self, max: u64, second: u64) -> Pass {
        if max == 0 {
            return Pass::Written(0);
        }
        let mut missed = 0;
        if self.second.swap(second, Ordering::Relaxed) != second {
            missed = self.written.swap(0, Ordering::Relaxed).saturating_sub(max);
        }
        if self.written.fetch_add(1, Ordering::Relaxed) < max { Pass::Written(missed) } else { Pass::Dropped }
    }
}

/// Whether somebody would read it.
pub fn enabled(severity: Level) -> bool {
    severity <= tracing::level_filters::LevelFilter::current() || witness::is_on()
}

pub fn write(identity: &Identity, severity: Level, message: &str) {
    if !enabled(severity) {
        return;
    }
    match identity.log.pass(identity.config.log_lines, system::monotonic_ns() / 1_000_000_000) {
        Pass::Dropped => return,
        Pass::Written(0) => {}
        Pass::Written(missed) => {
            tracing::warn!(target: "tamis::filter_log", filter = &*identity.name, missed, "lines of this filter were dropped: it writes more than `log-lines` a second");
        }
    }
    witness::effect("log", || format!("{}: {message}", severity.as_str().to_ascii_lowercase()));
    let filter = &*identity.name;
    let message = &*one_line(&message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)]);
    match severity {
        Level::TRACE => tracing::trace!(target: "tamis::filter_log", filter, "{message}"),
        Level::DEBUG => tracing::debug!(target: "tamis::filter_log", filter, "{message}"),
        Level::INFO => tracing::info!(target: "tamis::filter_log", filter, "{message}"),
        Level::WARN => tracing::warn!(target: "tamis::filter_log", filter, "{message}"),
        Level::ERROR => tracing::error!(target: "tamis::filter_log", filter, "{message}"),
    }
}

/// Control characters are escaped: what looks like a line of the log is one of the proxy's.
fn one_line(message: &str) -> Cow<'_, str> {
    if !message.contains(char::is_control) {
        return Cow::Borrowed(message);
    }
    let mut escaped = String::with_capacity(message.len() + 16);
    for character in message.chars() {
        match character.is_control() {
            true => escaped.extend(character.escape_default()),
            false => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(one_line("a\nWARN b\r\t\u{1b}[31m\u{85}"), r"a\nWARN b\r\t\u{1b}[31m\u{85}");
        assert!(matches!(one_line("ünd \\ \"so\""), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_too_much_in_a_second_is_counted_and_told_in_the_next() {
        let gate = Gate::default();
        let written: Vec<_> = (0..5).map(|_| gate.pass(3, 7)).collect();
        assert_eq!(written, [Pass::Written(0), Pass::Written(0), Pass::Written(0), Pass::Dropped, Pass::Dropped]);
        assert_eq!(gate.pass(3, 8), Pass::Written(2));
        assert_eq!(gate.pass(3, 8), Pass::Written(0));
        assert_eq!(gate.pass(0, 8), Pass::Written(0));
    }
}
