//! Where an instance keeps its filter, and how a call of the proxy reaches it.

use std::cell::OnceCell;
use std::panic::PanicHookInfo;

use super::Exported;
use crate::{
    Chunk, ChunkVerdict, ConfigError, Connection, ConnectionVerdict, Filter, Outcome, Request, Response, Setup, Verdict, config,
    host, phase,
};

/// What goes back to the proxy; the reply itself, or the bytes, are already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Next,
    Replied,
    Reset,
}

/// The same for a piece of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    Keep,
    Replaced,
    Reset,
}

/// Hands over what a verdict carries. A reply that the proxy refuses fails the filter: going on instead would let pass what
/// the filter meant to stop.
pub(crate) fn conclude(verdict: Verdict) -> Ending {
    match verdict {
        Verdict::Next => Ending::Next,
        Verdict::Reset => Ending::Reset,
        Verdict::Reply(reply) => match reply.hand_over() {
            Ok(()) => Ending::Replied,
            Err(why) => panic!("the proxy refused the filter's reply: {why}"),
        },
    }
}

/// Hands over what a verdict about a piece carries.
pub(crate) fn pass(verdict: ChunkVerdict) -> Passing {
    match verdict {
        ChunkVerdict::Keep => Passing::Keep,
        ChunkVerdict::Reset => Passing::Reset,
        ChunkVerdict::Replace(bytes) => {
            host::chunk::replace(&bytes);
            Passing::Replaced
        }
    }
}

/// Where an instance keeps its filter.
pub struct Slot<F> {
    filter: OnceCell<F>,
}

impl<F: Exported> Slot<F> {
    /// An instance that is not configured yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Slot { filter: OnceCell::new() }
    }

    /// Makes the filter.
    pub fn configure(&self, config: String, inputs: Vec<impl Into<(String, Vec<u8>)>>) -> Result<(), String> {
        std::panic::set_hook(Box::new(report));
        let inputs = inputs.into_iter().map(Into::into).collect();
        let filter = phase::configure(|| make::<F>(&config, inputs)).map_err(|error| error.to_string())?;
        self.filter.set(filter).map_err(|_| "configured a second time".to_owned())
    }

    /// Calls the request hook.
    pub fn on_request(&self) -> Ending {
        conclude(self.filter().request(&mut Request::in_hand()))
    }

    /// Calls the hook for pieces of the request's body.
    pub fn on_request_chunk(&self, chunk: Chunk) -> Passing {
        pass(self.filter().request_chunk(&mut Request::in_hand(), chunk))
    }

    /// Calls the response hook.
    pub fn on_response(&self) -> Ending {
        conclude(self.filter().response(&mut Response::in_hand()))
    }

    /// Calls the hook for pieces of the response's body.
    pub fn on_response_chunk(&self, chunk: Chunk) -> Passing {
        pass(self.filter().response_chunk(&mut Response::in_hand(), chunk))
    }

    /// Calls the trailers hook on the way there.
    pub fn on_request_trailers(&self) {
        self.filter().request_trailers(&mut Request::in_hand());
    }

    /// Calls the trailers hook on the way back.
    pub fn on_response_trailers(&self) {
        self.filter().response_trailers(&mut Response::in_hand());
    }

    /// Calls the complete hook.
    pub fn on_complete(&self) {
        self.filter().complete(&Outcome::in_hand());
    }

    /// Calls the tick hook.
    pub fn on_tick(&self) {
        self.filter().tick();
    }

    /// Calls the hook for raw connections.
    pub fn on_connection(&self) -> Ending {
        match self.filter().connection(&mut Connection::in_hand()) {
            ConnectionVerdict::Next => Ending::Next,
            ConnectionVerdict::Reset => Ending::Reset,
        }
    }

    fn filter(&self) -> &F {
        self.filter.get().expect("a filter is configured before a hook of it is called")
    }
}

/// Reads the configuration and makes the filter from it.
pub(crate) fn make<F: Filter>(config: &str, inputs: Vec<(String, Vec<u8>)>) -> Result<F, ConfigError> {
    F::configure(config::read(config)?, &mut Setup::new(inputs))
}

/// A panic becomes a line in the log; the trap that follows is the proxy's to handle.
fn report(panic: &PanicHookInfo<'_>) {
    host::log::write(host::log::Severity::Error, &panic.to_string());
}

#[cfg(target_family = "wasm")]
mod crossing {
    use super::{Ending, Passing};
    use crate::abi;

    impl From<Ending> for abi::Verdict {
        fn from(ending: Ending) -> Self {
            match ending {
                Ending::Next => Self::Next,
                Ending::Replied => Self::Replied,
                Ending::Reset => Self::Reset,
            }
        }
    }

    impl From<Passing> for abi::ChunkVerdict {
        fn from(passing: Passing) -> Self {
            match passing {
                Passing::Keep => Self::Keep,
                Passing::Replaced => Self::Replaced,
                Passing::Reset => Self::Reset,
            }
        }
    }

    impl From<abi::configure::Input> for (String, Vec<u8>) {
        fn from(input: abi::configure::Input) -> Self {
            (input.name, input.content)
        }
    }
}
