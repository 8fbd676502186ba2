//! What lies outside of the exchange: nothing of it is granted to this filter.

use std::time::Duration;

use tamis_sdk::http_client::{self, Outgoing};
use tamis_sdk::quota::{self, Ask};
use tamis_sdk::store::{Error, Store};
use tamis_sdk::{StatusCode, Verdict};

use crate::case::Case;
use crate::check::is;

const STORE: Store = Store::named("no-such-store");

pub(super) const CASES: &[Case] = &[
    Case {
        name: "store/not-granted",
        on_request: |_| {
            is("get", STORE.get("a"), Err(Error::NotAllowed))?;
            is("set", STORE.set("a", "1", None), Err(Error::NotAllowed))?;
            is("compare-and-set", STORE.compare_and_set("a", None, "1", None), Err(Error::NotAllowed))?;
            is("delete", STORE.delete("a"), Err(Error::NotAllowed))?;
            is("increment", STORE.increment("a", 1, Some(Duration::from_secs(1))), Err(Error::NotAllowed))?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "quota/not-granted",
        on_request: |_| {
            let asks = [Ask::rate("a", 1, Duration::from_secs(1)), Ask::concurrency("b", 1)];
            is("take", quota::take(&STORE, &asks), Err(Error::NotAllowed))?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "http-client/not-granted",
        on_request: |_| {
            let call = || Outgoing::get("no-such-cluster", "/");
            let status = |answer: Result<http_client::Incoming, _>| answer.map(|answer| answer.status());
            let refused: Result<StatusCode, _> = Err(http_client::Error::NotAllowed);
            is("send", status(call().send()), refused)?;
            let both = http_client::send_all([call(), call()]);
            is("send-all", both.into_iter().map(status).collect::<Vec<_>>(), vec![refused; 2])?;
            is("none", http_client::send_all([]).len(), 0)?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
];
