//! Saying what was not as it should be.

use std::fmt::Debug;

use tamis_sdk::Refused;

/// `found` must be `expected`.
pub(crate) fn is<A: Debug + PartialEq<B>, B: Debug>(what: &str, found: A, expected: B) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: expected {expected:?}, found {found:?}")),
    }
}

/// It must hold.
pub(crate) fn holds(what: &str, holds: bool) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(format!("{what}: does not hold")),
    }
}

/// The proxy must take it.
pub(crate) fn taken(what: &str, result: Result<(), Refused>) -> Result<(), String> {
    result.map_err(|why| format!("{what}: refused: {why}"))
}

/// The proxy must refuse it, and name this in the reason.
pub(crate) fn refused(what: &str, result: Result<(), Refused>, naming: &str) -> Result<(), String> {
    match result {
        Err(why) if why.to_string().contains(naming) => Ok(()),
        Err(why) => Err(format!("{what}: refused, but the reason does not name {naming:?}: {why}")),
        Ok(()) => Err(format!("{what}: not refused")),
    }
}
