//! All cases, by what they are about.

use std::sync::LazyLock;

use crate::case::Case;

mod destination;
mod reply;
mod request;
mod response;
mod system;

/// Every case there is.
pub fn cases() -> &'static [Case] {
    static ALL: LazyLock<Vec<Case>> =
        LazyLock::new(|| [request::CASES, response::CASES, reply::CASES, destination::CASES, system::CASES].concat());
    &ALL
}
