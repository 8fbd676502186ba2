//! Does with stores what the path says, and answers with the result as JSON. `/stores/STORE/get/KEY`, and so on.

use std::time::Duration;

use serde_json::{Value, json};
use tamis_sdk::prelude::*;
use tamis_sdk::store::{Error, Store};

struct Stores;

impl Filter for Stores {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Stores)
    }
}

impl RequestHook for Stores {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let path = request.path();
        let Some(rest) = path.strip_prefix("/stores/") else { return Verdict::Next };
        let words: Vec<&str> = rest.split('/').collect();
        let [store, what, words @ ..] = words.as_slice() else { return unknown() };
        let query = request.query().unwrap_or_default();
        let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
        let ttl = parameter("ttl").map(Duration::from_millis);
        match done(&Store::from((*store).to_owned()), what, words, ttl, parameter("size").unwrap_or(0)) {
            Some(Ok(value)) => Reply::new(StatusCode::OK).json(json!({ "ok": value }).to_string()).into(),
            Some(Err(why)) => Reply::new(StatusCode::OK).json(json!({ "error": word(why) }).to_string()).into(),
            None => unknown(),
        }
    }
}

tamis_sdk::export!(Stores: request);

/// `None` if it is no command. A `-` that is expected means: nothing.
fn done(store: &Store, what: &str, words: &[&str], ttl: Option<Duration>, size: u64) -> Option<Result<Value, Error>> {
    let grown = |value: &str| format!("{value}{}", "x".repeat(size as usize));
    let text = |value: Option<Vec<u8>>| json!(value.map(|value| String::from_utf8_lossy(&value).into_owned()));
    Some(match (what, words) {
        ("get", [key]) => store.get(key).map(text),
        ("set", [key, value]) => store.set(key, grown(value), ttl).map(|()| Value::Null),
        ("cas", [key, expected, value]) => {
            let expected = (*expected != "-").then_some(expected.as_bytes());
            store.compare_and_set(key, expected, grown(value), ttl).map(Value::from)
        }
        ("delete", [key]) => store.delete(key).map(|()| Value::Null),
        ("increment", [key, by]) => store.increment(key, by.parse().ok()?, ttl).map(Value::from),
        _ => return None,
    })
}

fn unknown() -> Verdict {
    Reply::new(StatusCode::BAD_REQUEST).text("no such command\n").into()
}

fn word(why: Error) -> &'static str {
    match why {
        Error::NotAllowed => "not-allowed",
        Error::Unavailable => "unavailable",
        Error::TooLarge => "too-large",
    }
}
