//! The types of wit/ as the canonical ABI lifts and lowers them, and what they mean inside.

use wasmtime::component::{ComponentType, Lift, Lower};

use crate::filter;

/// `types.verdict`
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum Verdict {
    #[component(name = "next")]
    Next,
    #[component(name = "replied")]
    Replied,
    #[component(name = "reset")]
    Reset,
}

impl From<Verdict> for filter::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Next => Self::Next,
            Verdict::Replied => Self::Replied,
            Verdict::Reset => Self::Reset,
        }
    }
}

/// `types.field`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct Field {
    pub name: String,
    pub value: Vec<u8>,
}

/// `configure.input`
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub struct Input {
    pub name: String,
    pub content: Vec<u8>,
}

/// `log.severity`
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum Severity {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

impl From<Severity> for tracing::Level {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Trace => Self::TRACE,
            Severity::Debug => Self::DEBUG,
            Severity::Info => Self::INFO,
            Severity::Warn => Self::WARN,
            Severity::Error => Self::ERROR,
        }
    }
}
