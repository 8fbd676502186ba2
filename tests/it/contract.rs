//! The published interface is covered: each function of it is used by a guest of these tests and offered by the host, each hook
//! is exported by a guest.

use std::collections::BTreeSet;

use tamis::filter::{Engine, Entry};
use tamis_tests::command::repository;
use tamis_tests::guest;
use wasmparser::{Parser, Payload};
use wit_parser::{InterfaceId, Resolve, WorldItem, WorldKey};

type Functions = BTreeSet<String>;

/// `interface#function` of what a world of wit/ imports or exports.
fn published(world: &str, items: impl Fn(&wit_parser::World) -> Vec<(WorldKey, WorldItem)>) -> Functions {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(repository().join("wit")).expect("wit/ is well-formed");
    let world = resolve.select_world(&[package], Some(world)).expect("wit/ has this world");
    let functions = |id: InterfaceId| {
        let interface = &resolve.interfaces[id];
        let name = interface.name.clone().expect("interfaces of wit/ have names");
        interface.functions.keys().map(move |function| format!("{name}#{function}")).collect::<Vec<_>>()
    };
    let interfaces = items(&resolve.worlds[world]).into_iter().filter_map(|(_, item)| match item {
        WorldItem::Interface { id, .. } => Some(id),
        _ => None,
    });
    interfaces.flat_map(functions).collect()
}

fn imports() -> Functions {
    published("imports", |world| world.imports.clone().into_iter().collect())
}

fn hooks() -> Functions {
    let of = |world| published(world, |world| world.exports.clone().into_iter().collect());
    of("http-filter").union(&of("tcp-filter")).cloned().collect()
}

/// `interface#function` of `tamis:filter/interface@0.1.0` and a function.
fn ours(interface: &str, function: &str) -> Option<String> {
    let (name, _version) = interface.strip_prefix("tamis:filter/")?.split_once('@')?;
    Some(format!("{name}#{function}"))
}

/// What the modules of all guests import and export.
fn used() -> (Functions, Functions) {
    let (mut imported, mut exported) = (Functions::new(), Functions::new());
    for entry in std::fs::read_dir(repository().join("tests/guests")).unwrap() {
        let path = entry.unwrap().path();
        if !path.join("Cargo.toml").exists() || path.ends_with("wasi") {
            continue;
        }
        let bytes = guest(&path.file_name().unwrap().to_string_lossy()).bytes();
        for payload in Parser::new(0).parse_all(&bytes) {
            match payload.expect("a guest is valid") {
                Payload::ImportSection(section) => {
                    let imports = section.into_imports().map(|import| import.expect("an import"));
                    imported.extend(imports.filter_map(|import| ours(import.module, import.name)));
                }
                Payload::ExportSection(section) => {
                    let names = section.into_iter().map(|export| export.expect("an export").name);
                    exported.extend(names.filter_map(|name| name.split_once('#').and_then(|(hook, name)| ours(hook, name))));
                }
                _ => {}
            }
        }
    }
    (imported, exported)
}

fn missing<'a>(wanted: &'a Functions, there: &'a Functions) -> Vec<&'a String> {
    wanted.difference(there).collect()
}

#[test]
fn each_function_is_used_by_a_guest() {
    let (imported, _) = used();
    let published = imports();
    assert!(published.len() > 60, "wit/ was read: {published:?}");
    assert_eq!(missing(&published, &imported), [] as [&String; 0], "no guest of tests/guests calls these");
}

#[test]
fn each_hook_is_exported_by_a_guest() {
    let (_, exported) = used();
    assert_eq!(missing(&hooks(), &exported), [] as [&String; 0], "no guest of tests/guests exports these");
}

#[test]
fn the_host_offers_each_function_and_no_other() {
    let engine = Engine::new(1, Entry::Direct).expect("an engine can be made");
    let offered: Functions = engine.linker().functions().map(|(interface, function)| format!("{interface}#{function}")).collect();
    let published = imports();
    assert_eq!(missing(&published, &offered), [] as [&String; 0], "published, and not offered");
    assert_eq!(missing(&offered, &published), [] as [&String; 0], "offered, and not published");
}
