//! Core modules of wit-bindgen, entered as such. What the canonical ABI makes of wit/ is known when the proxy is built (`contract`), so a
//! module that imports nothing but that need not be made a component to be run: its functions are called, and call the host, at the
//! price of core functions, which is a fraction of a component's.
//!
//! `shape` tells which modules these are; any other is run as a component. `functions` is how the host is called, with `value` for
//! what it is given and `lower` for what it answers; `hooks` is how the guest is; `border` holds what both need. A guest cannot
//! tell one way from the other: what the component model refuses is refused here.

pub mod border;
pub mod contract;
pub mod functions;
pub mod hooks;
pub mod lower;
mod raw;
pub mod shape;
pub mod value;
mod words;

#[cfg(test)]
mod tests;
