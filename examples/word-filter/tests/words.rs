//! What a user of the filter would notice.

use serde_json::json;
use tamis_sdk::testing::{Configured, Exchange, configure};
use word_filter::WordFilter;

fn filter() -> Configured<WordFilter> {
    configure(json!({ "words": { "darn": "d**n", "heck": "h**k" } })).unwrap()
}

fn page(kind: &str) -> Exchange {
    Exchange::get("/").answer_header("content-type", kind)
}

#[test]
fn a_stream_is_rewritten_across_its_pieces() {
    let exchange = page("text/html; charset=utf-8").answer_chunks(["what the he", "ck, da", "rn", ""]);
    let outcome = exchange.answer_header("etag", "\"1\"").answer_header("content-digest", "x").through(&filter());
    let response = outcome.response().unwrap();
    assert_eq!(response.text(), "what the h**k, d**n");
    assert_eq!((response.header("etag"), response.header("content-digest")), (None, None));
}

#[test]
fn what_is_no_plain_text_stays_what_it_is() {
    for exchange in [
        page("application/json"),
        Exchange::get("/"),
        page("text/plain").answer_header("content-encoding", "gzip"),
        page("text/plain").answered(206),
    ] {
        let outcome = exchange.answer_body("darn").answer_header("etag", "1").through(&filter());
        let response = outcome.response().unwrap();
        assert_eq!((response.text().as_str(), response.header("etag").is_some()), ("darn", true));
    }
    let outcome = page("Text/Plain").answer_header("content-encoding", "Identity").answer_body("darn").through(&filter());
    assert_eq!(outcome.response().unwrap().text(), "d**n");
}

#[test]
fn the_upstream_is_asked_for_what_can_be_read() {
    let exchange = Exchange::get("/").header("accept-encoding", "gzip").header("range", "bytes=5-");
    let outcome = exchange.through(&filter());
    let sent = outcome.upstream().unwrap();
    assert_eq!((sent.header("accept-encoding"), sent.header("range")), (None, None));
    let filter = configure::<WordFilter>(json!({ "words": { "a": "b" }, "ask-for-plain": false })).unwrap();
    assert!(exchange.through(&filter).upstream().unwrap().header("accept-encoding").is_some());
}

#[test]
fn what_one_exchange_leaves_does_not_reach_the_next() {
    let filter = filter();
    assert!(filter.keeps_state());
    let cut = page("text/plain").answer_chunks(["he"]).upstream_goes_away().through(&filter);
    assert_eq!(cut.response().unwrap().text(), "", "it might have become a word");
    assert_eq!(page("text/plain").answer_body("ck").through(&filter).response().unwrap().text(), "ck");
    assert_eq!(page("image/png").answer_body("darn").through(&filter).response().unwrap().text(), "darn");
}

#[test]
fn mistakes_are_told_with_their_path() {
    let said = |config| configure::<WordFilter>(config).unwrap_err().to_string();
    assert_eq!(said(json!({})), "missing key `words`");
    assert_eq!(said(json!({ "words": {} })), "words: expected at least one, found none");
    assert_eq!(said(json!({ "words": { "": "x" } })), "words.: expected 1 to 256 bytes, found 0");
    assert_eq!(said(json!({ "words": { "a": 5 } })), "words.a: expected a string, found 5");
}

#[test]
fn the_configuration_that_ships_is_taken() {
    let file: toml::Table = toml::from_str(include_str!("../tamis.toml")).unwrap();
    let config = &file["filters"]["word-filter"]["config"];
    let taken = configure::<WordFilter>(serde_json::to_value(config).unwrap());
    assert!(taken.is_ok(), "{:?}", taken.err());
}
