//! A store in the memory of this process: shards by hash, a lock for each.

use std::hash::RandomState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::shard::{Bounds, Content, ENTRY_BYTES, Shard};
use super::{Error, Name, Now};
use crate::config;

/// Shards of one store: enough that two workers seldom meet, and one bit each in a set of them.
pub const SHARDS_MAX: usize = 64;
/// Entries that a shard has at least, so that shards fill evenly.
const SHARD_ENTRIES_MIN: usize = 1024;
/// The largest entries that a shard has room for at least.
const SHARD_LARGEST_ENTRIES_MIN: usize = 16;

/// One store. What it holds is gone when its configuration changes.
#[derive(Debug)]
pub struct Memory {
    pub name: Arc<str>,
    pub config: Arc<config::Store>,
    /// With keys of its own, for keys come from traffic.
    hasher: RandomState,
    shards: Box<[Line]>,
}

/// On a cache line of its own, so that workers in two shards do not meet.
#[derive(Debug)]
#[repr(align(128))]
struct Line(Mutex<Shard>);

impl Memory {
    pub fn build(name: &Arc<str>, config: &Arc<config::Store>) -> Arc<Self> {
        let largest = config.key_bytes.saturating_add(config.value_bytes).saturating_add(ENTRY_BYTES);
        let by_bytes = config.bytes / largest.saturating_mul(SHARD_LARGEST_ENTRIES_MIN);
        let count = by_bytes.min(config.entries / SHARD_ENTRIES_MIN).clamp(1, SHARDS_MAX);
        let bounds = Bounds { entries: (config.entries / count).max(1), bytes: config.bytes / count };
        let shards = (0..count).map(|_| Line(Mutex::new(Shard::new(bounds)))).collect();
        Arc::new(Self { name: Arc::clone(name), config: Arc::clone(config), hasher: RandomState::new(), shards })
    }

    /// Keys that are there, expired ones included that nobody has asked for since.
    pub fn entries(&self) -> usize {
        self.sum(Shard::len)
    }

    /// Memory that they count for.
    pub fn bytes(&self) -> usize {
        self.sum(Shard::bytes)
    }

    /// Keys that were pushed out by newer ones before they had expired.
    pub fn evicted(&self) -> u64 {
        self.shards.iter().map(|shard| locked(shard).evicted()).sum()
    }

    fn sum(&self, of: impl Fn(&Shard) -> usize) -> usize {
        self.shards.iter().map(|shard| of(&locked(shard))).sum()
    }

    pub(super) fn get(&self, name: Name<'_>, now: Now) -> Result<Option<Vec<u8>>, Error> {
        self.check_key(name.key)?;
        let hash = name.hash(&self.hasher);
        Ok(value(&mut self.shard(hash), hash, &name, now).map(|(value, _)| value.to_vec()))
    }

    pub(super) fn set(&self, name: Name<'_>, value: Vec<u8>, ttl_ms: Option<u64>, now: Now) -> Result<(), Error> {
        self.check(name.key, &value)?;
        let hash = name.hash(&self.hasher);
        self.shard(hash).put(hash, &name, Content::Value(value.into()), now.after(ttl_ms), now.monotonic);
        Ok(())
    }

    pub(super) fn compare_and_set(
        &self,
        name: Name<'_>,
        expected: Option<&[u8]>,
        new: Vec<u8>,
        ttl_ms: Option<u64>,
        now: Now,
    ) -> Result<bool, Error> {
        self.check(name.key, &new)?;
        let hash = name.hash(&self.hasher);
        let mut shard = self.shard(hash);
        if value(&mut shard, hash, &name, now).map(|(value, _)| value) != expected {
            return Ok(false);
        }
        shard.put(hash, &name, Content::Value(new.into()), now.after(ttl_ms), now.monotonic);
        Ok(true)
    }

    pub(super) fn delete(&self, name: Name<'_>) -> Result<(), Error> {
        self.check_key(name.key)?;
        let hash = name.hash(&self.hasher);
        self.shard(hash).remove(hash, &name);
        Ok(())
    }

    /// The number is kept as decimal digits, so that `get` and `set` speak of the same one. It stops at the largest and the
    /// smallest of 64 bits. A value that is no number stays what it is, and the caller is told that the store cannot do it.
    /// The time to live is that of whoever wrote the value first.
    pub(super) fn increment(&self, name: Name<'_>, by: i64, ttl_ms: Option<u64>, now: Now) -> Result<i64, Error> {
        self.check_key(name.key)?;
        let hash = name.hash(&self.hasher);
        let mut shard = self.shard(hash);
        let (present, expires) = match value(&mut shard, hash, &name, now) {
            Some((digits, expires)) => (number(digits).ok_or(Error::Unavailable)?, expires),
            None => (0, now.after(ttl_ms)),
        };
        let sum = present.saturating_add(by);
        let digits = sum.to_string().into_bytes();
        if digits.len() > self.config.value_bytes {
            return Err(Error::TooLarge);
        }
        shard.put(hash, &name, Content::Value(digits.into()), expires, now.monotonic);
        Ok(sum)
    }

    pub(super) fn check_key(&self, key: &str) -> Result<(), Error> {
        if key.len() > self.config.key_bytes { Err(Error::TooLarge) } else { Ok(()) }
    }

    fn check(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        if value.len() > self.config.value_bytes { Err(Error::TooLarge) } else { self.check_key(key) }
    }

    pub(super) fn hash(&self, name: &Name<'_>) -> u64 {
        name.hash(&self.hasher)
    }

    /// Where a hash is kept. The index of the shard has use for the other bits.
    pub(super) fn place(&self, hash: u64) -> usize {
        (hash >> 32) as usize % self.shards.len()
    }

    pub(super) fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        self.shard_at(self.place(hash))
    }

    pub(super) fn shard_at(&self, place: usize) -> MutexGuard<'_, Shard> {
        locked(&self.shards[place])
    }
}

fn locked(shard: &Line) -> MutexGuard<'_, Shard> {
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn value<'a>(shard: &'a mut Shard, hash: u64, name: &Name<'_>, now: Now) -> Option<(&'a [u8], u64)> {
    match shard.get(hash, name, now.monotonic)? {
        (Content::Value(value), expires) => Some((value, expires)),
        (Content::Quota(_), _) => None,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::Space;
    use super::*;

    const START: Now = Now { monotonic: 1_000_000_000, unix: 1_700_000_000_000_000_000 };

    fn later(millis: u64) -> Now {
        Now { monotonic: START.monotonic + millis * 1_000_000, unix: START.unix + millis * 1_000_000 }
    }

    fn store() -> Arc<Memory> {
        Memory::build(&"s".into(), &Arc::new(config::Store { key_bytes: 8, value_bytes: 24, ..config::Store::default() }))
    }

    fn name(key: &str) -> Name<'_> {
        Name { space: Space::Value, namespace: "", key }
    }

    #[test]
    fn a_value_is_written_read_and_deleted() {
        let store = store();
        assert_eq!(store.get(name("k"), START), Ok(None));
        store.set(name("k"), b"v".to_vec(), Some(100), START).expect("fits");
        assert_eq!(store.get(name("k"), later(99)), Ok(Some(b"v".to_vec())));
        assert_eq!(store.get(name("k"), later(100)), Ok(None));
        store.set(name("k"), b"w".to_vec(), None, START).expect("fits");
        assert_eq!(store.get(name("k"), Now { monotonic: u64::MAX - 1, unix: 0 }), Ok(Some(b"w".to_vec())));
        store.delete(name("k")).expect("fits");
        store.delete(name("k")).expect("no error without it");
        assert_eq!((store.get(name("k"), START), store.entries(), store.bytes()), (Ok(None), 0, 0));
    }

    #[test]
    fn only_the_expected_value_is_replaced() {
        let store = store();
        let set = |expected: Option<&[u8]>, new: &[u8]| store.compare_and_set(name("k"), expected, new.to_vec(), None, START);
        assert_eq!(set(Some(b""), b"a"), Ok(false));
        assert_eq!(set(None, b"a"), Ok(true));
        assert_eq!(set(None, b"b"), Ok(false));
        assert_eq!(set(Some(b"x"), b"b"), Ok(false));
        assert_eq!(set(Some(b"a"), b"b"), Ok(true));
        assert_eq!(store.get(name("k"), START), Ok(Some(b"b".to_vec())));
    }

    #[test]
    fn a_number_begins_at_zero_and_keeps_its_first_time_to_live() {
        let store = store();
        assert_eq!(store.increment(name("n"), 5, Some(100), START), Ok(5));
        assert_eq!(store.increment(name("n"), -7, Some(100_000), later(50)), Ok(-2));
        assert_eq!(store.get(name("n"), later(99)), Ok(Some(b"-2".to_vec())));
        assert_eq!(store.increment(name("n"), 1, None, later(100)), Ok(1));
        assert_eq!(store.increment(name("n"), i64::MAX, None, later(100)), Ok(i64::MAX));
        assert_eq!(store.increment(name("n"), i64::MIN, None, later(100)), Ok(-1));
    }

    #[test]
    fn what_is_no_number_is_not_lost() {
        let store = store();
        store.set(name("n"), b"five".to_vec(), None, START).expect("fits");
        assert_eq!(store.increment(name("n"), 1, None, START), Err(Error::Unavailable));
        assert_eq!(store.get(name("n"), START), Ok(Some(b"five".to_vec())));
    }

    #[test]
    fn what_is_too_long_changes_nothing() {
        let store = store();
        assert_eq!(store.set(name("123456789"), Vec::new(), None, START), Err(Error::TooLarge));
        assert_eq!(store.set(name("12345678"), vec![0; 25], None, START), Err(Error::TooLarge));
        assert_eq!(store.compare_and_set(name("k"), None, vec![0; 25], None, START), Err(Error::TooLarge));
        assert_eq!(store.get(name("123456789"), START), Err(Error::TooLarge));
        assert_eq!(store.increment(name("123456789"), 1, None, START), Err(Error::TooLarge));
        assert_eq!(store.entries(), 0);
        store.set(name("12345678"), vec![0; 24], None, START).expect("just fits");
    }

    #[test]
    fn a_flood_of_keys_stays_within_the_bounds() {
        let config = config::Store { entries: 4096, bytes: 1 << 20, key_bytes: 64, value_bytes: 256, ..config::Store::default() };
        let store = Memory::build(&"s".into(), &Arc::new(config));
        for number in 0..20_000 {
            store.set(name(&number.to_string()), vec![0; 200], None, START).expect("fits");
        }
        assert!(store.entries() <= 4096 && store.bytes() <= 1 << 20, "{} {}", store.entries(), store.bytes());
        assert_eq!(store.entries() as u64 + store.evicted(), 20_000);
    }

    #[test]
    fn an_entry_costs_what_the_documentation_says() {
        assert!((120..=160).contains(&ENTRY_BYTES), "{ENTRY_BYTES}");
    }
}
