//! What the two ways into a guest have to make of one that keeps to no rule: the same. Each guest runs as a core module and as a
//! component, without a fiber and on one.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::shape::Shape;
use crate::config;
use crate::exchange::tests::exchange;
use crate::filter::abi::component::Prepared;
use crate::filter::abi::{Call, component};
use crate::filter::cache::Cache;
use crate::filter::hand::Hand;
use crate::filter::host::inputs::Inputs;
use crate::filter::module::digest;
use crate::filter::{ConfigureError, Engine, Entry, Fault, Grants, Hook, Identity, Reach, Taken, Verdict, block_on, host};

const WIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit");
const CONFIGURE: &str = "tamis:filter/configure@0.1.0#configure";
const HOOK: &str = "tamis:filter/request-hook@0.1.0#on-request";

/// Everything that a guest here may import, under a short name.
const IMPORTS: &str = r#"
    (import "tamis:filter/request@0.1.0" "header" (func $header (param i32 i32 i32)))
    (import "tamis:filter/request@0.1.0" "headers" (func $headers (param i32 i32 i32)))
    (import "tamis:filter/request@0.1.0" "set-header" (func $set-header (param i32 i32 i32 i32 i32)))
    (import "tamis:filter/response@0.1.0" "status" (func $status (result i32)))
    (import "tamis:filter/reply@0.1.0" "set" (func $reply (param i32 i32 i32 i32 i32 i32)))
    (import "tamis:filter/log@0.1.0" "enabled" (func $enabled (param i32) (result i32)))
    (import "tamis:filter/clock@0.1.0" "now-ns" (func $now (result i64)))
    (import "tamis:filter/store@0.1.0" "set" (func $store (param i32 i32 i32 i32 i32 i32 i32 i64 i32)))
"#;

const SLEEP: &str = r#"(import "tamis:filter/clock@0.1.0" "sleep-ms" (func $sleep (param i32)))"#;

/// Hands out what comes next.
const REALLOC: &str = r#"
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.sub (local.get 2) (i32.const 1))) (i32.sub (i32.const 0) (local.get 2))))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (local.get $at)
"#;

/// A core module as wit-bindgen makes it: with what it was built for in a section.
fn guest(imports: &str, hook: &str, realloc: &str, more: &str) -> Vec<u8> {
    let text = format!(
        r#"(module {imports}
            (memory (export "memory") 2)
            (global $next (mut i32) (i32.const 65536))
            (data (i32.const 16) "x-name")
            (data (i32.const 32) "value")
            (data (i32.const 40) "\ff\fe\fd")
            {more}
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
            (func (export "{HOOK}") (result i32) {hook}))"#
    );
    let mut bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{hook}: {error}"));
    let mut resolve = Resolve::default();
    resolve.push_dir(WIT).expect("wit/ is there");
    let configure = if more.contains(CONFIGURE) { "export tamis:filter/configure@0.1.0;" } else { "" };
    let world = format!(
        "package tests:guests;\nworld guest {{ include tamis:filter/imports@0.1.0; {configure} export tamis:filter/request-hook@0.1.0; }}"
    );
    let package = resolve.push_str("guest.wit", &world).expect("a world");
    let world = resolve.select_world(&[package], None).expect("one world");
    embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8).expect("a section");
    bytes
}

fn identity() -> Arc<Identity> {
    let text = "[listeners.l]\nlisten = '127.0.0.1:0'\n[filters.f]\nmodule = 'f.wasm'\nmemory = '1MiB'\ndeadline = '1s'";
    let loaded = config::parse(text, Path::new("test.toml")).expect("a configuration of this test");
    Arc::new(Identity {
        name: "f".into(),
        config: Arc::clone(&loaded.config.filters["f"]),
        grants: Grants::default(),
        log: host::log::Gate::default(),
        usage: Arc::default(),
        taken: Taken::default(),
        instruments: std::sync::OnceLock::new(),
        meters: Arc::default(),
    })
}

/// What came of it: the verdict or the kind of fault, and the field `x-name` afterwards.
type Outcome = (Result<Verdict, &'static str>, Option<String>);

fn run(entry: Entry, bytes: &[u8]) -> Outcome {
    let engine = Engine::new(4, entry).expect("an engine");
    let (prepared, _) = Prepared::build(&engine, &Cache::off(), bytes, &digest(bytes)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(prepared.is_direct(), entry == Entry::Direct);
    let identity = identity();
    let exchange = Rc::new(RefCell::new(exchange()));
    exchange.borrow_mut().request.headers.insert("x-one", "1".parse().expect("a value"));
    let mut hand = Hand::new(Hook::Request, &exchange, &Arc::<Reach>::default());
    let outcome = block_on(prepared.waits(&identity), async {
        let mut instance = prepared.instantiate(&identity).await.map_err(|fault| fault.kind())?;
        match instance.configure("{}", &Inputs::default()).await {
            Err(ConfigureError::Refused(_)) => return Err("refused"),
            Err(ConfigureError::Fault(fault)) => return Err(fault.kind()),
            Ok(_) => {}
        }
        instance.call(Call::Request, &mut hand).await.map_err(|fault: Fault| fault.kind())
    });
    let field = exchange.borrow().request.headers.get("x-name").map(|value| value.to_str().expect("text").to_owned());
    (outcome.expect("a runtime"), field)
}

/// The same in every way.
#[track_caller]
fn comes_to(what: &str, hook: &str, realloc: &str, more: &str, expected: &Outcome) {
    for imports in [IMPORTS.to_owned(), format!("{IMPORTS}{SLEEP}")] {
        let bytes = guest(&imports, hook, realloc, more);
        let fiber = imports.len() > IMPORTS.len();
        for entry in [Entry::Direct, Entry::Component] {
            assert_eq!(run(entry, &bytes), *expected, "{what}, {entry:?}, on a fiber: {fiber}");
        }
    }
}

fn traps(what: &str, hook: &str) {
    comes_to(what, hook, REALLOC, "", &(Err("trap"), None));
}

#[test]
fn a_guest_that_keeps_to_the_rules_is_served() {
    let set = "(call $set-header (i32.const 16) (i32.const 6) (i32.const 32) (i32.const 5) (i32.const 1024))";
    let written = &(Ok(Verdict::Next), Some("value".to_owned()));
    comes_to("a field", &format!("{set} (i32.load8_u (i32.const 1024))"), REALLOC, "", written);
    let reset = &(Ok(Verdict::Reset), None);
    comes_to("no such field", "(call $header (i32.const 16) (i32.const 6) (i32.const 1024)) (i32.const 2)", REALLOC, "", reset);
    // Both that it is there and what it is: the second case is what `one` begins with, as far from `0` as `reset` is from `next`.
    let one = r#"
        (i32.store (i32.const 64) (i32.const 0x6e6f2d78)) (i32.store8 (i32.const 68) (i32.const 0x65))
        (call $header (i32.const 64) (i32.const 5) (i32.const 1024))
        (if (i32.ne (i32.load (i32.const 1032)) (i32.const 1)) (then unreachable))
        (i32.add (i32.load8_u (i32.const 1024)) (i32.sub (i32.load8_u (i32.load (i32.const 1028))) (i32.const 48)))
    "#;
    comes_to("a field that is there", one, REALLOC, "", reset);
    let error = r#"
        (call $set-header (i32.const 16) (i32.const 0) (i32.const 32) (i32.const 5) (i32.const 1024))
        (i32.shl (i32.load8_u (i32.const 1024)) (i32.lt_u (i32.const 10) (i32.load (i32.const 1032))))
    "#;
    comes_to("an error has its words", error, REALLOC, "", reset);
}

#[test]
fn what_points_elsewhere_traps() {
    traps("a name out of memory", "(call $header (i32.const 131070) (i32.const 6) (i32.const 1024)) (i32.const 0)");
    traps("a name at the end of all numbers", "(call $header (i32.const -1) (i32.const -1) (i32.const 1024)) (i32.const 0)");
    traps("a name that is no text", "(call $header (i32.const 40) (i32.const 3) (i32.const 1024)) (i32.const 0)");
    traps("an answer out of memory", "(call $header (i32.const 16) (i32.const 6) (i32.const 131068)) (i32.const 0)");
    traps("an answer between words", "(call $header (i32.const 16) (i32.const 6) (i32.const 1026)) (i32.const 0)");
    let reply = |at, count| {
        format!("(call $reply (i32.const 200) {at} {count} (i32.const 0) (i32.const 0) (i32.const 1024)) (i32.const 0)")
    };
    traps("a list between words", &reply("(i32.const 1025)", "(i32.const 1)"));
    traps("a list out of memory", &reply("(i32.const 131064)", "(i32.const 1)"));
    traps("a list that is larger than all memory", &reply("(i32.const 0)", "(i32.const 0x20000000)"));
}

#[test]
fn what_is_no_value_traps() {
    traps("a case that is none", "(drop (call $enabled (i32.const 9))) (i32.const 0)");
    traps("a verdict that is none", "(i32.const 7)");
    let option = "(call $store (i32.const 16) (i32.const 6) (i32.const 16) (i32.const 6) (i32.const 0) (i32.const 0) (i32.const 2) (i64.const 0) (i32.const 1024)) (i32.const 0)";
    traps("an option that is neither", option);
    traps("a place of a response, without one", "(drop (call $status)) (i32.const 0)");
}

/// Thirty pieces of the same 64 KiB are more than the megabyte that the guest may have.
#[test]
fn a_guest_cannot_name_its_memory_again_and_again() {
    let fill = r#"
        (local $at i32)
        (local.set $at (i32.const 2048))
        (loop $next
            (i32.store offset=8 (local.get $at) (i32.const 65536))
            (i32.store offset=12 (local.get $at) (i32.const 65536))
            (local.set $at (i32.add (local.get $at) (i32.const 16)))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 2528))))
        (call $reply (i32.const 200) (i32.const 2048) (i32.const 30) (i32.const 0) (i32.const 0) (i32.const 1024))
        (i32.const 0)
    "#;
    traps("a list of the same", fill);
}

#[test]
fn memory_that_is_handed_out_is_looked_at() {
    let get = r#"
        (i32.store (i32.const 64) (i32.const 0x6e6f2d78)) (i32.store8 (i32.const 68) (i32.const 0x65))
        (call $headers (i32.const 64) (i32.const 5) (i32.const 1024)) (i32.const 0)
    "#;
    let trap = &(Err("trap"), None);
    for (what, realloc) in [
        ("out of memory", "(i32.const 131072)"),
        ("between words", "(i32.const 65538)"),
        ("nothing", "unreachable"),
        ("after a call of the host", "(drop (call $now)) (i32.const 65536)"),
    ] {
        comes_to(what, get, realloc, "", trap);
    }
    comes_to("as it should be", get, REALLOC, "", &(Ok(Verdict::Next), None));
}

#[test]
fn what_configure_returns_is_read_and_freed() {
    let configure = |result: &str, free: &str| {
        format!(
            r#"(data (i32.const 256) "\01\00\00\00\20\00\00\00\05\00\00\00") (data (i32.const 272) "\02")
            (func (export "{CONFIGURE}") (param i32 i32 i32 i32) (result i32) {result})
            (func (export "cabi_post_{CONFIGURE}") (param i32) {free})"#
        )
    };
    let next = "(i32.load (i32.const 512))";
    let comes_to = |what, more: String, outcome| comes_to(what, next, REALLOC, &more, &(outcome, None));
    let free = "(i32.store (i32.const 512) (i32.const 2))";
    comes_to("an answer, and its place freed", configure("(i32.const 1024)", free), Ok(Verdict::Reset));
    comes_to("a refusal", configure("(i32.const 256)", free), Err("refused"));
    comes_to("neither", configure("(i32.const 272)", free), Err("trap"));
    comes_to("between words", configure("(i32.const 258)", free), Err("trap"));
    comes_to("out of memory", configure("(i32.const 131068)", free), Err("trap"));
    comes_to("a call while it is freed", configure("(i32.const 1024)", "(drop (call $now))"), Err("trap"));
    comes_to(
        "the configuration is text",
        configure("(i32.sub (i32.load16_u (local.get 0)) (i32.const 31099))", free),
        Ok(Verdict::Reset),
    );
}

#[test]
fn what_is_not_known_is_run_as_a_component() {
    let hook = "(i32.const 0)";
    let direct = |bytes: &[u8]| Shape::of(bytes).is_some_and(|shape| shape.agrees(bytes));
    assert!(direct(&guest("", hook, REALLOC, "")));
    for (what, imports, more) in [
        ("a start function", "", "(func $start) (start $start)"),
        ("a function that nobody knows", r#"(import "tamis:filter/request@0.1.0" "other" (func))"#, ""),
        ("another type", r#"(import "tamis:filter/clock@0.1.0" "now-ns" (func (result i32)))"#, ""),
        ("something of others", r#"(import "wasi:clocks/monotonic-clock@0.2.0" "now" (func (result i64)))"#, ""),
        ("another version", r#"(import "tamis:filter/clock@0.2.0" "now-ns" (func (result i64)))"#, ""),
        ("a hook that is not run", "", r#"(func (export "tamis:filter/other-hook@0.1.0#on-other"))"#),
        ("another memory", "", "(memory $other 1)"),
    ] {
        assert!(!direct(&guest(imports, hook, REALLOC, more)), "{what}");
    }
    let newer = r#"(import "tamis:filter/clock@0.1.7" "now-ns" (func (result i64)))"#;
    assert!(Shape::of(&guest(newer, hook, REALLOC, "")).is_some(), "another patch of the package");
    assert!(!component::is_entered_directly(b"\0asm\x01\0\0\0") && !component::is_entered_directly(b"\0asm"));
}
