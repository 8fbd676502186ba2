//! Lines in the log.

use crate::log::Severity as Level;
use crate::testing::hand::with;

#[derive(Clone, Copy)]
pub enum Severity {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl From<Severity> for Level {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Trace => Level::Trace,
            Severity::Debug => Level::Debug,
            Severity::Info => Level::Info,
            Severity::Warn => Level::Warn,
            Severity::Error => Level::Error,
        }
    }
}

pub fn enabled(severity: Severity) -> bool {
    with(|hand| Level::from(severity) >= hand.log_level)
}

pub fn write(severity: Severity, message: &str) {
    with(|hand| {
        if Level::from(severity) >= hand.log_level {
            hand.logs.push((severity.into(), message.to_owned()));
        }
    });
}
