//! Where modules come from: built in, or a file. What was compiled lately is remembered by content, so that going back
//! to an earlier build of a filter costs no compilation.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::module::{MODULE_BYTES_MAX, hash};
use super::{Engine, LoadError, Module};
use crate::config::ModuleSource;

include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// Compiled modules that are remembered although nothing uses them.
pub const REMEMBERED_MAX: usize = 64;

/// Loads modules. Compiles, so it belongs on a thread that may block.
#[derive(Debug, Clone)]
pub struct Modules {
    engine: Engine,
    remembered: VecDeque<Arc<Module>>,
}

impl Modules {
    pub fn new(engine: Engine) -> Self {
        Self { engine, remembered: VecDeque::new() }
    }

    /// Reads the bytes again, and compiles them unless the same ones were compiled lately.
    pub fn load(&mut self, source: &ModuleSource) -> Result<Arc<Module>, LoadError> {
        let bytes = read(source)?;
        self.take(&bytes)
    }

    /// The same for bytes that are there already.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Arc<Module>, LoadError> {
        let hash = hash(bytes);
        let known = self.remembered.iter().position(|module| *module.hash == hash);
        let module = match known.and_then(|position| self.remembered.remove(position)) {
            Some(module) => module,
            None => Module::build(&self.engine, bytes)?,
        };
        self.remembered.truncate(REMEMBERED_MAX - 1);
        self.remembered.push_front(Arc::clone(&module));
        Ok(module)
    }
}

fn read(source: &ModuleSource) -> Result<Cow<'static, [u8]>, LoadError> {
    match source {
        ModuleSource::Builtin(name) => match BUILT_IN.iter().find(|(known, _)| *known == &**name) {
            Some((_, bytes)) => Ok(Cow::Borrowed(bytes)),
            None => {
                let known: Vec<_> = BUILT_IN.iter().map(|(name, _)| format!("`{name}`")).collect();
                Err(LoadError::NotBuiltIn { name: name.to_string(), known: known.join(", ") })
            }
        },
        ModuleSource::Path(path) => read_file(path).map(Cow::Owned),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    let limit = MODULE_BYTES_MAX as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|source| LoadError::Read { path: path.display().to_string(), source })?;
    Ok(bytes)
}
