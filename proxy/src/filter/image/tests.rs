//! Tiny components, made to have what a copy could lose or share, and those that cannot be copied.

use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::config::{self, ModuleCache};
use crate::filter::abi::Call;
use crate::filter::cache::Cache;
use crate::filter::hand::Hand;
use crate::filter::host::inputs::Input;
use crate::filter::module::digest;
use crate::filter::{Engine, Entry, Grants, Hook, Reach, Taken, Verdict, host};

/// A component whose core module has this in it, with `on-request` among what it exports. What the type of an exported
/// function names has to be exported itself: that takes a component inside, as wit-component makes one.
fn component(imports: &str, core: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            {imports}
            (core module $m {core})
            (core instance $i (instantiate $m))
            (type $verdict (enum "next" "replied" "reset"))
            (func $hook (result $verdict) (canon lift (core func $i "on-request")))
            (component $names
                (import "verdict" (type $v (eq $verdict)))
                (import "on-request" (func $f (result $v)))
                (export $named "verdict" (type $v))
                (export "on-request" (func $f) (func (result $named)))
            )
            (instance $hooks (instantiate $names (with "verdict" (type $verdict)) (with "on-request" (func $hook))))
            (export "tamis:filter/request-hook@0.1.0" (instance $hooks))
        )"#
    );
    wat::parse_str(text).expect("a component of this test")
}

/// Counts its starts and its requests in memory and in globals; says `reset` unless both are what the first request of a
/// copy sees.
const COUNTING: &str = r#"
    (memory (export "memory") 1)
    (data (i32.const 100) "data")
    (global $starts (mut i32) (i32.const 0))
    (global $long (mut i64) (i64.const 0))
    (global $single (mut f32) (f32.const 0))
    (global $double (mut f64) (f64.const 0))
    (func $start
        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
        (global.set $starts (i32.add (global.get $starts) (i32.const 1)))
        (global.set $long (i64.const -5000000000))
        (global.set $single (f32.const 1.5))
        (global.set $double (f64.const -0.1))
        (i32.store8 (i32.const 100) (i32.const 68))
        (i32.store (i32.const 65532) (i32.const 77)))
    (start $start)
    (func (export "on-request") (result i32)
        (i32.store (i32.const 4) (i32.add (i32.load (i32.const 4)) (i32.const 1)))
        (if (result i32) (i32.and (i32.and (i32.and
                (i32.and (i32.eq (i32.load (i32.const 0)) (i32.const 1)) (i32.eq (i32.load (i32.const 4)) (i32.const 1)))
                (i32.and (i32.eq (global.get $starts) (i32.const 1)) (i64.eq (global.get $long) (i64.const -5000000000))))
                (i32.and (f32.eq (global.get $single) (f32.const 1.5)) (f64.eq (global.get $double) (f64.const -0.1))))
                (i32.and (i32.eq (i32.load (i32.const 100)) (i32.const 0x61746144)) (i32.eq (i32.load (i32.const 65532)) (i32.const 77))))
            (then (i32.const 0)) (else (i32.const 2))))
"#;

fn module(cache: Cache, bytes: &[u8]) -> Arc<Module> {
    Module::build(&Engine::new(10, Entry::Direct).expect("an engine"), &Arc::new(cache), bytes.into(), digest(bytes))
        .expect("a filter")
}

fn identity(filter: &str, taken: Taken) -> Arc<Identity> {
    let text = format!("[listeners.l]\nlisten = '127.0.0.1:0'\n[filters.f]\nmodule = 'f.wasm'\n{filter}");
    let loaded = config::parse(&text, Path::new("test.toml")).expect("a configuration of this test");
    Arc::new(Identity {
        name: "f".into(),
        config: Arc::clone(&loaded.config.filters["f"]),
        grants: Grants::default(),
        log: host::log::Gate::default(),
        usage: Arc::default(),
        taken,
        instruments: std::sync::OnceLock::new(),
        meters: Arc::default(),
    })
}

fn plain() -> Arc<Identity> {
    identity("", Taken::default())
}

fn make(bytes: &[u8]) -> Result<Made, Unfit> {
    Image::make(&module(Cache::off(), bytes), &plain(), "{}", &Inputs::default())
}

fn request(instance: &mut Instance) -> Verdict {
    let mut hand = Hand::empty(Hook::Request, &Arc::<Reach>::default());
    block_on(false, instance.call(Call::Request, &mut hand)).expect("nothing waits").expect("it does not fail")
}

#[test]
fn every_instance_begins_where_the_first_one_ended() {
    let (image, mut first, setup) = make(&component("", COUNTING)).expect("an image");
    assert!(setup.wants(Hook::Request) && !setup.wants(Hook::Response));
    assert_eq!(request(&mut first), Verdict::Next, "a start function has run once");
    assert_eq!(request(&mut first), Verdict::Reset, "it sees what it wrote itself");
    let mut second = block_on(false, image.instantiate(&plain())).expect("nothing waits").expect("an instance");
    assert_eq!(request(&mut second), Verdict::Next, "and no other does");
}

/// The page that shows the memory is neither charged nor copied.
#[test]
fn an_image_has_the_memory_that_was_used_and_no_more() {
    let identity = identity("memory = '64KiB'", Taken::default());
    let module = module(Cache::off(), &component("", COUNTING));
    let (_, mut instance, _) = Image::make(&module, &identity, "{}", &Inputs::default()).expect("an image");
    assert_eq!((instance.memory_bytes(), request(&mut instance)), (64 << 10, Verdict::Next));
}

#[test]
fn what_cannot_be_copied_is_refused_with_the_reason() {
    let hook = r#"(func (export "on-request") (result i32) (i32.const 0))"#;
    let clock = r#"(import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "now" (func (result u64)))))"#;
    let cases = [
        (clock, "(memory 1)", "it imports `wasi:clocks/monotonic-clock@0.2.0`"),
        ("", r#"(memory (export "m") 1 1)"#, "it does not show what it has"),
        ("", "(table 1 funcref) (func (table.set (i32.const 0) (ref.null func)))", "`table.set`"),
        ("", "(memory 1) (data $d \"x\") (func (data.drop $d))", "`data.drop`"),
        ("", "(global (mut v128) (v128.const i32x4 1 2 3 4))", "v128"),
        ("", "(global (mut funcref) (ref.null func))", "reference type"),
    ];
    for (imports, core, part) in cases {
        let said = make(&component(imports, &format!("{core}{hook}"))).expect_err(core).to_string();
        assert!(said.contains(part), "{core}: {said}");
    }
}

/// wizer takes it for granted that a module with a memory exports something; and that memories have 32 bits.
#[test]
fn what_wizer_does_not_foresee_is_refused_as_well() {
    let hook = r#"(func (export "on-request") (result i32) (i32.const 0))"#;
    let silent = "(core module $silent (memory 1)) (core instance (instantiate $silent))";
    assert!(matches!(make(&component(silent, hook)), Err(Unfit::Shape(_))));
    assert!(make(&component("", &format!(r#"(memory (export "m") i64 1) {hook}"#))).is_err());
}

#[test]
fn a_kept_image_is_found_again_for_the_same_and_nothing_else() {
    let folder = TempDir::new().expect("a folder");
    let cache = || {
        let cache = ModuleCache::Folder(folder.path().to_owned());
        Cache::new(&config::Modules { cache, ..config::Modules::default() })
    };
    let bytes = component("", COUNTING);
    let inputs = |content: &[u8]| -> Inputs { Arc::new([Input { name: "list".into(), content: content.into() }]) };
    let (identity, given) = (plain(), inputs(b"1-2"));
    let first = module(cache(), &bytes);
    assert!(Image::kept(&first, &identity, "{}", &given).is_none());
    let (made, _, setup) = Image::make(&first, &identity, "{}", &given).expect("an image");
    assert_eq!(made.compiled, Compiled::Now);

    let second = module(cache(), &bytes);
    assert_eq!(second.compiled, Compiled::Cache);
    let (image, mut instance, kept) = Image::kept(&second, &identity, "{}", &given).expect("it was kept");
    assert_eq!((image.compiled, kept, request(&mut instance)), (Compiled::Cache, setup, Verdict::Next));

    assert!(Image::kept(&second, &identity, "{ }", &given).is_none(), "another configuration");
    assert!(Image::kept(&second, &identity, "{}", &inputs(b"1-3")).is_none(), "another input");
    assert!(Image::kept(&second, &identity, "{}", &Inputs::default()).is_none(), "no input");
    let smaller = self::identity("memory = '1MiB'", Taken::default());
    assert!(Image::kept(&second, &smaller, "{}", &given).is_none(), "what it may use");
    let environment = self::identity("allow = { environment = { REGION = 'eu' } }", Taken::default());
    assert!(Image::kept(&second, &environment, "{}", &given).is_none(), "what it may reach");
    let storing = self::identity("allow = { stores = ['s'] }\n[stores.s]", Taken::default());
    Image::make(&second, &storing, "{}", &given).expect("an image");
    assert!(Image::kept(&second, &storing, "{}", &given).is_none(), "it may leave something in a store");
    let other = module(cache(), &component("", &COUNTING.replace("-0.1", "-0.2")));
    assert!(Image::kept(&other, &identity, "{}", &given).is_none(), "another module");
}
