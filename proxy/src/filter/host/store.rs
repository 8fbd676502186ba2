//! `store`: small state that every instance of every worker shares.
//!
//! A future here is ready at once where the store is in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::filter::witness::{self, Event, Missing};
use crate::store::{self, Access, Error};

/// The stores that a filter's `allow` grants. Two sets are equal when they reach the same keys of the same stores.
pub type Granted = BTreeMap<Arc<str>, Access>;

/// What `allow.stores` grants of the stores of a snapshot. A filter that is only tried out has a namespace, so that what it
/// writes and takes is seen by nobody else; any other has the empty one.
pub fn grant(allowed: &[Arc<str>], stores: &store::Stores, namespace: &Arc<str>) -> Granted {
    let reach = |name: &Arc<str>| Some((Arc::clone(name), Access::within(stores.get(name)?.clone(), Arc::clone(namespace))));
    allowed.iter().filter_map(reach).collect()
}

/// A function of one of them may wait.
pub fn wait(granted: &Granted) -> bool {
    granted.values().any(|access| access.store().waits())
}

/// The store of that name, if it is granted.
pub(super) fn reach<'a>(granted: &'a Granted, store: &str) -> Result<&'a Access, Error> {
    granted.get(store).ok_or_else(|| {
        witness::tell(|| Event::Missing(Missing::Store, store.to_owned()));
        Error::NotAllowed
    })
}

pub async fn get(granted: &Granted, store: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
    let found = reach(granted, store)?.get(key).await;
    witness::effect("store", || match &found {
        Ok(Some(value)) => format!("{store}: `{key}` is {}", shown(value)),
        Ok(None) => format!("{store}: `{key}` is not there"),
        Err(error) => format!("{store}: `{key}` cannot be read: {error:?}"),
    });
    found
}

pub async fn set(granted: &Granted, store: &str, key: &str, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<(), Error> {
    let reached = reach(granted, store)?;
    witness::effect("store", || format!("{store}: `{key}` set to {}{}", shown(&value), for_ms(ttl_ms)));
    reached.set(key, value, ttl_ms).await
}

pub async fn compare_and_set(
    granted: &Granted,
    store: &str,
    key: &str,
    expected: Option<&[u8]>,
    value: Vec<u8>,
    ttl_ms: Option<u64>,
) -> Result<bool, Error> {
    let reached = reach(granted, store)?;
    let words = if witness::is_on() { shown(&value) } else { String::new() };
    let set = reached.compare_and_set(key, expected, value, ttl_ms).await;
    witness::effect("store", || match set {
        Ok(true) => format!("{store}: `{key}` set to {words}{}", for_ms(ttl_ms)),
        _ => format!("{store}: `{key}` not set to {words}: {set:?}"),
    });
    set
}

pub async fn delete(granted: &Granted, store: &str, key: &str) -> Result<(), Error> {
    witness::effect("store", || format!("{store}: `{key}` deleted"));
    reach(granted, store)?.delete(key).await
}

pub async fn increment(granted: &Granted, store: &str, key: &str, by: i64, ttl_ms: Option<u64>) -> Result<i64, Error> {
    let sum = reach(granted, store)?.increment(key, by, ttl_ms).await;
    witness::effect("store", || match &sum {
        Ok(sum) => format!("{store}: `{key}` {by:+}, now {sum}{}", for_ms(ttl_ms)),
        Err(error) => format!("{store}: `{key}` {by:+}: {error:?}"),
    });
    sum
}

/// For whoever watches.
fn shown(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(&value[..value.len().min(SHOWN_BYTES)]);
    if value.len() > SHOWN_BYTES { format!("{text:?}… ({} bytes)", value.len()) } else { format!("{text:?}") }
}

/// Bytes of a value that are shown.
const SHOWN_BYTES: usize = 100;

fn for_ms(ttl: Option<u64>) -> String {
    ttl.map(|ttl| format!(" for {ttl} ms")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, at_once};

    fn now<T>(future: impl Future<Output = T>) -> T {
        at_once(future).expect("a store in memory does not wait")
    }

    #[test]
    fn a_filter_reaches_what_it_is_granted_and_nothing_else() {
        let stores: store::Stores =
            ["a", "b"].map(|name| (Arc::from(name), Store::build(&name.into(), &Arc::default(), None))).into();
        let granted = grant(&["a".into()], &stores, &"".into());
        now(set(&granted, "a", "k", b"v".to_vec(), None)).expect("granted");
        assert_eq!(now(get(&granted, "a", "k")), Ok(Some(b"v".to_vec())));
        assert_eq!(now(get(&granted, "b", "k")), Err(Error::NotAllowed));
        assert_eq!(now(get(&granted, "c", "k")), Err(Error::NotAllowed));
        assert_eq!(now(increment(&granted, "b", "k", 1, None)), Err(Error::NotAllowed));

        let tried_out = grant(&["a".into()], &stores, &"trial".into());
        assert_eq!(now(get(&tried_out, "a", "k")), Ok(None));
        now(set(&tried_out, "a", "k", b"w".to_vec(), None)).expect("granted");
        assert_eq!(now(get(&granted, "a", "k")), Ok(Some(b"v".to_vec())));
        assert!(granted != tried_out && granted == grant(&["a".into()], &stores, &"".into()));
    }
}
