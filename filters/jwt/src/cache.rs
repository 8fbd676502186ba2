//! Tokens that this instance has verified, so that one that comes again costs a hash and not a signature.

use std::cell::RefCell;
use std::rc::Rc;

use sha2::{Digest, Sha256};
use tamis_sdk::collections::HashMap;

use crate::provider::Verified;

/// A token and the provider that verified it. The token itself, a secret, is not kept.
pub type Name = ([u8; 32], usize);

/// Two generations: when the younger is full it becomes the older, and the older is forgotten. So at most twice half of the
/// limit is kept, and looking something up never means to search for what is oldest.
#[derive(Debug, Default)]
pub struct Cache {
    /// Of one generation; zero keeps nothing.
    half: usize,
    young: RefCell<HashMap<Name, Rc<Verified>>>,
    old: RefCell<HashMap<Name, Rc<Verified>>>,
}

impl Cache {
    pub fn new(tokens: usize) -> Self {
        Cache { half: tokens.div_ceil(2), ..Cache::default() }
    }

    pub fn digest(token: &str) -> [u8; 32] {
        Sha256::digest(token).into()
    }

    /// What is known of the token. Whether its time is over is the caller's to see.
    pub fn get(&self, name: &Name) -> Option<Rc<Verified>> {
        if let Some(found) = self.young.borrow().get(name) {
            return Some(found.clone());
        }
        let found = self.old.borrow_mut().remove(name)?;
        self.keep(*name, found.clone());
        Some(found)
    }

    pub fn keep(&self, name: Name, verified: Rc<Verified>) {
        if self.half == 0 {
            return;
        }
        let mut young = self.young.borrow_mut();
        if young.len() >= self.half {
            self.old.replace(std::mem::take(&mut *young));
        }
        young.insert(name, verified);
    }

    pub fn forget(&self, name: &Name) {
        self.young.borrow_mut().remove(name);
    }
}
