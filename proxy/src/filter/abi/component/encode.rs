//! Core modules as components: what a toolchain does not add is added here.
//!
//! - Which world it is for. Modules of wit-bindgen say so in a custom section; of any other, the names of its exports do.
//! - WASI 0.1, which the libraries of many languages want: `wasip1.wat`.
//! - `cabi_realloc`, for a guest that imports its own from `tamis`: `arena.wat` says why.
//!
//! So whatever compiles to WebAssembly and has imports and exports of the right names is a filter.

use std::borrow::Cow;
use std::collections::BTreeSet;

use wasmparser::{Parser, Payload, TypeRef};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

include!(concat!(env!("OUT_DIR"), "/wit.rs"));

/// The package of wit/, as it stands before the names of interfaces.
const PACKAGE: &str = "tamis:filter/";
const VERSION: &str = "0.1.0";

const WASI: &str = "wasi_snapshot_preview1";
static WASI_MODULE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/wasip1.wasm"));
/// The same for a module that lends its room: the line that has no end yet lies where Go leaves a place, in no page of its own.
static WASI_MODULE_LENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/wasip1_go.wasm"));
/// What `wasip1.wat` imports, and where that is told.
const WASI_WORLD: &str = "package tamis:wasip1; world found {
    import tamis:filter/log@0.1.0;
    import tamis:filter/clock@0.1.0;
    import tamis:filter/entropy@0.1.0;
}";
const WASI_FILES: [&str; 2] = ["wit/telemetry.wit", "wit/system.wit"];

const ARENA: &str = "tamis";
static ARENA_MODULE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/arena.wasm"));
const REALLOC: &str = "realloc";

/// A component made of a core module that was validated.
pub fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let surface = Surface::of(module)?;
    let mut bytes = Cow::Borrowed(module);
    if let (Some(index), false) = (surface.realloc, surface.exports_realloc) {
        bytes = with_export(&bytes, "cabi_realloc", index)?.into();
    }
    if !surface.names_its_world && !surface.hooks.is_empty() {
        let version = &surface.version;
        let known = |name: &str| WIT.iter().any(|(_, text)| text.contains(&format!("interface {name} {{")));
        if let Some(unknown) = surface.hooks.iter().find(|name| !known(name)) {
            anyhow::bail!("it exports `{PACKAGE}{unknown}`, and there is no such interface");
        }
        let exports = surface.hooks.iter().map(|name| format!("export {PACKAGE}{name}@{version};"));
        let items: String = [format!("include {PACKAGE}imports@{version};")].into_iter().chain(exports).collect();
        let files = WIT.iter().map(|(file, text)| (*file, text.replace(&format!("@{VERSION};"), &format!("@{version};"))));
        name_world(bytes.to_mut(), files, &format!("package tamis:module; world found {{ {items} }}"))?;
    }
    let mut encoder = ComponentEncoder::default().validate(true).module(&bytes)?;
    if surface.wants_wasi {
        let mut wasi = if surface.lends { WASI_MODULE_LENT } else { WASI_MODULE }.to_vec();
        // Only what it needs: a module may know fewer interfaces than this proxy, and whole packages would not agree.
        let files = WIT.iter().filter(|(file, _)| WASI_FILES.contains(file));
        let package = ("package.wit", format!("package tamis:filter@{VERSION};"));
        let files = files.map(|(file, text)| (*file, (*text).to_owned())).chain([package]);
        name_world(&mut wasi, files, WASI_WORLD)?;
        encoder = encoder.adapter(WASI, &wasi)?;
    }
    if surface.wants_arena {
        encoder = encoder.adapter(ARENA, ARENA_MODULE)?;
    }
    encoder.encode()
}

/// What a core module shows.
#[derive(Default)]
struct Surface {
    names_its_world: bool,
    /// The interfaces of ours that it exports, by name.
    hooks: BTreeSet<String>,
    /// The version that it names them with.
    version: String,
    wants_wasi: bool,
    wants_arena: bool,
    /// Nobody else may grow its memory.
    lends: bool,
    /// The index of the function that it imports for room.
    realloc: Option<u32>,
    exports_realloc: bool,
}

impl Surface {
    fn of(module: &[u8]) -> anyhow::Result<Self> {
        let mut surface = Self { version: VERSION.to_owned(), ..Self::default() };
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(imports) => {
                    let mut functions = 0;
                    for import in imports.into_imports() {
                        let import = import?;
                        surface.wants_wasi |= import.module == WASI;
                        surface.wants_arena |= import.module == ARENA;
                        surface.lends |= import.module == ARENA && import.name == "lend";
                        if import.module == ARENA && import.name == REALLOC {
                            surface.realloc = Some(functions);
                        }
                        functions += u32::from(matches!(import.ty, TypeRef::Func(_)));
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        surface.take_export(export?.name);
                    }
                }
                Payload::CustomSection(section) => {
                    surface.names_its_world |= section.name().starts_with("component-type");
                }
                _ => {}
            }
        }
        Ok(surface)
    }

    /// `tamis:filter/request-hook@0.1.0#on-request`
    fn take_export(&mut self, export: &str) {
        self.exports_realloc |= export == "cabi_realloc";
        let ours = export.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('#'));
        if let Some((name, version)) = ours.and_then(|(interface, _)| interface.split_once('@')) {
            self.hooks.insert(name.to_owned());
            self.version = version.to_owned();
        }
    }
}

/// Says in a custom section what the module imports and exports: the only world of the package, which knows the files of ours.
fn name_world<'a>(module: &mut Vec<u8>, files: impl Iterator<Item = (&'a str, String)>, package: &str) -> anyhow::Result<()> {
    let mut sources = SourceMap::new();
    files.for_each(|(file, text)| sources.push_str(file, text));
    let group = sources.parse().map_err(|(_, error)| anyhow::anyhow!("{error}"))?;
    let mut resolve = Resolve::new();
    resolve.push_group(group)?;
    let package = resolve.push_source("world.wit", package)?;
    let world = resolve.select_world(&[package], None)?;
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8)
}

/// The module with one export more, of a function.
fn with_export(module: &[u8], name: &str, function: u32) -> anyhow::Result<Vec<u8>> {
    let mut made = Vec::with_capacity(module.len() + 32);
    made.extend_from_slice(&module[..8]);
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        let Some((id, range)) = payload.as_section() else { continue };
        let end = range.end;
        let content = &module[range];
        if let Payload::ExportSection(exports) = payload {
            let count = exports.count();
            let first = exports.into_iter_with_offsets().next().transpose()?.map_or(end, |(offset, _)| offset);
            let entries = &module[first..end];
            let length = u32::try_from(name.len())?;
            let entry = [&unsigned(length)[..], name.as_bytes(), &[EXPORTED_FUNCTION], &unsigned(function)].concat();
            section(&mut made, id, &[&unsigned(count + 1)[..], entries, &entry].concat())?;
        } else {
            section(&mut made, id, content)?;
        }
    }
    Ok(made)
}

/// The kind of an export, as it is written.
const EXPORTED_FUNCTION: u8 = 0;

fn section(module: &mut Vec<u8>, id: u8, content: &[u8]) -> anyhow::Result<()> {
    module.push(id);
    module.extend(unsigned(u32::try_from(content.len())?));
    module.extend_from_slice(content);
    Ok(())
}

/// LEB128.
fn unsigned(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Engine;

    /// The names of what a module's component imports and exports; or why there is none.
    fn component_of(wat: &str) -> Result<Vec<String>, String> {
        let module = wat::parse_str(wat).expect("it is a module");
        let made = encode(&module).map_err(|error| format!("{error:#}"))?;
        let engine = Engine::new(1, crate::filter::Entry::Component).expect("there is an engine");
        let component = wasmtime::component::Component::from_binary(engine.wasmtime(), &made).expect("it compiles");
        let types = component.component_type();
        let imports = types.imports(engine.wasmtime()).map(|(name, _)| format!("import {name}"));
        let exports = types.exports(engine.wasmtime()).map(|(name, _)| format!("export {name}"));
        Ok(imports.chain(exports).collect())
    }

    #[test]
    fn the_names_of_exports_say_the_world() {
        let plain = |version: &str| {
            component_of(&format!(
                r#"(module
                    (import "tamis:filter/request@{version}" "id" (func (param i32)))
                    (import "tamis" "realloc" (func (param i32 i32 i32 i32) (result i32)))
                    (memory (export "memory") 1)
                    (func (export "tamis:filter/tick-hook@{version}#on-tick")))"#
            ))
        };
        assert_eq!(
            plain("0.1.0").expect("it is a filter"),
            ["import tamis:filter/request@0.1.0", "export tamis:filter/tick-hook@0.1.0"]
        );
        // What a later 0.1 is called decides the host; the names stay as they are.
        assert_eq!(plain("0.1.7").expect("it is a filter")[1], "export tamis:filter/tick-hook@0.1.7");
    }

    #[test]
    fn wasi_is_told_in_our_own_words() {
        let wasi = |function: &str, ty: &str| {
            component_of(&format!(
                r#"(module
                    (import "wasi_snapshot_preview1" "{function}" (func {ty}))
                    (memory (export "memory") 1)
                    (func (export "tamis:filter/tick-hook@0.1.0#on-tick")))"#
            ))
        };
        let hook = "export tamis:filter/tick-hook@0.1.0".to_owned();
        let write = wasi("fd_write", "(param i32 i32 i32 i32) (result i32)").expect("it is a filter");
        assert_eq!(write, ["import tamis:filter/log@0.1.0".to_owned(), hook.clone()]);
        // Nothing is imported that is not needed.
        assert_eq!(wasi("fd_sync", "(param i32) (result i32)").expect("it is a filter"), [hook]);
        let unknown = wasi("fd_invent", "(param i32) (result i32)").expect_err("there is no such function");
        assert!(unknown.contains("fd_invent"), "{unknown}");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (import, named) in [
            (r#"(import "tamis:filter/request@0.1.0" "fortune" (func))"#, "fortune"),
            (r#"(import "env" "puts" (func))"#, "env"),
            (r#"(import "tamis:filter/request@0.1.0" "id" (func))"#, "id"),
        ] {
            let hook = r#"(func (export "tamis:filter/tick-hook@0.1.0#on-tick"))"#;
            let refused = component_of(&format!("(module {import} (memory (export \"memory\") 1) {hook})"));
            assert!(refused.as_ref().is_err_and(|why| why.contains(named)), "{import}: {refused:?}");
        }
        let unknown = component_of(r#"(module (func (export "tamis:filter/fortune-hook@0.1.0#on-fortune")))"#);
        assert!(unknown.as_ref().is_err_and(|why| why.contains("fortune-hook")), "{unknown:?}");
    }
}
