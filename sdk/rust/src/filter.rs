//! What a filter is: a configuration, and a trait for each hook.

use serde::de::DeserializeOwned;

use crate::{ConfigError, Refused, Reply, Request, Response, host};

/// A filter: made once from its configuration, then called through its hooks.
///
/// Hooks are traits of their own ([`RequestHook`], [`ResponseHook`]), and [`export!`](crate::export!) names those that the
/// filter has: the proxy never calls what is not there.
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

/// Called once an exchange, when the request's head has come; not again for a retry.
pub trait RequestHook: Filter {
    /// Decides how the exchange goes on.
    fn on_request(&self, request: &mut Request) -> Verdict;
}

/// Called once an exchange, when the response's head has come, whoever made it.
pub trait ResponseHook: Filter {
    /// Decides how the exchange goes on. A reply takes the place of the response.
    fn on_response(&self, response: &mut Response) -> Verdict;
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

/// The hooks that a filter can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hook {
    /// [`RequestHook`]
    Request,
    /// [`ResponseHook`]
    Response,
}

impl Hook {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Hook::Request => "request",
            Hook::Response => "response",
        }
    }
}

/// What a filter may say about itself while it is being configured.
#[derive(Debug)]
pub struct Setup(());

impl Setup {
    pub(crate) fn new() -> Self {
        Setup(())
    }

    /// Only the hooks that are named so are called, where the configuration leaves some without work. Without any call, all
    /// those are called that [`export!`](crate::export!) names. A hook that it does not name makes the proxy refuse the
    /// configuration; one that an older proxy does not know is refused here.
    pub fn want(&mut self, hook: Hook) -> Result<(), Refused> {
        host::setup::want(hook.word()).map_err(Refused)
    }

    /// What one hook leaves in memory is there in the next: the proxy holds the instance until the exchange ends. Without
    /// this, each hook of one exchange may run in another instance.
    pub fn keep_state(&mut self) {
        host::setup::keep_state();
    }
}
