//! Steps of the index: from a node and a text to the next node.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// One table for all nodes; the texts lie in one string. The hash of a place is made of all that was said on the way to it, so
/// that the processor can look for the next step before the present one has come from memory.
///
/// All that is in it comes from the configuration. A client can only ask for what is there or is not, so its hashes need no
/// secret.
#[derive(Debug, Default)]
pub struct Table {
    steps: HashTable<Step>,
    /// Each text once: many hosts have an `/api`, and what is small stays near.
    texts: String,
    spans: Vec<(u32, u32)>,
    known: HashTable<u32>,
    /// Of each node's place, while the table grows.
    hashes: Vec<u64>,
    hasher: DefaultHashBuilder,
}

/// A node, and the hash of the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub node: u32,
    hash: u64,
}

impl Place {
    /// A node from which ways begin.
    pub const fn root(node: u32) -> Self {
        Place { node, hash: node as u64 }
    }

    /// The place that is reached by what is no literal.
    pub fn aside(self, node: u32) -> Self {
        Place { node, hash: mix(self.hash, u64::MAX) }
    }
}

/// Multiplying spreads low bits upwards, turning brings them back.
fn mix(hash: u64, more: u64) -> u64 {
    (hash ^ more).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
}

#[derive(Debug, Clone, Copy)]
struct Step {
    from: u32,
    to: u32,
    /// Which of the texts.
    text: u32,
}

impl Table {
    pub fn get(&self, from: Place, text: &str) -> Option<Place> {
        let hash = mix(from.hash, self.hasher.hash_one(text));
        let found = self.steps.find(hash, |step| step.from == from.node && self.text(step.text) == text)?;
        Some(Place { node: found.to, hash })
    }

    /// Where the step leads; to `fresh` if it is new.
    pub fn insert(&mut self, from: Place, text: &str, fresh: u32) -> Place {
        if let Some(known) = self.get(from, text) {
            return known;
        }
        let hash = mix(from.hash, self.hasher.hash_one(text));
        let step = Step { from: from.node, to: fresh, text: self.intern(text) };
        self.hashes.resize(fresh as usize + 1, 0);
        self.hashes[fresh as usize] = hash;
        let hashes = &self.hashes;
        self.steps.insert_unique(hash, step, |step| hashes[step.to as usize]);
        Place { node: fresh, hash }
    }

    /// Nothing more will be inserted.
    pub fn shrink(&mut self) {
        self.known = HashTable::new();
        self.hashes = Vec::new();
        self.texts.shrink_to_fit();
        self.spans.shrink_to_fit();
    }

    fn text(&self, text: u32) -> &str {
        slice(&self.texts, self.spans[text as usize])
    }

    fn intern(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        if let Some(known) = self.known.find(hash, |known| self.text(*known) == text) {
            return *known;
        }
        let start = self.texts.len() as u32;
        self.texts.push_str(text);
        let fresh = self.spans.len() as u32;
        self.spans.push((start, self.texts.len() as u32));
        let (texts, spans, hasher) = (&self.texts, &self.spans, &self.hasher);
        self.known.insert_unique(hash, fresh, |known| hasher.hash_one(slice(texts, spans[*known as usize])));
        fresh
    }
}

fn slice(texts: &str, (start, end): (u32, u32)) -> &str {
    &texts[start as usize..end as usize]
}
