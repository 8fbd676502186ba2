//! Lines in the proxy's log, which say which filter wrote them and about which exchange: `log::warn!("no user {id}")`.

use std::fmt;

use crate::host;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Every step.
    Trace,
    /// What helps to find a mistake.
    Debug,
    /// What an operator may want to know.
    Info,
    /// What an operator should look at.
    Warn,
    /// What an operator must look at.
    Error,
}

/// Whether a line of this severity would be written.
pub fn enabled(severity: Severity) -> bool {
    host::log::enabled(severity.into())
}

/// Writes one line, if lines of its severity are written. The macros of this module are shorter.
pub fn write(severity: Severity, message: fmt::Arguments<'_>) {
    if enabled(severity) {
        match message.as_str() {
            Some(message) => host::log::write(severity.into(), message),
            None => host::log::write(severity.into(), &message.to_string()),
        }
    }
}

impl From<Severity> for host::log::Severity {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Trace => host::log::Severity::Trace,
            Severity::Debug => host::log::Severity::Debug,
            Severity::Info => host::log::Severity::Info,
            Severity::Warn => host::log::Severity::Warn,
            Severity::Error => host::log::Severity::Error,
        }
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log_trace { ($($message:tt)*) => { $crate::log::write($crate::log::Severity::Trace, format_args!($($message)*)) } }
#[doc(hidden)]
#[macro_export]
macro_rules! __log_debug { ($($message:tt)*) => { $crate::log::write($crate::log::Severity::Debug, format_args!($($message)*)) } }
#[doc(hidden)]
#[macro_export]
macro_rules! __log_info { ($($message:tt)*) => { $crate::log::write($crate::log::Severity::Info, format_args!($($message)*)) } }
#[doc(hidden)]
#[macro_export]
macro_rules! __log_warn { ($($message:tt)*) => { $crate::log::write($crate::log::Severity::Warn, format_args!($($message)*)) } }
#[doc(hidden)]
#[macro_export]
macro_rules! __log_error { ($($message:tt)*) => { $crate::log::write($crate::log::Severity::Error, format_args!($($message)*)) } }

pub use {__log_debug as debug, __log_error as error, __log_info as info, __log_trace as trace, __log_warn as warn};
