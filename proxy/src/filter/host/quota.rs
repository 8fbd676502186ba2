//! `quota`: decisions about rates, made over the stores that a filter reaches.

use super::store::{Granted, reach};
use crate::filter::witness;
use crate::store::{Ask, Decision, Error, Held};

/// `take`: all or nothing. What is taken of quotas of concurrency goes into `held`, which belongs to the exchange: whenever
/// it ends, in whatever way, it is dropped and given back.
pub async fn take(granted: &Granted, store: &str, asks: &[Ask], held: &mut Vec<Held>) -> Result<Vec<Decision>, Error> {
    let taken = reach(granted, store)?.take(asks, held).await;
    witness::effect("quota", || {
        let decisions =
            taken.as_deref().unwrap_or_default().iter().map(|decision| if decision.allowed { "allowed" } else { "refused" });
        let each =
            asks.iter().zip(decisions).map(|(ask, said)| format!("{:?} of {} for `{}` {said}", ask.kind, ask.limit, ask.key));
        format!("{store}: {}", each.collect::<Vec<_>>().join(", "))
    });
    taken
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::store::grant;
    use super::*;
    use crate::store::{Kind, Store, Stores, at_once};

    fn now<T>(future: impl Future<Output = T>) -> T {
        at_once(future).expect("a store in memory does not wait")
    }

    #[test]
    fn what_an_exchange_holds_ends_with_it() {
        let stores: Stores = [(Arc::from("s"), Store::build(&"s".into(), &Arc::default(), None))].into();
        let granted = grant(&["s".into()], &stores, &"".into());
        let ask = [Ask { key: "k".to_owned(), kind: Kind::Concurrency, limit: 1, window_ms: 0, burst: 0, cost: 1 }];
        let mut exchange = Vec::new();
        assert!(now(take(&granted, "s", &ask, &mut exchange)).expect("granted")[0].allowed);
        assert!(!now(take(&granted, "s", &ask, &mut Vec::new())).expect("granted")[0].allowed);
        drop(exchange);
        assert!(now(take(&granted, "s", &ask, &mut Vec::new())).expect("granted")[0].allowed);
        assert_eq!(now(take(&granted, "t", &ask, &mut Vec::new())), Err(Error::NotAllowed));
    }
}
