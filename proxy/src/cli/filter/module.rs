//! The module that a command is about: a file, or one of those that are built in.

use std::path::Path;

use super::say::Trouble;
use crate::config::{self, ModuleSource};
use crate::filter::cache::Cache;
use crate::filter::module::MODULE_BYTES_MAX;
use crate::filter::source::{BUILT_IN, Modules};
use crate::filter::{Engine, Entry};

/// See the module.
#[derive(Debug)]
pub struct Named {
    /// As the user wrote it.
    pub shown: String,
    /// A name that a filter can have in a configuration.
    pub name: String,
    pub source: ModuleSource,
    pub bytes: Vec<u8>,
}

impl Named {
    pub fn read(module: &Path) -> Result<Self, Trouble> {
        let shown = module.display().to_string();
        if let Some(name) = shown.strip_prefix("builtin:") {
            let Some((_, bytes)) = BUILT_IN.iter().find(|(known, _)| *known == name) else {
                let known: Vec<_> = BUILT_IN.iter().map(|(name, _)| format!("`builtin:{name}`")).collect();
                return Err(
                    Trouble::new(format!("no filter named `{name}` is built in")).hint(format!("there are {}", known.join(", ")))
                );
            };
            let name = name.to_owned();
            return Ok(Self { source: ModuleSource::Builtin(name.as_str().into()), name, shown, bytes: bytes.to_vec() });
        }
        let bytes = std::fs::read(module).map_err(|error| {
            let trouble = Trouble::new(format!("cannot read {shown}: {error}"));
            if super::build::is_project(module) {
                trouble.hint(format!("`tamis filter build {shown}` builds that project and says where its module is"))
            } else {
                trouble.hint("expected a module, such as `tamis filter build` makes")
            }
        })?;
        if bytes.len() > MODULE_BYTES_MAX {
            return Err(Trouble::new(format!("{shown} has {} bytes; a module has at most {MODULE_BYTES_MAX}", bytes.len())));
        }
        let path = std::path::absolute(module).unwrap_or_else(|_| module.to_owned());
        let stem = module.file_stem().unwrap_or_default().to_string_lossy();
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let name = if !stem.is_empty() && stem.len() <= 128 && stem.chars().all(sound) {
            stem.into_owned()
        } else {
            "filter".to_owned()
        };
        Ok(Self { shown, name, source: ModuleSource::Path { path, sha256: None }, bytes })
    }
}

/// What proxies of this user keep of modules: a large one, compiled once by any command, is at hand for all of them.
pub fn cache() -> Cache {
    Cache::new(&config::Modules::default())
}

/// Modules, with that cache.
pub fn modules(instances: usize) -> Result<Modules, Trouble> {
    let mut modules = Modules::new(engine(instances)?);
    modules.configure(&config::Modules::default()).map_err(|error| Trouble::new(error.to_string()))?;
    Ok(modules)
}

/// An engine for so many instances at once.
pub fn engine(instances: usize) -> Result<Engine, Trouble> {
    Engine::new(instances, Entry::Direct).map_err(|error| Trouble::new(format!("the Wasm engine cannot be set up: {error:#}")))
}
