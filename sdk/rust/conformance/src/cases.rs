//! All cases, by what they are about.

use std::sync::LazyLock;

use crate::case::Case;

mod body;
mod destination;
mod outside;
mod reply;
mod request;
mod response;
mod system;

/// Every case there is.
pub fn cases() -> &'static [Case] {
    static ALL: LazyLock<Vec<Case>> = LazyLock::new(|| {
        let subjects =
            [request::CASES, response::CASES, body::CASES, reply::CASES, destination::CASES, outside::CASES, system::CASES];
        subjects.concat()
    });
    &ALL
}
