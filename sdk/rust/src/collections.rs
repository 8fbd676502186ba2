//! Maps whose order nobody outside can guess.
//!
//! On wasm32 the maps of std hash with fixed keys, so that a client that chooses its keys well can make all of them collide.
//! These draw their keys from [`entropy`]: once an instance, and never while the filter is being configured,
//! because the configured memory is copied and all copies would share them. A map is seeded when something is first put into
//! it: one that is filled in a hook is safe for keys from traffic; one that `configure` fills is for keys of the
//! configuration alone, and keeps fixed keys ever after.

use std::cell::{Cell, OnceCell};
use std::hash::{BuildHasher, DefaultHasher, Hasher};

use crate::{entropy, phase};

/// std's map with seeds from the proxy; make one with `HashMap::default()`.
pub type HashMap<K, V> = std::collections::HashMap<K, V, Seeded>;

/// std's set with seeds from the proxy; make one with `HashSet::default()`.
pub type HashSet<T> = std::collections::HashSet<T, Seeded>;

/// SipHash, keyed when it is first used.
#[derive(Debug, Clone, Default)]
pub struct Seeded {
    keyed: OnceCell<DefaultHasher>,
}

thread_local! {
    static SEED: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

impl BuildHasher for Seeded {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        self.keyed.get_or_init(keyed).clone()
    }
}

/// A hasher that has swallowed the instance's secret; in `configure`, none.
fn keyed() -> DefaultHasher {
    let mut hasher = DefaultHasher::new();
    if !phase::configuring() {
        let (one, two) = SEED.get().unwrap_or_else(|| (entropy::next(), entropy::next()));
        SEED.set(Some((one, two)));
        hasher.write_u64(one);
        hasher.write_u64(two);
    }
    hasher
}
