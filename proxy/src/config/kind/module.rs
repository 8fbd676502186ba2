//! Where the module of a filter comes from. Whether it exists is found when it is loaded.

use std::sync::Arc;

use super::super::read::{Kind, Reader};
use super::super::tree::Node;
use super::super::types::ModuleSource;
use super::super::words::name_problem;
use super::path::File;

const EXPECTED: &str = "\"builtin:NAME\" or the path of a .wasm file";

/// `"builtin:NAME"`, or a path.
pub struct Module;

impl Kind for Module {
    type Value = ModuleSource;

    fn expected(&self) -> String {
        EXPECTED.to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<ModuleSource> {
        let Some(text) = node.as_str() else { return reader.mismatch(EXPECTED, node) };
        if let Some(name) = text.strip_prefix("builtin:") {
            return match name_problem(name) {
                None => Some(ModuleSource::Builtin(Arc::from(name))),
                Some(_) => reader.mismatch(EXPECTED, node),
            };
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return reader.mismatch_with_help(EXPECTED, node, format!("modules by {scheme}:// are not supported yet"));
        }
        File.read(node, reader).map(ModuleSource::Path)
    }

    fn show(&self, value: &ModuleSource) -> String {
        match value {
            ModuleSource::Builtin(name) => format!("\"builtin:{name}\""),
            ModuleSource::Path(path) => File.show(path),
        }
    }
}
