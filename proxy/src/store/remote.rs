//! A store in Redis: values and quotas that a whole fleet shares.
//!
//! Every key begins with `tamis:NAME:`, NAME being the store's, so that processes share what they name the same. `link` is the
//! connection and knows whether Redis answers; `take` decides about quotas, with `lease` for the busy ones and `hold` for
//! what runs at once; `keeper` is the task beside it all. Nothing here ever waits longer than the store's `timeout`.

mod hold;
mod keeper;
mod lease;
mod link;
mod script;
mod take;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::Cmd;

pub use hold::HeldThere;

use super::memory::Memory;
use super::{Error, quota};
use crate::config;
use hold::Holds;
use lease::Leases;
use link::{Link, Trouble};
use script::Script;

/// The longest time to live that is written: a hundred years, for Redis refuses what its clock cannot count.
const TTL_MS_MAX: u64 = 100 * 366 * 24 * 3600 * 1000;

/// One store.
#[derive(Debug)]
pub struct Remote {
    pub name: Arc<str>,
    pub config: Arc<config::Store>,
    settings: config::Redis,
    /// Who this is among those that share the store.
    process: String,
    link: Link,
    leases: Leases,
    holds: Holds,
    /// Decides while Redis is lost.
    here: Arc<Memory>,
    /// Processes that share the store, as far as was seen last.
    fleet: AtomicU64,
    pub counts: Counts,
    begun: OnceLock<()>,
}

/// What has happened, since the store was made.
#[derive(Debug, Default)]
pub struct Counts {
    pub round_trips: AtomicU64,
    /// Operations that Redis did not answer in time.
    pub timeouts: AtomicU64,
    /// Those that it refused, or whose connection broke.
    pub errors: AtomicU64,
    /// Batches of tokens that were taken in advance.
    pub leases: AtomicU64,
    /// Decisions that needed no round trip.
    pub leased: AtomicU64,
    /// How often Redis was lost.
    pub losses: AtomicU64,
    /// Decisions without Redis, while it was lost.
    pub local: AtomicU64,
}

impl Counts {
    fn one(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Remote {
    /// Does not connect yet.
    pub fn build(name: &Arc<str>, config: &Arc<config::Store>, settings: &config::Redis) -> Arc<Self> {
        Arc::new(Self {
            name: Arc::clone(name),
            config: Arc::clone(config),
            settings: settings.clone(),
            process: format!("{:016x}", fastrand::u64(..)),
            link: Link::default(),
            leases: Leases::default(),
            holds: Holds::default(),
            here: Memory::build(name, config),
            fleet: AtomicU64::new(1),
            counts: Counts::default(),
            begun: OnceLock::new(),
        })
    }

    /// See [`super::Store::begin`].
    pub fn begin(self: &Arc<Self>, wait: Option<Duration>) {
        let mut tried = None;
        self.begun.get_or_init(|| tried = keeper::start(self));
        if let (Some(tried), Some(wait)) = (tried, wait) {
            // Without an answer in time it goes on trying.
            let _ = tried.recv_timeout(wait);
        }
    }

    pub fn memory(&self) -> &Arc<Memory> {
        &self.here
    }

    /// Redis answers, as far as is known.
    pub fn is_connected(&self) -> bool {
        self.link.is_connected()
    }

    /// Processes that share the store.
    pub fn fleet(&self) -> u64 {
        self.fleet.load(Ordering::Relaxed).max(1)
    }

    pub async fn get(&self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut command = Cmd::new();
        command.arg("GET").arg(self.value_key(namespace, key)?);
        self.ask(&command).await
    }

    pub async fn set(&self, namespace: &str, key: &str, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<(), Error> {
        let name = self.value_key(namespace, key)?;
        self.check_value(&value)?;
        let mut command = Cmd::new();
        match ttl_ms {
            // It has expired before anybody can read it, and Redis refuses such a time.
            Some(0) => command.arg("DEL").arg(name),
            Some(ttl) => command.arg("SET").arg(name).arg(value).arg("PX").arg(ttl.min(TTL_MS_MAX)),
            None => command.arg("SET").arg(name).arg(value),
        };
        self.ask::<redis::Value>(&command).await.map(drop)
    }

    pub async fn compare_and_set(
        &self,
        namespace: &str,
        key: &str,
        expected: Option<&[u8]>,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Result<bool, Error> {
        let name = self.value_key(namespace, key)?;
        self.check_value(&value)?;
        let call = script::COMPARE_AND_SET.call(&[name], |arguments| {
            arguments.arg(u8::from(expected.is_some())).arg(expected.unwrap_or_default());
            arguments.arg(value).arg(ttl_ms.map_or(-1, |ttl| ttl.min(TTL_MS_MAX).cast_signed()));
        });
        self.run::<i64>(&script::COMPARE_AND_SET, call).await.map(|set| set == 1)
    }

    pub async fn delete(&self, namespace: &str, key: &str) -> Result<(), Error> {
        let mut command = Cmd::new();
        command.arg("DEL").arg(self.value_key(namespace, key)?);
        self.ask::<i64>(&command).await.map(drop)
    }

    pub async fn increment(&self, namespace: &str, key: &str, by: i64, ttl_ms: Option<u64>) -> Result<i64, Error> {
        let name = self.value_key(namespace, key)?;
        let call = script::INCREMENT.call(&[name], |arguments| {
            arguments.arg(by).arg(ttl_ms.map_or(-1, |ttl| ttl.min(TTL_MS_MAX).cast_signed()));
            arguments.arg(self.config.value_bytes);
        });
        // As text, because numbers of scripts are not exact.
        let digits: String = self.run(&script::INCREMENT, call).await?;
        if digits.is_empty() { Err(Error::TooLarge) } else { digits.parse().map_err(|_| Error::Unavailable) }
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        self.link.ask(command, self).await.map_err(|trouble| self.refusal(&trouble))
    }

    async fn run<T: redis::FromRedisValue>(&self, script: &Script, call: script::Call) -> Result<T, Error> {
        self.link.run(script, &call, self).await.map_err(|trouble| self.refusal(&trouble))
    }

    fn refusal(&self, trouble: &Trouble) -> Error {
        tracing::debug!(store = %self.name, %trouble, "an operation failed");
        Error::Unavailable
    }

    /// Namespaces and keys are anything: the length tells where one ends.
    fn value_key(&self, namespace: &str, key: &str) -> Result<String, Error> {
        self.here.check_key(key)?;
        Ok(format!("tamis:{}:v:{}:{namespace}:{key}", self.name, namespace.len()))
    }

    /// All quotas of a store have one hash tag, so that they are on one node of a cluster: a script can only be about keys of one.
    fn quota_key(&self, namespace: &str, ask: &quota::Ask) -> String {
        let quota::Ask { key, kind, limit, window_ms, .. } = ask;
        let (word, window) = match kind {
            quota::Kind::Rate => ('r', *window_ms),
            quota::Kind::Calendar => ('c', *window_ms),
            quota::Kind::Concurrency => ('h', 0),
        };
        format!("tamis:{{{}}}:q:{word}:{limit}:{window}:{}:{namespace}:{key}", self.name, namespace.len())
    }

    fn fleet_key(&self) -> String {
        format!("tamis:{{{}}}:fleet", self.name)
    }

    fn check_value(&self, value: &[u8]) -> Result<(), Error> {
        if value.len() > self.config.value_bytes { Err(Error::TooLarge) } else { Ok(()) }
    }
}
