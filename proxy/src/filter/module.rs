//! A module: bytes that were checked, compiled and linked, ready to be instantiated on any worker.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::abi::Prepared;
use super::cache::{Cache, Compiled};
use super::fetch::FetchError;
use super::schema::{SECTION, Schema};
use super::{Engine, Fault};
use crate::config::Sha256;

/// Bytes of a module before it is compiled. Language runtimes with everything inside stay under it.
pub const MODULE_BYTES_MAX: usize = 64 << 20;

/// Why a module cannot be used. Whatever served before goes on serving.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read `{path}`: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("`{url}` cannot be fetched: {error}")]
    Fetch { url: String, error: Box<FetchError> },
    #[error("the module is another one: its SHA-256 is {found}, expected {expected}")]
    Hash { found: Sha256, expected: Sha256 },
    #[error("no filter named `{name}` is built in; there are {known}")]
    NotBuiltIn { name: String, known: String },
    #[error("the module has {found} bytes, expected at most {MODULE_BYTES_MAX}")]
    TooLarge { found: usize },
    #[error("expected a WebAssembly module, found something else (the first bytes are {found:02x?})")]
    NotWasm { found: Vec<u8> },
    #[error("the core module is no filter: {0}")]
    NotAFilter(String),
    #[error("the module does not compile: {0}")]
    Compile(String),
    #[error("the module imports what this version does not offer: {}", .0.join(", "))]
    Imports(Vec<String>),
    #[error("the module exports hooks that this version does not run: {}", .0.join(", "))]
    Exports(Vec<String>),
    #[error("the module exports no hook of `{0}`")]
    NoHooks(&'static str),
    #[error("the module does not fit this version: {0}")]
    Link(String),
    #[error("its {0} version: {1}")]
    Beside(&'static str, Box<LoadError>),
    #[error("its section `{SECTION}` holds no JSON Schema: {0}")]
    Schema(String),
    /// What the filter's own `configure` said, and what the schema found besides. Never empty.
    #[error("{}", .0.join("; "))]
    Refused(Vec<String>),
    #[error("while it was configured, {0}")]
    Fault(#[from] Fault),
}

/// Compiled code, shared by every filter that names the same bytes.
pub struct Module {
    /// SHA-256 of the bytes, in hexadecimal.
    pub hash: Arc<str>,
    /// Whether its code was compiled for it, or taken from the cache.
    pub compiled: Compiled,
    pub prepared: Prepared,
    /// What its configuration looks like, if it says so.
    pub schema: Option<Schema>,
    /// What made it, and makes its images.
    pub engine: Engine,
    pub cache: Arc<Cache>,
    /// How many bytes it was made of.
    pub length: usize,
    /// What it was made of; empty if no image can be made of it.
    pub bytes: Box<[u8]>,
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Module({})", self.hash)
    }
}

impl Module {
    /// Compiles, unless the cache has the code, and checks. Takes 50 ms to seconds: never on a worker.
    /// `hash` is that of the bytes, which are looked at once: the largest take ten milliseconds.
    pub fn build(engine: &Engine, cache: &Arc<Cache>, bytes: Cow<'_, [u8]>, hash: Sha256) -> Result<Arc<Self>, LoadError> {
        if bytes.len() > MODULE_BYTES_MAX {
            return Err(LoadError::TooLarge { found: bytes.len() });
        }
        let (prepared, compiled) = Prepared::build(engine, cache, &bytes, &hash)?;
        let schema = Schema::of(&bytes).map_err(LoadError::Schema)?;
        let length = bytes.len();
        let kept = if prepared.foreign().is_none() { bytes.into_owned() } else { Vec::new() };
        Ok(Arc::new(Self {
            hash: hash.to_string().into(),
            compiled,
            prepared,
            schema,
            engine: engine.clone(),
            cache: Arc::clone(cache),
            length,
            bytes: kept.into(),
        }))
    }
}

pub fn digest(bytes: &[u8]) -> Sha256 {
    let mut sha256 = Sha256([0; 32]);
    sha256.0.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    sha256
}

/// SHA-256 in hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    digest(bytes).to_string()
}
