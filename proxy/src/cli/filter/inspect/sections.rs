//! What a module says of itself outside of its code: its memory, who made it, and the schema of its configuration.

use std::collections::BTreeMap;

use serde_json::Value;
use wasmparser::{Encoding, KnownCustom, Parser, Payload};

use crate::filter::schema::{self, SECTION};

/// Bytes of a Wasm page.
const PAGE: u64 = 65536;

/// See the module. Of what cannot be read nothing is told; whether the module is sound, the proxy's own checks say.
#[derive(Debug, Default)]
pub struct Sections {
    pub form: &'static str,
    /// Imports of core modules, as `module.name`. A component's own are not among them.
    pub imports: Vec<String>,
    pub memory_first: Option<usize>,
    pub memory_most: Option<usize>,
    pub producers: BTreeMap<String, BTreeMap<String, String>>,
    pub schema: Option<Value>,
    pub schema_error: Option<String>,
}

impl Sections {
    pub fn read(bytes: &[u8]) -> Self {
        let mut found = Self { form: "file of no known form", ..Self::default() };
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            let Ok(payload) = payload else { break };
            match payload {
                Payload::Version { encoding, .. } => {
                    if depth == 0 {
                        found.form = if encoding == Encoding::Component { "component" } else { "core module" };
                    }
                    depth += 1;
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ImportSection(imports) if found.form == "core module" => {
                    let names = imports.into_imports().flatten().map(|import| format!("{}.{}", import.module, import.name));
                    found.imports.extend(names);
                }
                Payload::MemorySection(memories) => {
                    for memory in memories.into_iter().flatten() {
                        *found.memory_first.get_or_insert(0) += pages(memory.initial);
                        found.memory_most = memory.maximum.map(pages);
                    }
                }
                Payload::CustomSection(section) => {
                    if let KnownCustom::Producers(producers) = section.as_known() {
                        for field in producers.into_iter().flatten() {
                            let values = field.values.into_iter().flatten();
                            let known = found.producers.entry(field.name.to_owned()).or_default();
                            known.extend(values.map(|value| (value.name.to_owned(), value.version.to_owned())));
                        }
                    }
                }
                _ => {}
            }
        }
        if let Some(schema) = schema::section(bytes) {
            found.take_schema(schema);
        }
        found
    }

    fn take_schema(&mut self, bytes: &[u8]) {
        match serde_json::from_slice(bytes) {
            Ok(schema) => self.schema = Some(schema),
            Err(error) => self.schema_error = Some(format!("its section `{SECTION}` is no JSON: {error}")),
        }
    }
}

fn pages(count: u64) -> usize {
    usize::try_from(count.saturating_mul(PAGE)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_module_has_no_sections() {
        for bytes in [&b""[..], b"\0asm", b"\0asm\x01\0\0\0\xff\xff\xff\xff\xff", b"text"] {
            let found = Sections::read(bytes);
            assert!(found.schema.is_none() && found.producers.is_empty(), "{bytes:?}");
        }
    }

    #[test]
    fn a_schema_that_is_no_json_is_told() {
        let mut module = b"\0asm\x01\0\0\0\0".to_vec();
        module.push((1 + SECTION.len() + 1) as u8);
        module.push(SECTION.len() as u8);
        module.extend_from_slice(SECTION.as_bytes());
        module.push(b'{');
        let found = Sections::read(&module);
        assert_eq!((found.form, found.schema), ("core module", None));
        assert!(found.schema_error.is_some());
    }
}
