//! Decisions about rates.

use super::store::Error;
use crate::testing::hand::{with_exchange, with_process};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Rate,
    Calendar,
    Concurrency,
}

#[derive(Debug, Clone)]
pub struct Ask {
    pub key: String,
    pub kind: Kind,
    pub limit: u64,
    pub window_ms: u64,
    pub burst: u64,
    pub cost: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct Decision {
    pub allowed: bool,
    pub remaining: u64,
    pub retry_after_ms: u64,
    pub reset_after_ms: u64,
}

pub fn take(store: &str, asks: &[Ask]) -> Result<Vec<Decision>, Error> {
    let decisions = with_process(|process| {
        let now = process.clock.now();
        process.stores.find(store)?.take(asks, now)
    })?;
    if decisions.iter().all(|decision| decision.allowed) {
        for ask in asks.iter().filter(|ask| ask.kind == Kind::Concurrency) {
            with_exchange(|hand| hand.held.push((store.to_owned(), ask.clone())));
        }
    }
    Ok(decisions)
}
