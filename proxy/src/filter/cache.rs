//! What is kept of modules on disk, so that a start needs neither the network nor the compiler: bytes that were fetched,
//! by their hash, and compiled code and configured images, by what they were made of and the engine that they were made for.
//!
//! A cache that cannot be used costs time, never more: whatever is wrong with it is told once, and work goes on as if it
//! were empty. Several processes may share a folder: files appear whole and under their final name, or not at all.

pub mod code;
mod entry;
mod folder;
mod sealed;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

use self::code::Code;
use self::entry::Uncopied;
use self::folder::{Distrust, Folder, Trusted};
use super::module::digest;
use crate::config::{self, ModuleCache, Sha256};

/// Of the way from what is hashed into a key to what is compiled, which versions do not tell: raised when it changes.
const WAY: u64 = 2;
/// Different complaints that are remembered so as not to repeat them. Past it, none is made.
const TOLD_MAX: usize = 64;

/// Where compiled code is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiled {
    Now,
    Cache,
}

impl Compiled {
    pub fn word(self) -> &'static str {
        match self {
            Compiled::Now => "now",
            Compiled::Cache => "cache",
        }
    }
}

/// What compiled code is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// The first part says what is made, the others of what. The same bytes cut into other parts are another key.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        Self(bytes(context))
    }

    /// The same as this engine of this version makes it: wasmtime's own version, the CPU's features and all settings
    /// that shape code are part of it.
    fn made_by(self, engine: &wasmtime::Engine) -> Self {
        let mut hasher = Digesting(Context::new(&SHA256));
        hasher.write_u64(WAY);
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.write(&self.0);
        Self(bytes(hasher.0))
    }
}

/// Hashes with the whole strength of a SHA-256, not down to 64 bits.
struct Digesting(Context);

impl Hasher for Digesting {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the digest is taken whole")
    }
}

fn bytes(context: Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// See the module.
#[derive(Debug, Default)]
pub struct Cache {
    /// `None`: nothing is kept.
    folder: Option<PathBuf>,
    bytes_max: u64,
    told: Mutex<BTreeSet<String>>,
}

impl Cache {
    /// Nothing is read or made yet.
    pub fn new(config: &config::Modules) -> Self {
        let folder = match &config.cache {
            ModuleCache::Off => None,
            ModuleCache::Folder(path) => Some(path.clone()),
            ModuleCache::User => users_folder(std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")),
        };
        Self { folder, bytes_max: config.cache_bytes, told: Mutex::default() }
    }

    /// One that keeps nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// The code of this key, compiled if it is not here, and then kept.
    pub fn code<C: Code, E>(
        &self,
        engine: &wasmtime::Engine,
        key: Key,
        compile: impl FnOnce() -> Result<C, E>,
    ) -> Result<(C, Compiled), E> {
        if self.folder.is_none() {
            return Ok((compile()?, Compiled::Now));
        }
        let key = key.made_by(engine);
        if let Some((code, _)) = self.load(engine, key, CODE) {
            return Ok((code, Compiled::Cache));
        }
        let compiled = compile()?;
        if let Some(code) = self.bytes_of(&compiled) {
            self.write(&name(&key.0, CODE), &[&entry::header(key, &[&code]), &code]);
        }
        Ok((compiled, Compiled::Now))
    }

    /// The configured image of this key, with what was noted of it.
    pub fn image<C: Code>(&self, engine: &wasmtime::Engine, key: Key) -> Option<(C, Vec<u8>)> {
        self.folder.as_ref()?;
        let key = key.made_by(engine);
        self.load(engine, key, IMAGE)
    }

    /// Keeps the code of an image, and a note beside it: both are found, or neither.
    pub fn keep_image(&self, engine: &wasmtime::Engine, key: Key, code: &[u8], note: &[u8]) {
        if self.folder.is_none() {
            return;
        }
        let key = key.made_by(engine);
        let length = entry::note_length(note);
        self.write(&name(&key.0, IMAGE), &[&entry::header(key, &[&length, note, code]), &length, note, code]);
    }

    fn bytes_of(&self, code: &impl Code) -> Option<Vec<u8>> {
        code.serialize().map_err(|error| self.tell(format!("compiled code cannot be kept: {error:#}"))).ok()
    }

    /// The bytes with this hash, if they were kept and are still the same.
    pub fn module(&self, sha256: &Sha256) -> Option<Vec<u8>> {
        let name = name(&sha256.0, MODULE);
        let file = self.read(&name)?;
        let found = digest(file.bytes());
        if found != *sha256 {
            self.tell(format!("`{name}` is not used and will be replaced: its SHA-256 is {found}"));
            return None;
        }
        Some(file.into_bytes())
    }

    /// Keeps bytes that have been verified to have this hash.
    pub fn keep_module(&self, sha256: &Sha256, bytes: &[u8]) {
        self.write(&name(&sha256.0, MODULE), &[bytes]);
    }

    /// What the file of this key has: code, and a note if it is an image.
    fn load<C: Code>(&self, engine: &wasmtime::Engine, key: Key, kind: &str) -> Option<(C, Vec<u8>)> {
        let name = name(&key.0, kind);
        let file = self.trusted(&name, Folder::file)?;
        let copied = match entry::copy(key, &file, kind == IMAGE) {
            Ok((note, sealed)) => code::load_sealed(engine, &sealed).map(|code| (code, note)).ok(),
            Err(Uncopied::Damage(damage)) => return self.unusable(&name, damage),
            Err(Uncopied::Io(_)) => None,
        };
        copied.or_else(|| {
            let file = self.read(&name)?;
            Self::loaded(engine, key, kind, &file).map_or_else(|why| self.unusable(&name, why), Some)
        })
    }

    /// The same by way of our own memory, where files without a name cannot be had.
    fn loaded<C: Code>(engine: &wasmtime::Engine, key: Key, kind: &str, file: &Trusted) -> Result<(C, Vec<u8>), String> {
        let verified = entry::verify(key, file).map_err(|damage| damage.to_string())?;
        let (note, code) = match kind {
            IMAGE => verified.split_note().ok_or("it has no note")?,
            _ => (&[][..], verified),
        };
        let code = code::load(engine, &code).map_err(|error| format!("{error:#}"))?;
        Ok((code, note.to_vec()))
    }

    fn unusable<T>(&self, name: &str, why: impl std::fmt::Display) -> Option<T> {
        self.tell(format!("`{name}` is not used and will be replaced: {why}"));
        None
    }

    fn read(&self, name: &str) -> Option<Trusted> {
        self.trusted(name, Folder::read)
    }

    fn trusted<T>(&self, name: &str, take: impl FnOnce(&Folder, &str, u64) -> Result<Option<T>, Distrust>) -> Option<T> {
        take(&self.open()?, name, self.bytes_max).unwrap_or_else(|why| self.unusable(name, why))
    }

    fn write(&self, name: &str, parts: &[&[u8]]) {
        let Some(folder) = self.open() else { return };
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length as u64 > self.bytes_max {
            return self.tell(format!("what has {length} bytes is not kept: the cache may hold {}", self.bytes_max));
        }
        let written = folder.write(name, parts).and_then(|()| folder.shrink(self.bytes_max, is_name));
        if let Err(error) = written {
            self.tell(format!("it cannot be written to: {error}"));
        }
    }

    fn open(&self) -> Option<Folder> {
        let path = self.folder.as_ref()?;
        let refused = |why: Distrust| self.tell(format!("it is not used: {why}"));
        Folder::open(path).map_err(refused).ok()
    }

    /// Says it once.
    fn tell(&self, what: String) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX || told.contains(&what) {
            return;
        }
        let folder = self.folder.clone().unwrap_or_default();
        tracing::warn!(folder = %folder.display(), "the cache of modules: {what}");
        told.insert(what);
    }
}

const CODE: &str = "code";
const MODULE: &str = "wasm";
const IMAGE: &str = "image";

fn name(hash: &[u8; 32], kind: &str) -> String {
    format!("{}.{kind}", Sha256(*hash))
}

/// Whether a file of this name is ours to remove. Nobody knows what else lies in the folder.
fn is_name(name: &str) -> bool {
    name.split_once('.').is_some_and(|(hash, kind)| {
        hash.len() == 64
            && hash.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
            && [CODE, MODULE, IMAGE].contains(&kind)
    })
}

/// As the XDG Base Directory Specification has it: a relative path is as good as none.
fn users_folder(cache: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let folder = cache.and_then(absolute).or_else(|| home.and_then(absolute).map(|home| home.join(".cache")));
    folder.map(|folder| folder.join("tamis"))
}

#[cfg(test)]
mod tests;
