//! What nobody shall read in logs.

use std::sync::Arc;

use http::HeaderName;

use super::defaults;

/// `[redact]`: whose values telemetry hides wherever it would show them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redact {
    /// Fields of requests and responses.
    pub fields: Vec<HeaderName>,
    /// Parameters of a query, whatever the case of their letters.
    pub query: Vec<Arc<str>>,
    /// What filters note.
    pub notes: Vec<Arc<str>>,
}

impl Default for Redact {
    fn default() -> Self {
        Self {
            fields: defaults::REDACT_FIELDS.iter().map(|name| HeaderName::from_static(name)).collect(),
            query: defaults::REDACT_QUERY.iter().map(|name| Arc::from(*name)).collect(),
            notes: Vec::new(),
        }
    }
}
