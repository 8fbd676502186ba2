//! What decides: chance, or for a seed or a key always the same.

use matching::{Share, hash};
use tamis_sdk::{Request, entropy};

/// One exchange's draws. Each has a word that says what it is for, and none depends on another.
#[derive(Debug)]
pub struct Draw {
    /// What all of them follow from; `None`: each is by chance.
    basis: Option<u64>,
}

impl Draw {
    /// With a key, all exchanges that have the same value draw alike; with a seed, an exchange draws by its request id, so that
    /// the same requests meet the same faults again. The rule takes part, so that two rules do not hit the same exchanges.
    pub fn new(seed: Option<u64>, rule: &str, key: Option<&str>, request: &Request) -> Self {
        let start = hash::hash(seed.unwrap_or_default(), rule.as_bytes());
        let basis = match (key, seed) {
            (Some(key), _) => Some(hash::hash(start, key.as_bytes())),
            (None, Some(_)) => Some(hash::hash(start, request.id().as_bytes())),
            (None, None) => None,
        };
        Draw { basis }
    }

    pub fn is_in(&self, share: Share, word: &str) -> bool {
        match self.basis {
            Some(basis) => share.has(hash::hash(basis, word.as_bytes())),
            None => share.draw(),
        }
    }

    /// Between 0 and 1, and neither of them: it goes into logarithms.
    pub fn unit(&self, word: &str) -> f64 {
        let bits = match self.basis {
            Some(basis) => hash::hash(basis, word.as_bytes()),
            None => entropy::next(),
        };
        ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// A draw of the standard normal distribution (Box and Muller: A note on the generation of random normal deviates, 1958).
    pub fn normal(&self) -> f64 {
        (-2.0 * self.unit("radius").ln()).sqrt() * (std::f64::consts::TAU * self.unit("angle")).cos()
    }

    /// For tests of what is made of draws.
    #[cfg(test)]
    pub fn of(basis: u64) -> Self {
        Draw { basis: Some(basis) }
    }
}
