//! What a user of the filter would notice.

use rewrite_body::RewriteBody;
use serde_json::{Value, json};
use tamis_sdk::testing::{Configured, Exchange, Outcome, configure};
use tamis_sdk::{Hook, Method};

fn with(rule: Value) -> Configured<RewriteBody> {
    configure::<RewriteBody>(json!({ "rules": [rule] })).unwrap_or_else(|error| panic!("{error}"))
}

fn html(pieces: &[&str]) -> Exchange {
    Exchange::get("/").answer_header("content-type", "text/html; charset=utf-8").answer_chunks(pieces.iter().copied())
}

fn text(outcome: &Outcome) -> String {
    outcome.response().unwrap().text().to_owned()
}

#[test]
fn texts_are_found_across_pieces() {
    let filter = with(json!({ "replace": [
        { "find": "http://old.example", "with": "https://new.example" }, { "find": "secret", "with": "" },
    ] }));
    let outcome = html(&["see http://o", "ld.exam", "ple/a, sec", "ret http://older"]).through(&filter);
    assert_eq!(text(&outcome), "see https://new.example/a,  http://older");
    assert_eq!(filter.counted("rewrite_body_replacements_total", &["0"]), 2.0);
    assert_eq!(filter.counted("rewrite_body_bodies_total", &["0", "rewritten"]), 1.0);
    assert_eq!(text(&html(&["nothing"]).through(&filter)), "nothing");
    assert_eq!(filter.counted("rewrite_body_bodies_total", &["0", "same"]), 1.0);
}

#[test]
fn expressions_see_the_whole() {
    let filter = with(json!({ "replace": [
        { "regex": "(\\w+)@(\\w+)\\.example", "with": "$2 of ${1}s" }, { "find": "a@b.example", "with": "c@d.example" }, { "regex": "^", "with": "> " },
    ] }));
    assert_eq!(text(&html(&["mail a@b.exa", "mple, e@f.example"]).through(&filter)), "> mail d of cs, f of es");
    assert_eq!(filter.counted("rewrite_body_replacements_total", &["0"]), 4.0);
    let lines = with(json!({ "replace": { "regex": "(?m)^#.*\\n", "with": "" } }));
    assert_eq!(text(&html(&["#a\nb\n", "#c\nd"]).through(&lines)), "b\nd");
}

#[test]
fn only_hooks_with_work_are_wanted() {
    let wants = |rules: Value| {
        let filter = configure::<RewriteBody>(json!({ "rules": rules })).unwrap();
        [Hook::Request, Hook::RequestChunk, Hook::Response, Hook::ResponseChunk].map(|hook| filter.wants(hook))
    };
    let find = json!({ "find": "a", "with": "" });
    let regex = json!({ "regex": "a", "with": "" });
    assert_eq!(wants(json!([{ "replace": find }])), [true, false, true, true]);
    assert_eq!(wants(json!([{ "replace": regex }])), [true, false, true, false]);
    assert_eq!(wants(json!([{ "of": "request", "replace": find }])), [true, true, false, false]);
    assert_eq!(wants(json!([{ "of": "request", "replace": regex }])), [true, false, false, false]);
}

#[test]
fn a_request_is_rewritten_too() {
    for replace in [json!({ "find": "old", "with": "new" }), json!({ "regex": "ol[d]", "with": "new" })] {
        let filter = with(json!({ "of": "request", "types": "application/json", "replace": replace }));
        let post = |kind: &str| {
            let exchange = Exchange::post("/").header("content-type", kind).header("content-digest", "sha-256=:AAAA:");
            exchange.body_chunks(["{\"a\":\"o", "ld\"}"]).through(&filter)
        };
        let sent = post("application/json").upstream().unwrap().clone();
        assert_eq!((sent.text().as_str(), sent.header("content-digest")), ("{\"a\":\"new\"}", None));
        let sent = post("text/plain").upstream().unwrap().clone();
        assert_eq!(sent.text(), "{\"a\":\"old\"}");
        assert!(sent.header("content-digest").is_some(), "what is not rewritten keeps all");
    }
}

#[test]
fn what_spoke_of_the_old_bytes_goes() {
    let answer = |filter: &Configured<RewriteBody>, body: &str| {
        let exchange = html(&[body])
            .answer_header("etag", "\"1\"")
            .answer_header("content-md5", "x")
            .answer_header("accept-ranges", "bytes");
        let outcome = exchange.answer_header("x-other", "1").through(filter);
        ["etag", "content-md5", "accept-ranges", "x-other"].map(|name| outcome.response().unwrap().header(name).is_some())
    };
    let streaming = with(json!({ "replace": { "find": "a", "with": "b" } }));
    assert_eq!(answer(&streaming, "a"), [false, false, false, true]);
    let whole = with(json!({ "replace": { "regex": "a", "with": "b" } }));
    assert_eq!(answer(&whole, "a"), [false, false, false, true]);
    assert_eq!(answer(&whole, "z"), [true; 4], "the whole was seen, and it stays");
}

#[test]
fn bodies_of_another_type_pass() {
    let filter = with(json!({ "replace": { "find": "a", "with": "b" } }));
    for (kind, rewritten) in [
        ("text/plain", true),
        ("Application/JSON", true),
        ("application/problem+json", true),
        ("image/svg+xml", false),
        ("image/png", false),
        ("application/octet-stream", false),
    ] {
        let outcome =
            Exchange::get("/").answer_header("content-type", kind).answer_header("etag", "1").answer_body("a").through(&filter);
        assert_eq!(text(&outcome) == "b", rewritten, "{kind}");
        assert_eq!(outcome.response().unwrap().header("etag").is_none(), rewritten, "{kind}");
    }
    assert_eq!(text(&Exchange::get("/").answer_body("a").through(&filter)), "a", "without a type nobody knows");
    let svg = with(json!({ "types": ["image/svg+xml"], "replace": { "find": "a", "with": "b" } }));
    let outcome = Exchange::get("/").answer_header("content-type", "image/svg+xml").answer_body("a").through(&svg);
    assert_eq!(text(&outcome), "b");
}

#[test]
fn what_is_compressed_passes_or_fails() {
    let get = |word: &str, of: &str| {
        let filter = with(json!({ "of": of, "on-compressed": word, "replace": { "find": "a", "with": "b" } }));
        let exchange = html(&["a"]).answer_header("content-encoding", "gzip");
        let exchange = exchange.header("content-type", "text/plain").header("content-encoding", "br").body("a");
        let outcome = exchange.through(&filter);
        assert_eq!(filter.counted("rewrite_body_bodies_total", &["0", "compressed"]), 1.0);
        (outcome.response().unwrap().status().as_u16(), outcome.upstream().map(|sent| sent.text().to_owned()))
    };
    assert_eq!(get("pass", "response"), (200, Some("a".to_owned())));
    assert_eq!(get("fail", "response"), (502, Some("a".to_owned())));
    assert_eq!(get("pass", "request"), (200, Some("a".to_owned())));
    assert_eq!(get("fail", "request"), (415, None));
}

#[test]
fn services_are_asked_for_what_can_be_read() {
    let sent = |config: Value| {
        let exchange = Exchange::get("/").header("accept-encoding", "gzip").header("range", "bytes=0-1");
        let outcome = exchange.through(&with(config));
        ["accept-encoding", "range"].map(|name| outcome.upstream().unwrap().header(name).is_some())
    };
    let replace = json!({ "find": "a", "with": "b" });
    assert_eq!(sent(json!({ "replace": replace })), [false, false]);
    assert_eq!(sent(json!({ "replace": replace, "ask-for-plain": false })), [true, true]);
    assert_eq!(sent(json!({ "replace": replace, "of": "request" })), [true, true]);
    assert_eq!(sent(json!({ "replace": replace, "match": { "path": "/other" } })), [true, true]);
}

#[test]
fn what_is_too_large_passes_or_fails() {
    let get = |word: &str, body: &str| {
        let rule = json!({ "body-bytes-max": 5, "on-too-large": word, "replace": { "regex": "a", "with": "bbb" } });
        let filter = with(rule);
        let outcome = html(&[body]).through(&filter);
        (outcome.response().unwrap().status().as_u16(), text(&outcome))
    };
    assert_eq!(get("pass", "axxxx"), (200, "bbbxxxx".to_owned()));
    assert_eq!(get("pass", "axxxxx"), (200, "axxxxx".to_owned()));
    assert_eq!(get("fail", "axxxxx").0, 502);
    assert_eq!(get("pass", "aaaaa"), (200, "aaaaa".to_owned()), "nor may it become longer than twice that");
    let request =
        with(json!({ "of": "request", "body-bytes-max": 5, "on-too-large": "fail", "replace": { "regex": "a", "with": "" } }));
    let outcome = Exchange::post("/").header("content-type", "text/plain").body("aaaaaa").through(&request);
    assert_eq!(outcome.response().unwrap().status(), 413);
}

#[test]
fn after_so_many_replacements_the_rest_stays() {
    for replace in [json!({ "find": "a", "with": "b" }), json!({ "regex": "a", "with": "b" })] {
        assert_eq!(text(&html(&["aa", "aa"]).through(&with(json!({ "count-max": 3, "replace": replace })))), "bbba");
    }
}

#[test]
fn answers_without_a_whole_body_pass() {
    let filter = with(json!({ "replace": { "find": "a", "with": "b" } }));
    assert_eq!(text(&html(&["a"]).answered(206).through(&filter)), "a");
    let head =
        Exchange::new(Method::HEAD, "/").answer_header("content-type", "text/html").answer_header("etag", "1").through(&filter);
    assert!(head.response().unwrap().header("etag").is_none(), "it speaks of the body that a GET would get");
}

#[test]
fn a_rule_is_found_before_the_path_changes() {
    let filter = configure::<RewriteBody>(json!({ "rules": [
        { "name": "one", "match": { "path-prefix": "/one" }, "replace": { "find": "a", "with": "1" } },
        { "name": "two", "match": { "path-prefix": "/two" }, "ignore-case": true, "replace": { "find": "a", "with": "2" } },
    ] }))
    .unwrap();
    let at =
        |path: &str| text(&Exchange::get(path).answer_header("content-type", "text/plain").answer_body("aA").through(&filter));
    assert_eq!([at("/one"), at("/two"), at("/three")], ["1A", "22", "aA"]);
}

#[test]
fn a_mistake_says_where_it_is() {
    for (rule, said) in [
        (json!({ "replace": [] }), "rules[0].replace: expected 1 to 100, found 0"),
        (json!({ "replace": [{ "find": "", "with": "" }] }), "rules[0].replace[0].find: expected 1 to 1024 bytes, found 0"),
        (json!({ "replace": [{ "with": "" }] }), "rules[0].replace[0]: expected one of `find` and `regex`, found neither"),
        (
            json!({ "replace": [{ "find": "a", "regex": "a", "with": "" }] }),
            "rules[0].replace[0]: expected one of `find` and `regex`, found both",
        ),
        (
            json!({ "replace": [{ "find": "a", "with": "x".repeat(1025) }] }),
            "rules[0].replace[0].with: expected at most 1024 bytes, found 1025",
        ),
        (
            json!({ "replace": [{ "regex": "(", "with": "" }] }),
            "rules[0].replace[0].regex: expected a regular expression, found \"(\"",
        ),
        (
            json!({ "replace": [{ "regex": "(a{999}){999}", "with": "" }] }),
            "rules[0].replace[0].regex: expected a regular expression, found ",
        ),
        (
            json!({ "replace": [{ "find": "a", "with": "" }], "body-bytes-max": 0 }),
            "rules[0].body-bytes-max: expected 1 to 16777216, found 0",
        ),
        (
            json!({ "replace": [{ "find": "a", "with": "" }], "types": ["text"] }),
            "rules[0].types[0]: expected a type such as \"text/html\", \"text/*\" or \"application/*+json\", found \"text\"",
        ),
    ] {
        let error = configure::<RewriteBody>(json!({ "rules": [rule] })).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}
