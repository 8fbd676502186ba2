//! What a filter hears, and may say, while it is being configured.

use std::time::Duration;

use crate::metrics::{self, Counter, Gauge, Histogram};
use crate::{Hook, Refused, host, ms};

/// What a filter hears beside its configuration, and may say about itself.
#[derive(Debug)]
pub struct Setup {
    inputs: Vec<(String, Vec<u8>)>,
}

impl Setup {
    pub(crate) fn new(inputs: Vec<(String, Vec<u8>)>) -> Self {
        Setup { inputs }
    }

    /// The content of the input of that name: a file or resource that the filter's `inputs` names, which the proxy fetches
    /// and watches. When it changes, a fresh instance is configured with the new content. `None` if none is named so.
    pub fn input(&self, name: &str) -> Option<&[u8]> {
        self.inputs().find(|(known, _)| *known == name).map(|(_, content)| content)
    }

    /// Every input: its name and its content.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.inputs.iter().map(|(name, content)| (name.as_str(), content.as_slice()))
    }

    /// Takes an input out, to keep it without a copy.
    pub fn take_input(&mut self, name: &str) -> Option<Vec<u8>> {
        let at = self.inputs.iter().position(|(known, _)| known == name)?;
        Some(self.inputs.swap_remove(at).1)
    }

    /// Only the hooks that are named so are called, where the configuration leaves some without work. Without any call, all
    /// those are called that [`export!`](crate::export!) names. A hook that it does not name makes the proxy refuse the
    /// configuration; one that an older proxy does not know is refused here.
    pub fn want(&mut self, hook: Hook) -> Result<(), Refused> {
        host::setup::want(hook.word()).map_err(Refused)
    }

    /// What one hook leaves in memory is there in the next: the proxy holds the instance until the exchange ends. Without
    /// this, each hook of one exchange may run in another instance.
    ///
    /// Hooks take `&self`: what an instance is to remember goes into a `Cell` or a `RefCell`, which is safe, because it serves
    /// one exchange at a time. The next exchange may get the same instance, so each begins by clearing what the last one left:
    ///
    /// ```
    /// use std::cell::RefCell;
    /// use tamis_sdk::prelude::*;
    ///
    /// /// Tells the upstream's answer how many pieces the request had.
    /// struct Counting {
    ///     pieces: RefCell<u64>,
    /// }
    ///
    /// impl Filter for Counting {
    ///     type Config = NoConfig;
    ///
    ///     fn configure(_: NoConfig, setup: &mut Setup) -> Result<Self, ConfigError> {
    ///         setup.keep_state();
    ///         Ok(Counting { pieces: RefCell::new(0) })
    ///     }
    /// }
    ///
    /// impl RequestHook for Counting {
    ///     fn on_request(&self, _: &mut Request) -> Verdict {
    ///         self.pieces.replace(0); // the instance may have served another exchange before
    ///         Verdict::Next
    ///     }
    /// }
    ///
    /// impl RequestChunkHook for Counting {
    ///     fn on_request_chunk(&self, _: &mut Request, _: Chunk) -> ChunkVerdict {
    ///         *self.pieces.borrow_mut() += 1;
    ///         ChunkVerdict::Keep
    ///     }
    /// }
    ///
    /// impl ResponseHook for Counting {
    ///     fn on_response(&self, response: &mut Response) -> Verdict {
    ///         response.set_header("x-pieces", self.pieces.borrow().to_string()).expect("a plain field");
    ///         Verdict::Next
    ///     }
    /// }
    ///
    /// tamis_sdk::export!(Counting: request, request_chunk, response);
    ///
    /// # fn main() {
    /// use tamis_sdk::testing::{Exchange, configure};
    ///
    /// let counting = configure::<Counting>("{}").unwrap();
    /// let outcome = Exchange::post("/").body_chunks(["a", "b", "c"]).through(&counting);
    /// assert_eq!(outcome.response().unwrap().header("x-pieces").unwrap(), "3");
    /// # }
    /// ```
    pub fn keep_state(&mut self) {
        host::setup::keep_state();
    }

    /// The time between two calls of [`TickHook::on_tick`](crate::TickHook::on_tick). Zero: never, which is also what holds
    /// without a call. The proxy counts in milliseconds; less than one counts as one.
    pub fn tick_every(&mut self, period: Duration) {
        host::setup::tick_every_ms(ms::long(period));
    }

    /// Declares a number that only rises. Refused if the name is not a valid one, or is taken by another kind.
    pub fn counter(&mut self, name: &str, help: &str, labels: &[&str]) -> Result<Counter, Refused> {
        declare(name, help, host::metrics::Kind::Counter, labels).map(Counter)
    }

    /// Declares a number that rises and falls. Refused as in [`counter`](Self::counter).
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[&str]) -> Result<Gauge, Refused> {
        declare(name, help, host::metrics::Kind::Gauge, labels).map(Gauge)
    }

    /// Declares a count of values by their size. Refused as in [`counter`](Self::counter).
    pub fn histogram(&mut self, name: &str, help: &str, labels: &[&str]) -> Result<Histogram, Refused> {
        declare(name, help, host::metrics::Kind::Histogram, labels).map(Histogram)
    }
}

fn declare(name: &str, help: &str, kind: host::metrics::Kind, labels: &[&str]) -> Result<u32, Refused> {
    host::metrics::declare(name, help, kind, &metrics::owned(labels)).map_err(Refused)
}
