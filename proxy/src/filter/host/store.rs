//! `store`: small state that every instance of every worker shares.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::store::{self, Access, Error};

/// The stores that a filter's `allow` grants. Two sets are equal when they reach the same keys of the same stores.
pub type Granted = BTreeMap<Arc<str>, Access>;

/// What `allow.stores` grants of the stores of a snapshot. A filter that is only tried out has a namespace, so that what it
/// writes and takes is seen by nobody else; any other has the empty one.
pub fn grant(allowed: &[Arc<str>], stores: &store::Stores, namespace: &Arc<str>) -> Granted {
    let reach = |name: &Arc<str>| Some((Arc::clone(name), Access::within(Arc::clone(stores.get(name)?), Arc::clone(namespace))));
    allowed.iter().filter_map(reach).collect()
}

/// The store of that name, if it is granted.
pub(super) fn reach<'a>(granted: &'a Granted, store: &str) -> Result<&'a Access, Error> {
    granted.get(store).ok_or(Error::NotAllowed)
}

pub fn get(granted: &Granted, store: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
    reach(granted, store)?.get(key)
}

pub fn set(granted: &Granted, store: &str, key: &str, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<(), Error> {
    reach(granted, store)?.set(key, value, ttl_ms)
}

pub fn compare_and_set(
    granted: &Granted,
    store: &str,
    key: &str,
    expected: Option<&[u8]>,
    value: Vec<u8>,
    ttl_ms: Option<u64>,
) -> Result<bool, Error> {
    reach(granted, store)?.compare_and_set(key, expected, value, ttl_ms)
}

pub fn delete(granted: &Granted, store: &str, key: &str) -> Result<(), Error> {
    reach(granted, store)?.delete(key)
}

pub fn increment(granted: &Granted, store: &str, key: &str, by: i64, ttl_ms: Option<u64>) -> Result<i64, Error> {
    reach(granted, store)?.increment(key, by, ttl_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn a_filter_reaches_what_it_is_granted_and_nothing_else() {
        let stores: store::Stores =
            ["a", "b"].map(|name| (Arc::from(name), Store::build(&name.into(), &Arc::default(), None))).into();
        let granted = grant(&["a".into()], &stores, &"".into());
        set(&granted, "a", "k", b"v".to_vec(), None).expect("granted");
        assert_eq!(get(&granted, "a", "k"), Ok(Some(b"v".to_vec())));
        assert_eq!(get(&granted, "b", "k"), Err(Error::NotAllowed));
        assert_eq!(get(&granted, "c", "k"), Err(Error::NotAllowed));
        assert_eq!(increment(&granted, "b", "k", 1, None), Err(Error::NotAllowed));

        let tried_out = grant(&["a".into()], &stores, &"trial".into());
        assert_eq!(get(&tried_out, "a", "k"), Ok(None));
        set(&tried_out, "a", "k", b"w".to_vec(), None).expect("granted");
        assert_eq!(get(&granted, "a", "k"), Ok(Some(b"v".to_vec())));
        assert!(granted != tried_out && granted == grant(&["a".into()], &stores, &"".into()));
    }
}
