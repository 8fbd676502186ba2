//! What a store is told.

use std::path::PathBuf;
use std::time::Duration;

use super::defaults;

/// `[stores.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub backend: Backend,
    /// Keys that are kept, those of quotas included; past it the least used make room.
    pub entries: usize,
    /// Memory for all of them, what each costs besides its key and its value included.
    pub bytes: usize,
    pub key_bytes: usize,
    pub value_bytes: usize,
}

/// `backend = "memory"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// Of this process.
    Memory,
    /// Of whoever names the same Redis.
    Redis(Box<Redis>),
}

/// What a store in Redis has besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// One, or those that a cluster is first asked at.
    pub nodes: Vec<RedisUrl>,
    pub cluster: bool,
    /// Authorities that are trusted in the place of the system's.
    pub ca: Option<PathBuf>,
    /// Of the connection there. None of a cluster can be marked.
    pub mark: Option<u32>,
    /// Of one operation.
    pub timeout: Duration,
    pub on_loss: OnLoss,
    /// How long tokens are served that were taken in advance; zero: none are.
    pub lease_time: Duration,
    pub lease_tokens: u64,
    /// How long what is held is held without its holder.
    pub hold_time: Duration,
}

/// `redis://user:password@host:port/database`
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(pub String);

/// Without what is secret.
impl std::fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0.split_once("://"), self.0.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, place))) => write!(f, "{scheme}://…@{place}"),
            _ => f.write_str(&self.0),
        }
    }
}

/// `on-loss = "local"`: how quotas are decided while Redis does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLoss {
    /// Each process by itself, with its share of the limit.
    Local,
    /// Everything is allowed.
    Open,
    /// The filter is told that the store cannot do it.
    Closed,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            backend: Backend::Memory,
            entries: defaults::STORE_ENTRIES,
            bytes: defaults::STORE_BYTES,
            key_bytes: defaults::STORE_KEY_BYTES,
            value_bytes: defaults::STORE_VALUE_BYTES,
        }
    }
}
