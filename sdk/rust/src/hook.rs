//! The hooks that a filter can have, each a trait of its own.

use crate::{Chunk, ChunkVerdict, Connection, ConnectionVerdict, Filter, Outcome, Request, Response, Verdict};

/// Called once an exchange, when the request's head has come; not again for a retry.
pub trait RequestHook: Filter {
    /// Decides how the exchange goes on.
    fn on_request(&self, request: &mut Request) -> Verdict;
}

/// Called for each piece of the request's body, on its way upstream.
pub trait RequestChunkHook: Filter {
    /// Decides what goes on in the place of the piece. The head has gone on by now: what is written to it is only seen by later
    /// hooks.
    fn on_request_chunk(&self, request: &mut Request, chunk: Chunk) -> ChunkVerdict;
}

/// Called once an exchange, when the response's head has come, whoever made it.
pub trait ResponseHook: Filter {
    /// Decides how the exchange goes on. A reply takes the place of the response.
    fn on_response(&self, response: &mut Response) -> Verdict;
}

/// Called for each piece of the response's body, on its way to the client.
///
/// ```
/// use tamis_sdk::prelude::*;
///
/// struct Loud;
///
/// impl Filter for Loud {
///     type Config = NoConfig;
///
///     fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
///         Ok(Loud)
///     }
/// }
///
/// impl ResponseChunkHook for Loud {
///     fn on_response_chunk(&self, _: &mut Response, chunk: Chunk) -> ChunkVerdict {
///         ChunkVerdict::Replace(chunk.bytes.to_ascii_uppercase())
///     }
/// }
///
/// tamis_sdk::export!(Loud: response_chunk);
///
/// # fn main() {
/// use tamis_sdk::testing::{Exchange, configure};
///
/// let loud = configure::<Loud>("{}").unwrap();
/// let outcome = Exchange::get("/").answer_chunks(["good ", "day"]).through(&loud);
/// assert_eq!(outcome.response().unwrap().text(), "GOOD DAY");
/// # }
/// ```
pub trait ResponseChunkHook: Filter {
    /// Decides what goes on in the place of the piece. The head has gone on by now: what is written to it is only seen by later
    /// hooks.
    fn on_response_chunk(&self, response: &mut Response, chunk: Chunk) -> ChunkVerdict;
}

/// Called when trailers have come; a filter that cares for one way leaves the other method as it is.
///
/// ```
/// use tamis_sdk::prelude::*;
///
/// struct Watch;
///
/// impl Filter for Watch {
///     type Config = NoConfig;
///
///     fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
///         Ok(Watch)
///     }
/// }
///
/// impl TrailersHook for Watch {
///     fn on_response_trailers(&self, response: &mut Response) {
///         if response.trailer("grpc-status").is_some_and(|status| status != "0") {
///             response.notes().set("grpc", "failed");
///         }
///     }
/// }
///
/// tamis_sdk::export!(Watch: trailers);
///
/// # fn main() {
/// use tamis_sdk::testing::{Exchange, configure};
///
/// let watch = configure::<Watch>("{}").unwrap();
/// let outcome = Exchange::post("/a.Service/Do").answer_trailer("grpc-status", "14").through(&watch);
/// assert_eq!(outcome.note("grpc"), Some("failed"));
/// # }
/// ```
pub trait TrailersHook: Filter {
    /// The request's trailers have come.
    fn on_request_trailers(&self, _request: &mut Request) {}

    /// The response's trailers have come.
    fn on_response_trailers(&self, _response: &mut Response) {}
}

/// Called after the client has its answer, or has gone. Nobody waits for it.
///
/// ```
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::metrics::Counter;
///
/// struct Bytes {
///     sent: Counter,
/// }
///
/// impl Filter for Bytes {
///     type Config = NoConfig;
///
///     fn configure(_: NoConfig, setup: &mut Setup) -> Result<Self, ConfigError> {
///         let sent = setup.counter("bytes_sent_total", "What clients got", &["route"]).map_err(ConfigError::new)?;
///         Ok(Bytes { sent })
///     }
/// }
///
/// impl CompleteHook for Bytes {
///     fn on_complete(&self, outcome: &Outcome) {
///         let route = outcome.destination().route().unwrap_or_default();
///         self.sent.add(&[&route], outcome.response_bytes() as f64);
///     }
/// }
///
/// tamis_sdk::export!(Bytes: complete);
///
/// # fn main() {
/// use tamis_sdk::testing::{Exchange, configure};
///
/// let bytes = configure::<Bytes>("{}").unwrap();
/// Exchange::get("/").answer_body("seventeen letters").through(&bytes);
/// assert_eq!(bytes.counted("bytes_sent_total", &[""]), 17.0);
/// # }
/// ```
pub trait CompleteHook: Filter {
    /// What is left to do, or to write down.
    fn on_complete(&self, outcome: &Outcome);
}

/// Called by the clock, if `configure` called [`Setup::tick_every`](crate::Setup::tick_every): once a process, never
/// overlapping, in an instance of its own. What is to last goes into a [`Store`](crate::store::Store).
///
/// ```
/// use std::time::Duration;
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::store::Store;
///
/// const BEATS: Store = Store::named("beats");
///
/// struct Heart;
///
/// impl Filter for Heart {
///     type Config = NoConfig;
///
///     fn configure(_: NoConfig, setup: &mut Setup) -> Result<Self, ConfigError> {
///         setup.tick_every(Duration::from_secs(1));
///         Ok(Heart)
///     }
/// }
///
/// impl TickHook for Heart {
///     fn on_tick(&self) {
///         if let Err(why) = BEATS.increment("beats", 1, None) {
///             log::warn!("a beat is lost: {why}");
///         }
///     }
/// }
///
/// tamis_sdk::export!(Heart: tick);
///
/// # fn main() {
/// use tamis_sdk::testing::Host;
///
/// let heart = Host::new().store("beats").configure::<Heart>("{}").unwrap();
/// heart.tick();
/// heart.tick();
/// assert_eq!(heart.stored("beats", "beats").unwrap(), b"2");
/// # }
/// ```
pub trait TickHook: Filter {
    /// What is due.
    fn on_tick(&self);
}

/// Called for a raw connection, before any byte of it is forwarded. There is no request.
///
/// ```
/// use tamis_sdk::prelude::*;
///
/// struct Inside;
///
/// impl Filter for Inside {
///     type Config = NoConfig;
///
///     fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
///         Ok(Inside)
///     }
/// }
///
/// impl ConnectionHook for Inside {
///     fn on_connection(&self, connection: &mut Connection) -> ConnectionVerdict {
///         match connection.source_ip() {
///             Some(ip) if ip.is_loopback() => ConnectionVerdict::Next,
///             _ => ConnectionVerdict::Reset,
///         }
///     }
/// }
///
/// tamis_sdk::export!(Inside: connection);
///
/// # fn main() {
/// use tamis_sdk::testing::{Exchange, configure};
///
/// let inside = configure::<Inside>("{}").unwrap();
/// assert!(Exchange::raw().source("127.0.0.1").through(&inside).is_whole());
/// assert!(!Exchange::raw().source("192.0.2.7").through(&inside).is_whole());
/// # }
/// ```
pub trait ConnectionHook: Filter {
    /// Decides whether it goes on.
    fn on_connection(&self, connection: &mut Connection) -> ConnectionVerdict;
}

/// The hooks that a filter can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hook {
    /// [`RequestHook`]
    Request,
    /// [`RequestChunkHook`]
    RequestChunk,
    /// [`ResponseHook`]
    Response,
    /// [`ResponseChunkHook`]
    ResponseChunk,
    /// [`TrailersHook`]
    Trailers,
    /// [`CompleteHook`]
    Complete,
    /// [`TickHook`]
    Tick,
    /// [`ConnectionHook`]
    Connection,
}

impl Hook {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Hook::Request => "request",
            Hook::RequestChunk => "request-chunk",
            Hook::Response => "response",
            Hook::ResponseChunk => "response-chunk",
            Hook::Trailers => "trailers",
            Hook::Complete => "complete",
            Hook::Tick => "tick",
            Hook::Connection => "connection",
        }
    }
}
