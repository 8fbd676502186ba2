//! Connections that are no HTTP: bytes both ways between a client and an endpoint.
//!
//! `rewound` is a connection whose beginning was read to see what it is; `hello` reads the name out of a TLS connection that
//! passes through; `route` says which cluster a connection goes to before any filter has spoken; `stream` is its way, from the
//! hooks to its end, and `copy` what moves the bytes, or `filtered` where filters look at them; `abort` ends what must not look whole.

mod abort;
mod copy;
mod filtered;
pub mod hello;
pub mod rewound;
mod route;
mod stream;

pub use abort::Abort;
pub use rewound::Rewound;
pub use stream::serve;
