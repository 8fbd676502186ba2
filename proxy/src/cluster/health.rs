//! Whether an endpoint is asked at all.
//!
//! It is in unless somebody has a reason why it is out. Reasons come and go one by one, from whoever looks after them; who
//! has changed one calls [`Cluster::refresh`](super::Cluster::refresh), for picks choose among those that were in then.
//! `rounds` has endpoints checked one by one, `probe` is one check, `checks` is what came of them.

mod checks;
mod probe;
mod rounds;

use std::sync::atomic::{AtomicU8, Ordering};

pub use checks::{Check, Checks};
pub use rounds::tend;

/// Of one endpoint.
#[derive(Debug, Default)]
pub struct Health(AtomicU8);

/// Why an endpoint is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Out {
    /// Active checks fail.
    Checks = 1,
    /// It was ejected for how it served.
    Ejected = 2,
}

impl Out {
    pub const ALL: &[Out] = &[Out::Checks, Out::Ejected];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Checks => "checks",
            Self::Ejected => "ejected",
        }
    }
}

impl Health {
    pub fn is_in(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    pub fn has(&self, out: Out) -> bool {
        self.0.load(Ordering::Relaxed) & out as u8 != 0
    }

    pub fn reasons(&self) -> impl Iterator<Item = Out> {
        let bits = self.0.load(Ordering::Relaxed);
        Out::ALL.iter().copied().filter(move |out| bits & *out as u8 != 0)
    }

    /// Adds a reason or takes it away. Whether that has made a difference to [`Health::is_in`].
    pub fn set(&self, out: Out, holds: bool) -> bool {
        let bit = out as u8;
        let before = match holds {
            true => self.0.fetch_or(bit, Ordering::Relaxed),
            false => self.0.fetch_and(!bit, Ordering::Relaxed),
        };
        let after = if holds { before | bit } else { before & !bit };
        (before == 0) != (after == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_in_when_the_last_reason_has_gone() {
        let health = Health::default();
        assert!(health.is_in());
        assert!(health.set(Out::Checks, true));
        assert!(!health.set(Out::Ejected, true), "it was out before");
        assert_eq!(health.reasons().collect::<Vec<_>>(), [Out::Checks, Out::Ejected]);
        assert!(!health.set(Out::Checks, false));
        assert!(!health.is_in());
        assert!(health.set(Out::Ejected, false));
        assert!(!health.set(Out::Ejected, false));
        assert!(health.is_in());
    }
}
