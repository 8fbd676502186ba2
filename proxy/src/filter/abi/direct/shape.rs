//! Which modules can be entered as such: one memory, the hooks of wit/, nothing imported but functions of wit/, all in the form that
//! the canonical ABI gives them. Whoever has anything else takes the other way, where it is known what to say of it.

use std::collections::BTreeMap;

use wasmparser::{ExternalKind, FuncType, Parser, Payload, TypeRef, ValType};
use wit_component::StringEncoding;
use wit_component::metadata::{self, Bindgen, EncodingMap};
use wit_parser::{Function, Resolve, WorldItem, WorldKey};

use super::contract::{self, Number};
use super::words;
use crate::filter::abi::exports;
use crate::filter::abi::linker::ours;

/// What a core module has, by what its sections say. They need not have been validated.
#[derive(Default)]
pub struct Shape {
    types: Vec<FuncType>,
    /// The type of each function, imported ones first.
    functions: Vec<u32>,
    /// Module, name and function.
    imports: Vec<(String, String)>,
    exports: BTreeMap<String, (ExternalKind, u32)>,
    memories: u32,
    /// It says which world it was built for. Of one that does not, the world is made of wit/ itself.
    names_its_world: bool,
    /// Something that only a component brings along.
    strange: bool,
}

impl Shape {
    /// `None` if the module cannot be entered as such.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        // Only these eight bytes are looked at of a component, which may have tens of megabytes.
        if !bytes.starts_with(b"\0asm\x01\0\0\0") {
            return None;
        }
        let mut shape = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            shape.take(payload.ok()?)?;
        }
        shape.fits().then_some(shape)
    }

    fn take(&mut self, payload: Payload<'_>) -> Option<()> {
        match payload {
            Payload::Version { encoding, .. } => self.strange |= encoding != wasmparser::Encoding::Module,
            Payload::TypeSection(types) => {
                self.types = types.into_iter_err_on_gc_types().collect::<Result<_, _>>().ok()?;
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.ok()?;
                    let TypeRef::Func(ty) = import.ty else { return None };
                    self.functions.push(ty);
                    self.imports.push((import.module.to_owned(), import.name.to_owned()));
                }
            }
            Payload::FunctionSection(functions) => {
                self.functions.extend(functions.into_iter().collect::<Result<Vec<_>, _>>().ok()?);
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    let memory = memory.ok()?;
                    self.strange |= memory.memory64 || memory.shared || memory.page_size_log2.is_some();
                    self.memories += 1;
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.ok()?;
                    self.exports.insert(export.name.to_owned(), (export.kind, export.index));
                }
            }
            Payload::CustomSection(section) => self.names_its_world |= section.name().starts_with("component-type"),
            // It would run before the host knows where the memory is.
            Payload::StartSection { .. } => self.strange = true,
            _ => {}
        }
        Some(())
    }

    fn fits(&self) -> bool {
        let imports = self.imports.iter().enumerate().all(|(index, (module, name))| {
            let function = ours(module).and_then(|interface| contract::import(interface, name));
            function.is_some_and(|function| self.is(index as u32, function.params, function.results))
        });
        let exports = self.exports.iter().all(|(name, (kind, index))| *kind != ExternalKind::Func || self.knows(name, *index));
        let realloc = [Number::I32; 4];
        !self.strange
            && imports
            && exports
            && self.memories == 1
            && self.exports.get("memory").is_some_and(|(kind, _)| *kind == ExternalKind::Memory)
            && self.function("cabi_realloc").is_some_and(|index| self.is(index, &realloc, &realloc[..1]))
            && self.exports.keys().any(|name| hook(name).is_some())
    }

    /// Whether what is known of an exported function holds.
    fn knows(&self, name: &str, index: u32) -> bool {
        let special = ["cm32p2", "canonical_abi_", "cabi_import_", "cabi_export_", "__wasm_init_", "[", "asyncify_", "_start"];
        if let Some(of) = name.strip_prefix("cabi_post_") {
            return hook(of).is_some_and(|function| self.is(index, function.results, &[]));
        }
        match (name, hook(name)) {
            (_, Some(function)) => self.is(index, function.params, function.results),
            ("_initialize", _) => self.is(index, &[], &[]),
            ("cabi_realloc_adapter", _) => false,
            // Of wit-bindgen's own, or of whoever wrote it; nobody calls it.
            _ => !name.contains('#') && !special.iter().any(|special| name.starts_with(special)),
        }
    }

    fn function(&self, name: &str) -> Option<u32> {
        self.exports.get(name).filter(|(kind, _)| *kind == ExternalKind::Func).map(|(_, index)| *index)
    }

    fn is(&self, function: u32, params: &[Number], results: &[Number]) -> bool {
        let ty = self.functions.get(function as usize).and_then(|ty| self.types.get(*ty as usize));
        let alike = |numbers: &[Number], types: &[ValType]| {
            numbers.len() == types.len() && numbers.iter().zip(types).all(|(number, ty)| number.is(*ty))
        };
        ty.is_some_and(|ty| alike(params, ty.params()) && alike(results, ty.results()))
    }

    /// Interface and name of each function that it imports.
    pub fn imports(&self) -> impl Iterator<Item = (&str, &str)> {
        self.imports.iter().filter_map(|(module, name)| Some((ours(module)?, name.as_str())))
    }

    /// Whether it was built for types that are those of wit/, which its core functions do not tell: text looks like bytes there.
    pub fn agrees(&self, bytes: &[u8]) -> bool {
        if !self.names_its_world {
            return true;
        }
        let Ok((_, Bindgen { resolve, world, metadata, .. })) = metadata::decode(bytes) else { return false };
        let world = &resolve.worlds[world];
        let agree = |(module, name): &(String, String), exported: bool| {
            let items = if exported { &world.exports } else { &world.imports };
            let encodings = if exported { &metadata.export_encodings } else { &metadata.import_encodings };
            let known = ours(module).and_then(|interface| match exported {
                true => contract::export(interface, name),
                false => contract::import(interface, name),
            });
            let found =
                items.iter().find_map(|(key, item)| function(&resolve, key, item, module, name).map(|found| (key, found)));
            match (known, found) {
                (Some(known), Some((key, found))) => {
                    words::function(&resolve, found) == known.words && is_utf8(encodings, &resolve, key, name)
                }
                _ => false,
            }
        };
        let exports: Vec<_> = self.exports.keys().filter(|name| hook(name).is_some()).collect();
        let mut exports = exports.iter().filter_map(|name| name.split_once('#'));
        self.imports.iter().all(|import| agree(import, false))
            && exports.all(|(module, name)| agree(&(module.to_owned(), name.to_owned()), true))
    }
}

fn function<'a>(resolve: &'a Resolve, key: &WorldKey, item: &WorldItem, module: &str, name: &str) -> Option<&'a Function> {
    match item {
        WorldItem::Interface { id, .. } if resolve.name_world_key(key) == module => resolve.interfaces[*id].functions.get(name),
        _ => None,
    }
}

fn is_utf8(encodings: &EncodingMap, resolve: &Resolve, key: &WorldKey, name: &str) -> bool {
    encodings.get(resolve, key, name).is_none_or(|encoding| encoding == StringEncoding::UTF8)
}

/// The function of wit/ that is exported under this name: `tamis:filter/request-hook@0.1.0#on-request`.
fn hook(name: &str) -> Option<&'static contract::Function> {
    let (interface, function) = name.split_once('#')?;
    let interface = ours(interface)?;
    exports::functions(interface).contains(&function).then(|| contract::export(interface, function))?
}

impl Number {
    fn is(self, ty: ValType) -> bool {
        matches!(
            (self, ty),
            (Number::I32, ValType::I32) | (Number::I64, ValType::I64) | (Number::F32, ValType::F32) | (Number::F64, ValType::F64)
        )
    }
}
