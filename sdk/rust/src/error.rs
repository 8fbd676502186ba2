//! The errors of calls to the proxy that several of them share.

use std::fmt;

use crate::host;

/// The proxy refused what a filter asked for, and changed nothing. The message says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub(crate) String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than the limit that the filter named, or than the proxy allows.
    TooLarge,
    /// The peer that sends it went away.
    PeerGone,
    /// A part of it has already gone on, so that there is no whole left to read.
    AlreadyStreamed,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyError::TooLarge => "the body is longer than the limit",
            BodyError::PeerGone => "the peer went away before the body was complete",
            BodyError::AlreadyStreamed => "a part of the body has already gone on",
        })
    }
}

impl std::error::Error for BodyError {}

impl From<host::BodyError> for BodyError {
    fn from(error: host::BodyError) -> Self {
        match error {
            host::BodyError::TooLarge => BodyError::TooLarge,
            host::BodyError::PeerGone => BodyError::PeerGone,
            host::BodyError::AlreadyStreamed => BodyError::AlreadyStreamed,
        }
    }
}
