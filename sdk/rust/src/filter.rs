//! What a filter is: a configuration, and what its hooks decide.

use serde::de::DeserializeOwned;

use crate::{ConfigError, Reply, Setup};

/// A filter: made once from its configuration, then called through its hooks.
///
/// Hooks are traits of their own ([`RequestHook`](crate::RequestHook), [`ResponseHook`](crate::ResponseHook) and so on), and
/// [`export!`](crate::export!) names those that the filter has: the proxy never calls what is not there.
pub trait Filter: Sized + 'static {
    /// The `config` of the filter in the proxy's configuration; [`NoConfig`](crate::NoConfig) if it has none. With
    /// `#[serde(deny_unknown_fields)]`, as it should be, a key that is not known is refused with the name of the nearest.
    type Config: DeserializeOwned;

    /// Makes the filter, or says what is wrong with its configuration and where. Where the mistake is one of types, serde has
    /// already found it and its path.
    ///
    /// The configured memory may be copied for every further instance: what is drawn from [`entropy`](crate::entropy) here
    /// is shared by all of them.
    fn configure(config: Self::Config, setup: &mut Setup) -> Result<Self, ConfigError>;
}

/// What a hook decides about the exchange.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It goes on: to the next filter, upstream, or to the client.
    Next,
    /// The client gets this. A reply that the proxy refuses (see [`Reply::check`]) fails the filter.
    Reply(Reply),
    /// It ends without an answer: HTTP/1 closes the connection, HTTP/2 resets the stream.
    Reset,
}

impl From<Reply> for Verdict {
    fn from(reply: Reply) -> Self {
        Verdict::Reply(reply)
    }
}

/// What a hook decides about a raw connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionVerdict {
    /// Its bytes are forwarded.
    Next,
    /// It is closed before any byte was.
    Reset,
}
