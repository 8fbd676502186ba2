//! How a call crosses the border of the sandbox: one folder an ABI, each a thin layer over `filter/host`.

pub mod component;
