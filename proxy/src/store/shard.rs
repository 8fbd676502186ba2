//! One shard of a store: a table that is bounded in entries and in bytes. It knows no lock and no clock.
//!
//! A hand goes round the entries: what has expired goes first, then what nobody has asked for since the hand was last there
//! (second chance). What is new takes the place of what went, behind the hand. What is held by an exchange stays.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::HashTable;

use super::quota::State;
use super::{Name, Space};

/// Entries after the hand that are looked at for one that has expired.
const GLANCE: usize = 8;
/// Between namespace and key: no byte of any text in UTF-8, so that no key reaches into another namespace.
const BETWEEN: u8 = 0xFF;
/// What an entry costs besides its key and its value: itself, its place in the index, and two allocations.
pub const ENTRY_BYTES: usize = size_of::<Option<Slot>>() + 8 + 32;

/// How much a shard takes.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub entries: usize,
    pub bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Shard {
    /// Positions in `slots`.
    index: HashTable<u32>,
    slots: Vec<Option<Slot>>,
    /// Positions without an entry.
    free: Vec<u32>,
    hand: usize,
    bytes: usize,
    /// Of entries that cannot be pushed out.
    held: Bounds,
    bounds: Bounds,
    evicted: u64,
}

/// What is kept under a name.
#[derive(Debug)]
pub enum Content {
    Value(Box<[u8]>),
    Quota(State),
}

#[derive(Debug)]
struct Slot {
    hash: u64,
    space: Space,
    /// Key, or namespace and key.
    text: Box<[u8]>,
    content: Content,
    /// In nanoseconds of the monotonic clock.
    expires: u64,
    /// Since the hand was last here.
    asked_for: bool,
}

impl Name<'_> {
    pub fn hash(&self, hasher: &impl BuildHasher) -> u64 {
        let mut state = hasher.build_hasher();
        self.space.hash(&mut state);
        self.namespace.hash(&mut state);
        self.key.hash(&mut state);
        state.finish()
    }

    fn text_bytes(&self) -> usize {
        if self.namespace.is_empty() { self.key.len() } else { self.namespace.len() + 1 + self.key.len() }
    }

    fn text(&self) -> Box<[u8]> {
        let mut text = Vec::with_capacity(self.text_bytes());
        if !self.namespace.is_empty() {
            text.extend_from_slice(self.namespace.as_bytes());
            text.push(BETWEEN);
        }
        text.extend_from_slice(self.key.as_bytes());
        text.into()
    }

    fn is(&self, slot: &Slot) -> bool {
        let key = match self.namespace {
            "" => Some(&*slot.text),
            namespace => slot.text.strip_prefix(namespace.as_bytes()).and_then(|rest| rest.strip_prefix(&[BETWEEN])),
        };
        self.space == slot.space && key == Some(self.key.as_bytes())
    }

    /// What an entry of this name costs, its value aside.
    pub fn entry_bytes(&self) -> usize {
        ENTRY_BYTES + self.text_bytes()
    }
}

impl Content {
    fn bytes(&self) -> usize {
        match self {
            Content::Value(value) => value.len(),
            Content::Quota(_) => 0,
        }
    }

    /// An exchange counts on it.
    fn is_held(&self) -> bool {
        matches!(self, Content::Quota(State::Concurrency { .. }))
    }
}

impl Slot {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.text.len() + self.content.bytes()
    }
}

impl Shard {
    pub fn new(bounds: Bounds) -> Self {
        let held = Bounds { entries: 0, bytes: 0 };
        Self { index: HashTable::new(), slots: Vec::new(), free: Vec::new(), hand: 0, bytes: 0, held, bounds, evicted: 0 }
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Entries that were pushed out before they had expired.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Whether entries that nobody can push out still have room: half of the shard is for what comes and goes.
    pub fn can_hold(&self, entries: usize, bytes: usize) -> bool {
        self.held.entries + entries <= self.bounds.entries / 2 && self.held.bytes + bytes <= self.bounds.bytes / 2
    }

    /// What is there and has not expired, and when it will.
    pub fn get(&mut self, hash: u64, name: &Name<'_>, now: u64) -> Option<(&Content, u64)> {
        let at = self.find(hash, name)?;
        if self.slots[at].as_ref().is_some_and(|slot| slot.expires <= now) {
            self.remove_at(at);
            return None;
        }
        let slot = self.slots[at].as_mut()?;
        slot.asked_for = true;
        Some((&slot.content, slot.expires))
    }

    /// Replaces what is there, or makes room for it.
    pub fn put(&mut self, hash: u64, name: &Name<'_>, content: Content, expires: u64, now: u64) {
        if let Some(at) = self.find(hash, name)
            && let Some(slot) = &mut self.slots[at]
        {
            let bytes = self.bytes - slot.content.bytes() + content.bytes();
            if bytes <= self.bounds.bytes {
                (slot.content, slot.expires) = (content, expires);
                self.bytes = bytes;
                return;
            }
            self.remove_at(at);
        }
        let slot = Slot { hash, space: name.space, text: name.text(), content, expires, asked_for: false };
        self.make_room(slot.bytes(), now);
        self.insert(slot);
    }

    pub fn remove(&mut self, hash: u64, name: &Name<'_>) {
        if let Some(at) = self.find(hash, name) {
            self.remove_at(at);
        }
    }

    fn find(&self, hash: u64, name: &Name<'_>) -> Option<usize> {
        let is = |at: &u32| self.slots[*at as usize].as_ref().is_some_and(|slot| name.is(slot));
        self.index.find(hash, is).map(|at| *at as usize)
    }

    fn insert(&mut self, slot: Slot) {
        self.bytes += slot.bytes();
        if slot.content.is_held() {
            self.held.entries += 1;
            self.held.bytes += slot.bytes();
        }
        let hash = slot.hash;
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = Some(slot);
                at
            }
            None => {
                self.slots.push(Some(slot));
                // The bound of a shard is far below.
                (self.slots.len() - 1) as u32
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(hash, at, |other| slots[*other as usize].as_ref().map_or(0, |slot| slot.hash));
    }

    fn remove_at(&mut self, at: usize) {
        let Some(slot) = self.slots[at].take() else { return };
        if let Ok(entry) = self.index.find_entry(slot.hash, |position| *position as usize == at) {
            entry.remove();
        }
        self.free.push(at as u32);
        self.bytes -= slot.bytes();
        if slot.content.is_held() {
            self.held.entries -= 1;
            self.held.bytes -= slot.bytes();
        }
    }

    fn make_room(&mut self, bytes: usize, now: u64) {
        while self.len() >= self.bounds.entries || self.bytes + bytes > self.bounds.bytes {
            if !self.evict(now) {
                return;
            }
        }
    }

    /// Removes one entry. False if there is none that may go.
    fn evict(&mut self, now: u64) -> bool {
        let count = self.slots.len();
        for step in 0..GLANCE.min(count) {
            let at = (self.hand + step) % count;
            if self.slots[at].as_ref().is_some_and(|slot| slot.expires <= now) {
                self.remove_at(at);
                return true;
            }
        }
        // Whatever was asked for has lost its second chance when the hand comes by again.
        for _ in 0..2 * count {
            let at = self.hand % count;
            self.hand = at + 1;
            let Some(slot) = self.slots[at].as_mut().filter(|slot| !slot.content.is_held()) else { continue };
            let expired = slot.expires <= now;
            if expired || !std::mem::take(&mut slot.asked_for) {
                self.evicted += u64::from(!expired);
                self.remove_at(at);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::hash::RandomState;

    use proptest::prelude::*;

    use super::*;

    const ROOMY: Bounds = Bounds { entries: 1000, bytes: 1 << 20 };
    const NEVER: u64 = u64::MAX;

    struct Table(Shard, RandomState);

    impl Table {
        fn new(bounds: Bounds) -> Self {
            Self(Shard::new(bounds), RandomState::new())
        }

        fn name<'a>(&self, key: &'a str) -> (u64, Name<'a>) {
            let name = Name { space: Space::Value, namespace: "", key };
            (name.hash(&self.1), name)
        }

        fn put(&mut self, key: &str, value: &[u8], expires: u64, now: u64) {
            let (hash, name) = self.name(key);
            self.0.put(hash, &name, Content::Value(value.into()), expires, now);
        }

        fn get(&mut self, key: &str, now: u64) -> Option<Vec<u8>> {
            let (hash, name) = self.name(key);
            match self.0.get(hash, &name, now) {
                Some((Content::Value(value), _)) => Some(value.to_vec()),
                _ => None,
            }
        }
    }

    #[test]
    fn what_is_asked_for_outlives_what_is_not() {
        let mut table = Table::new(Bounds { entries: 4, ..ROOMY });
        for key in ["a", "b", "c", "d"] {
            table.put(key, b"", NEVER, 0);
        }
        for key in ["a", "c"] {
            table.get(key, 0).expect("there");
        }
        table.put("e", b"", NEVER, 0);
        table.put("f", b"", NEVER, 0);
        let left: Vec<_> = ["a", "b", "c", "d", "e", "f"].into_iter().filter(|key| table.get(key, 0).is_some()).collect();
        assert_eq!(left, ["a", "c", "e", "f"]);
        assert_eq!((table.0.evicted(), table.0.len()), (2, 4));
    }

    #[test]
    fn what_has_expired_goes_first_and_is_not_counted() {
        let mut table = Table::new(Bounds { entries: 3, ..ROOMY });
        table.put("a", b"", NEVER, 0);
        table.put("b", b"", 10, 0);
        table.put("c", b"", NEVER, 0);
        table.put("d", b"", NEVER, 10);
        assert!(["a", "c", "d"].into_iter().all(|key| table.get(key, 10).is_some()));
        assert_eq!(table.0.evicted(), 0);
    }

    #[test]
    fn a_value_lives_until_its_time() {
        let mut table = Table::new(ROOMY);
        table.put("a", b"1", 10, 0);
        assert_eq!(table.get("a", 9), Some(b"1".to_vec()));
        assert_eq!(table.get("a", 10), None);
        assert_eq!((table.0.len(), table.0.bytes()), (0, 0));
    }

    #[test]
    fn namespaces_are_apart() {
        let hasher = RandomState::new();
        let mut shard = Shard::new(ROOMY);
        let names = [("", "ab"), ("a", "b"), ("ab", ""), ("", "a\u{ff}b")];
        for (place, (namespace, key)) in names.into_iter().enumerate() {
            let name = Name { space: Space::Value, namespace, key };
            shard.put(name.hash(&hasher), &name, Content::Value([place as u8].into()), NEVER, 0);
        }
        for (place, (namespace, key)) in names.into_iter().enumerate() {
            let name = Name { space: Space::Value, namespace, key };
            let found = shard.get(name.hash(&hasher), &name, 0);
            assert!(matches!(found, Some((Content::Value(value), _)) if **value == [place as u8]), "{name:?}");
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Put { key: u8, bytes: usize, ttl: Option<u64> },
        Get { key: u8 },
        Remove { key: u8 },
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (any::<u8>(), 0usize..600, proptest::option::of(0u64..20)).prop_map(|(key, bytes, ttl)| Step::Put {
                key,
                bytes,
                ttl
            }),
            any::<u8>().prop_map(|key| Step::Get { key }),
            any::<u8>().prop_map(|key| Step::Remove { key }),
            (0u64..5).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Compared with a plain map: what is found is right, what was not pushed out is found, and the bounds hold.
        #[test]
        fn a_bounded_map(steps in proptest::collection::vec(step(), 0..400)) {
            let bounds = Bounds { entries: 40, bytes: 16 * 1024 };
            let mut table = Table::new(bounds);
            let mut model: HashMap<u8, (Vec<u8>, u64)> = HashMap::new();
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Put { key, bytes, ttl } => {
                        let value = vec![bytes as u8; bytes];
                        let expires = ttl.map_or(NEVER, |ttl| now + ttl);
                        table.put(&key.to_string(), &value, expires, now);
                        model.insert(key, (value, expires));
                    }
                    Step::Get { key } => {
                        let found = table.get(&key.to_string(), now);
                        let expected = model.get(&key).filter(|(_, expires)| *expires > now).map(|(value, _)| value.clone());
                        prop_assert!(found == expected || found.is_none() && table.0.evicted() > 0);
                    }
                    Step::Remove { key } => {
                        let key_text = key.to_string();
                        let (hash, name) = table.name(&key_text);
                        table.0.remove(hash, &name);
                        model.remove(&key);
                    }
                    Step::Wait(nanos) => now += nanos,
                }
                let shard = &table.0;
                prop_assert!(shard.len() <= bounds.entries && shard.bytes <= bounds.bytes);
                prop_assert_eq!(shard.bytes, shard.slots.iter().flatten().map(Slot::bytes).sum::<usize>());
                prop_assert_eq!(shard.len() + shard.free.len(), shard.slots.len());
            }
            let alive = model.values().filter(|(_, expires)| *expires > now).count();
            let found = model.iter().filter(|(key, _)| table.get(&key.to_string(), now).is_some()).count();
            prop_assert!(found <= alive && found as u64 + table.0.evicted() >= alive as u64);
        }
    }
}
