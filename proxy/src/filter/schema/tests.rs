//! What a schema says, and when it says nothing because the filter has said it already.

use serde_json::{Value, json};

use super::{SECTION, Schema};

/// An empty core module that carries a schema.
fn carrying(text: &str) -> Vec<u8> {
    let mut section = vec![u8::try_from(SECTION.len()).unwrap()];
    section.extend(SECTION.bytes().chain(text.bytes()));
    let mut module = b"\0asm\x01\0\0\0\0".to_vec();
    let mut length = section.len();
    while length >= 0x80 {
        module.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    module.push(length as u8);
    module.extend(section);
    module
}

fn schema() -> Schema {
    let text = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["store"],
        "properties": {
            "store": { "type": "string", "minLength": 1 },
            "rules": { "type": "array", "items": { "$ref": "#/$defs/rule" } },
        },
        "$defs": {
            "rule": {
                "type": "object",
                "additionalProperties": false,
                "required": ["limit"],
                "properties": {
                    "limit": { "type": "integer", "minimum": 1 },
                    "kind": { "enum": ["rate", "calendar"] },
                    "window": { "type": "string", "pattern": "^[0-9]+s$" },
                    "key": { "anyOf": [{ "$ref": "#/$defs/key" }, { "type": "array", "items": { "$ref": "#/$defs/key" } }] },
                    "names": { "type": "object", "propertyNames": { "pattern": "^[a-z]+$" } },
                },
            },
            "key": { "anyOf": [
                { "type": "string" },
                { "type": "object", "additionalProperties": false, "properties": { "header": { "type": "string" } } },
            ] },
        },
    });
    Schema::of(&carrying(&text.to_string())).unwrap().expect("the module carries one")
}

fn said(config: Value) -> Vec<String> {
    schema().mistakes(&config).iter().map(ToString::to_string).collect()
}

#[test]
fn what_fits_is_not_told() {
    assert!(said(json!({ "store": "s" })).is_empty());
    let rule = json!({ "limit": 1, "kind": "rate", "window": "1s", "key": ["a", { "header": "b" }], "names": { "a": 1 } });
    assert!(said(json!({ "store": "s", "rules": [rule] })).is_empty());
}

#[test]
fn every_mistake_is_told_with_its_path_and_in_the_words_of_filters() {
    for (rule, message) in [
        (json!({ "limit": "x" }), r#".limit: expected an integer, found "x""#),
        (json!({ "limit": 0 }), ".limit: expected at least 1, found 0"),
        (json!({ "limit": [] }), ".limit: expected an integer, found a list"),
        (json!({ "limit": 1, "kind": "rat" }), r#".kind: expected "rate" or "calendar", found "rat""#),
        (json!({ "limit": 1, "window": "5" }), r#".window: expected a text that matches ^[0-9]+s$, found "5""#),
        (json!({ "limit": 1, "windw": "5s" }), ".windw: unknown key `windw`; the nearest is `window`"),
        (json!({ "limit": 1, "x": 1 }), ".x: unknown key `x`; known are `key`, `kind`, `limit`, `names`, `window`"),
        (json!({}), ": missing key `limit`"),
        (json!({ "limit": 1, "key": 5 }), ".key: expected a text or a table or a list, found 5"),
        (json!({ "limit": 1, "key": ["a", { "heder": "b" }] }), ".key[1].heder: unknown key `heder`; the nearest is `header`"),
        (json!({ "limit": 1, "names": { "A": 1 } }), r#".names.A: as a key, expected a text that matches ^[a-z]+$, found "A""#),
        (json!([]), ": expected a table, found a list"),
    ] {
        assert_eq!(said(json!({ "store": "s", "rules": [{ "limit": 1 }, rule] })), [format!("rules[1]{message}")]);
    }
    assert_eq!(said(json!({ "store": "" })), ["store: expected a text, found an empty one"]);
    let several = said(json!({ "storr": "s", "rules": [{ "limit": 0 }, { "limit": -1 }] }));
    assert_eq!(several.len(), 4, "{several:?}");
}

#[test]
fn a_long_list_of_mistakes_ends() {
    let rules: Vec<Value> = (0..1000).map(|_| json!({ "limit": 0 })).collect();
    assert_eq!(said(json!({ "store": "s", "rules": rules })).len(), super::MISTAKES_MAX);
}

#[test]
fn what_the_filter_says_itself_is_not_told_again() {
    let mistakes = schema().mistakes(&json!({ "rules": [{ "limit": 0 }, { "limit": 1, "key": [5] }] }));
    let left = |said: &str| -> Vec<String> {
        let mut left: Vec<_> = mistakes.iter().filter(|mistake| !mistake.is_told_by(said)).map(|one| one.path.clone()).collect();
        left.sort();
        left
    };
    assert_eq!(left("rules[0].limit: expected a number above 0, found 0"), ["", "rules[1].key[0]"]);
    assert_eq!(left("rules[1].key: expected one key or several"), ["", "rules[0].limit"]);
    assert_eq!(left("rules[1].key[0].header: expected a name"), ["", "rules[0].limit"]);
    assert_eq!(left("missing key `store`"), ["rules[0].limit", "rules[1].key[0]"]);
    assert_eq!(left("missing key `other`"), ["", "rules[0].limit", "rules[1].key[0]"]);
    assert_eq!(left("rules[10].limit: expected a number above 0, found 0"), ["", "rules[0].limit", "rules[1].key[0]"]);
    assert_eq!(left("there is nothing to do: no rule counts"), ["", "rules[0].limit", "rules[1].key[0]"]);
}

#[test]
fn what_is_no_schema_is_told() {
    assert!(Schema::of(b"\0asm\x01\0\0\0").unwrap().is_none());
    assert!(Schema::of(b"no module").unwrap().is_none());
    for (text, why) in [
        ("{", "no JSON"),
        (r#"{"type": "objekt"}"#, "/type"),
        (r##"{"$ref": "#/$defs/none"}"##, "none"),
        (r#"{"$ref": "https://example.com/schema.json"}"#, "example.com"),
        (r#"{"pattern": "(?=look)ahead"}"#, ""),
    ] {
        let said = Schema::of(&carrying(text)).expect_err(text);
        assert!(said.contains(why), "{text}: {said}");
    }
}
