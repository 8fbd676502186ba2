//! What [`export!`](crate::export!) expands to: the way from the proxy into a filter's methods.

mod probe;
mod slot;

pub use probe::{Absent, Probe, names};
pub use slot::{Ending, Passing, Slot};
#[cfg(not(target_family = "wasm"))]
pub(crate) use slot::{conclude, make, pass};

use crate::{Chunk, ChunkVerdict, Connection, ConnectionVerdict, Filter, Hook, Outcome, Request, Response, Verdict};

/// Exports a filter with the hooks that it has: `tamis_sdk::export!(Router: request, response);`
///
/// The type must be a [`Filter`](crate::Filter) and implement the trait of each hook that is named; a hook that it implements
/// and that is not named is an error, because it would never be called.
///
/// | word | trait |
/// |---|---|
/// | `request` | [`RequestHook`](crate::RequestHook) |
/// | `request_chunk` | [`RequestChunkHook`](crate::RequestChunkHook) |
/// | `response` | [`ResponseHook`](crate::ResponseHook) |
/// | `response_chunk` | [`ResponseChunkHook`](crate::ResponseChunkHook) |
/// | `trailers` | [`TrailersHook`](crate::TrailersHook) |
/// | `complete` | [`CompleteHook`](crate::CompleteHook) |
/// | `tick` | [`TickHook`](crate::TickHook) |
/// | `connection` | [`ConnectionHook`](crate::ConnectionHook) |
///
/// A hook that would never be called does not compile:
///
/// ```compile_fail
/// use tamis_sdk::prelude::*;
/// # struct Gate;
/// # impl Filter for Gate {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> { Ok(Gate) }
/// # }
/// # impl ResponseHook for Gate { fn on_response(&self, _: &mut Response) -> Verdict { Verdict::Next } }
/// impl RequestHook for Gate {
///     fn on_request(&self, _: &mut Request) -> Verdict {
///         Verdict::Reset
///     }
/// }
/// tamis_sdk::export!(Gate: response);
/// ```
#[macro_export]
macro_rules! export {
    ($filter:ident: $($hook:ident),+ $(,)?) => {
        impl $crate::export::Exported for $filter {
            const HOOKS: &'static [$crate::Hook] = &[$($crate::export!(@hook $hook)),+];
            $($crate::export!(@method $hook);)+
        }
        const _: () = {
            #[allow(unused_imports)]
            use $crate::export::Absent as _;
            $crate::export!(@named $filter, REQUEST, Request, "RequestHook", "request");
            $crate::export!(@named $filter, REQUEST_CHUNK, RequestChunk, "RequestChunkHook", "request_chunk");
            $crate::export!(@named $filter, RESPONSE, Response, "ResponseHook", "response");
            $crate::export!(@named $filter, RESPONSE_CHUNK, ResponseChunk, "ResponseChunkHook", "response_chunk");
            $crate::export!(@named $filter, TRAILERS, Trailers, "TrailersHook", "trailers");
            $crate::export!(@named $filter, COMPLETE, Complete, "CompleteHook", "complete");
            $crate::export!(@named $filter, TICK, Tick, "TickHook", "tick");
            $crate::export!(@named $filter, CONNECTION, Connection, "ConnectionHook", "connection");
        };
        #[cfg(target_family = "wasm")]
        const _: () = {
            ::std::thread_local! {
                static FILTER: $crate::export::Slot<$filter> = const { $crate::export::Slot::new() };
            }
            struct Exports;
            impl $crate::abi::configure::Guest for Exports {
                fn configure(
                    config: ::std::string::String,
                    inputs: ::std::vec::Vec<$crate::abi::configure::Input>,
                ) -> ::std::result::Result<(), ::std::string::String> {
                    FILTER.with(|slot| slot.configure(config, inputs))
                }
            }
            $crate::abi::configure::export_configure!(Exports with_types_in $crate::abi::configure);
            $($crate::export!(@export $hook);)+
        };
    };
    ($filter:ident) => { ::std::compile_error!("name the hooks that the filter has: `export!(MyFilter: request, response)`"); };

    (@named $filter:ident, $probe:ident, $hook:ident, $trait:literal, $word:literal) => {
        assert!(
            !$crate::export::Probe::<$filter>::$probe
                || $crate::export::names(<$filter as $crate::export::Exported>::HOOKS, $crate::Hook::$hook),
            concat!("the filter implements ", $trait, ", but export! does not name `", $word, "`"),
        );
    };

    (@hook request) => { $crate::Hook::Request };
    (@hook request_chunk) => { $crate::Hook::RequestChunk };
    (@hook response) => { $crate::Hook::Response };
    (@hook response_chunk) => { $crate::Hook::ResponseChunk };
    (@hook trailers) => { $crate::Hook::Trailers };
    (@hook complete) => { $crate::Hook::Complete };
    (@hook tick) => { $crate::Hook::Tick };
    (@hook connection) => { $crate::Hook::Connection };
    (@hook $other:ident) => {
        ::std::compile_error!(concat!(
            "no hook `", stringify!($other), "`; there are `request`, `request_chunk`, `response`, `response_chunk`, `trailers`, ",
            "`complete`, `tick`, `connection`",
        ))
    };

    (@method request) => {
        fn request(&self, request: &mut $crate::Request) -> $crate::Verdict {
            $crate::RequestHook::on_request(self, request)
        }
    };
    (@method request_chunk) => {
        fn request_chunk(&self, request: &mut $crate::Request, chunk: $crate::Chunk) -> $crate::ChunkVerdict {
            $crate::RequestChunkHook::on_request_chunk(self, request, chunk)
        }
    };
    (@method response) => {
        fn response(&self, response: &mut $crate::Response) -> $crate::Verdict {
            $crate::ResponseHook::on_response(self, response)
        }
    };
    (@method response_chunk) => {
        fn response_chunk(&self, response: &mut $crate::Response, chunk: $crate::Chunk) -> $crate::ChunkVerdict {
            $crate::ResponseChunkHook::on_response_chunk(self, response, chunk)
        }
    };
    (@method trailers) => {
        fn request_trailers(&self, request: &mut $crate::Request) {
            $crate::TrailersHook::on_request_trailers(self, request)
        }
        fn response_trailers(&self, response: &mut $crate::Response) {
            $crate::TrailersHook::on_response_trailers(self, response)
        }
    };
    (@method complete) => {
        fn complete(&self, outcome: &$crate::Outcome) {
            $crate::CompleteHook::on_complete(self, outcome)
        }
    };
    (@method tick) => {
        fn tick(&self) {
            $crate::TickHook::on_tick(self)
        }
    };
    (@method connection) => {
        fn connection(&self, connection: &mut $crate::Connection) -> $crate::ConnectionVerdict {
            $crate::ConnectionHook::on_connection(self, connection)
        }
    };
    (@method $other:ident) => {};

    (@export request) => {
        impl $crate::abi::request::Guest for Exports {
            fn on_request() -> $crate::abi::Verdict {
                FILTER.with($crate::export::Slot::on_request).into()
            }
        }
        $crate::abi::request::export_request!(Exports with_types_in $crate::abi::request);
    };
    (@export request_chunk) => {
        impl $crate::abi::request_chunk::Guest for Exports {
            fn on_request_chunk(bytes: ::std::vec::Vec<u8>, end: bool) -> $crate::abi::ChunkVerdict {
                FILTER.with(|slot| slot.on_request_chunk($crate::Chunk { bytes, end })).into()
            }
        }
        $crate::abi::request_chunk::export_request_chunk!(Exports with_types_in $crate::abi::request_chunk);
    };
    (@export response) => {
        impl $crate::abi::response::Guest for Exports {
            fn on_response() -> $crate::abi::Verdict {
                FILTER.with($crate::export::Slot::on_response).into()
            }
        }
        $crate::abi::response::export_response!(Exports with_types_in $crate::abi::response);
    };
    (@export response_chunk) => {
        impl $crate::abi::response_chunk::Guest for Exports {
            fn on_response_chunk(bytes: ::std::vec::Vec<u8>, end: bool) -> $crate::abi::ChunkVerdict {
                FILTER.with(|slot| slot.on_response_chunk($crate::Chunk { bytes, end })).into()
            }
        }
        $crate::abi::response_chunk::export_response_chunk!(Exports with_types_in $crate::abi::response_chunk);
    };
    (@export trailers) => {
        impl $crate::abi::trailers::Guest for Exports {
            fn on_request_trailers() {
                FILTER.with($crate::export::Slot::on_request_trailers);
            }
            fn on_response_trailers() {
                FILTER.with($crate::export::Slot::on_response_trailers);
            }
        }
        $crate::abi::trailers::export_trailers!(Exports with_types_in $crate::abi::trailers);
    };
    (@export complete) => {
        impl $crate::abi::complete::Guest for Exports {
            fn on_complete() {
                FILTER.with($crate::export::Slot::on_complete);
            }
        }
        $crate::abi::complete::export_complete!(Exports with_types_in $crate::abi::complete);
    };
    (@export tick) => {
        impl $crate::abi::tick::Guest for Exports {
            fn on_tick() {
                FILTER.with($crate::export::Slot::on_tick);
            }
        }
        $crate::abi::tick::export_tick!(Exports with_types_in $crate::abi::tick);
    };
    (@export connection) => {
        impl $crate::abi::connection::Guest for Exports {
            fn on_connection() -> $crate::abi::Verdict {
                FILTER.with($crate::export::Slot::on_connection).into()
            }
        }
        $crate::abi::connection::export_connection!(Exports with_types_in $crate::abi::connection);
    };
    (@export $other:ident) => {};
}

/// A filter together with the hooks that [`export!`](crate::export!) names. Only the macro implements it.
pub trait Exported: Filter {
    /// The hooks that the proxy may call.
    const HOOKS: &'static [Hook];

    /// The request hook, if there is one.
    fn request(&self, _: &mut Request) -> Verdict {
        Verdict::Next
    }

    /// The hook for pieces of the request's body, if there is one.
    fn request_chunk(&self, _: &mut Request, _: Chunk) -> ChunkVerdict {
        ChunkVerdict::Keep
    }

    /// The response hook, if there is one.
    fn response(&self, _: &mut Response) -> Verdict {
        Verdict::Next
    }

    /// The hook for pieces of the response's body, if there is one.
    fn response_chunk(&self, _: &mut Response, _: Chunk) -> ChunkVerdict {
        ChunkVerdict::Keep
    }

    /// The trailers hook on the way there, if there is one.
    fn request_trailers(&self, _: &mut Request) {}

    /// The trailers hook on the way back, if there is one.
    fn response_trailers(&self, _: &mut Response) {}

    /// The complete hook, if there is one.
    fn complete(&self, _: &Outcome) {}

    /// The tick hook, if there is one.
    fn tick(&self) {}

    /// The hook for raw connections, if there is one.
    fn connection(&self, _: &mut Connection) -> ConnectionVerdict {
        ConnectionVerdict::Next
    }
}
