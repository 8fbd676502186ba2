//! Where modules come from: built in, a file, or a server. What was compiled lately is remembered by content, so that going
//! back to an earlier build of a filter costs no compilation; what was fetched and compiled is kept on disk.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use super::cache::Cache;
use super::fetch;
use super::host::system;
use super::module::{MODULE_BYTES_MAX, digest};
use super::{Engine, LoadError, Module};
use crate::config::{self, ModuleSource, Sha256};
use crate::tls::client::{TrustError, authorities};

include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// Compiled modules that are remembered although nothing uses them.
pub const REMEMBERED_MAX: usize = 64;

/// A module that is so large has a language's runtime inside, which draws random numbers when it begins.
const RUNTIME_BYTES: usize = 4 << 20;

/// Loads modules. Fetches and compiles, so it belongs on a thread that may block.
#[derive(Debug, Clone)]
pub struct Modules {
    engine: Engine,
    config: config::Modules,
    cache: Arc<Cache>,
    /// Trusted besides those of the system.
    authorities: Vec<CertificateDer<'static>>,
    remembered: VecDeque<Arc<Module>>,
}

/// Each source with what became of it.
pub type Loaded<'a> = HashMap<&'a ModuleSource, Result<Arc<Module>, LoadError>>;

impl Modules {
    /// Without a cache, until it is told of one.
    pub fn new(engine: Engine) -> Self {
        let config = config::Modules { cache: config::ModuleCache::Off, ..config::Modules::default() };
        Self { engine, config, cache: Arc::new(Cache::off()), authorities: Vec::new(), remembered: VecDeque::new() }
    }

    /// Does as this configuration says from now on, and reads the files that it names.
    pub fn configure(&mut self, config: &config::Modules) -> Result<(), TrustError> {
        self.authorities = authorities(&config.ca)?;
        if self.config != *config {
            self.cache = Arc::new(Cache::new(config));
            self.config = config.clone();
        }
        Ok(())
    }

    /// With what was compiled here, and configured as that is.
    #[must_use]
    pub fn set_as(self, other: &Self) -> Self {
        Self { remembered: self.remembered, ..other.clone() }
    }

    /// Reads the bytes again, and compiles them unless the same ones were compiled lately.
    pub fn load(&mut self, source: &ModuleSource) -> Result<Arc<Module>, LoadError> {
        self.load_all([source]).remove(source).expect("what is asked for is answered")
    }

    /// The same for bytes that are there already.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Arc<Module>, LoadError> {
        self.keep(Cow::Borrowed(bytes))
    }

    fn keep(&mut self, bytes: Cow<'_, [u8]>) -> Result<Arc<Module>, LoadError> {
        if bytes.len() >= RUNTIME_BYTES {
            system::begin_to_draw();
        }
        let hash = digest(&bytes);
        if let Some(module) = self.recall(&hash.to_string()) {
            return Ok(module);
        }
        let module = Module::build(&self.engine, &self.cache, bytes, hash)?;
        self.remembered.truncate(REMEMBERED_MAX - 1);
        self.remembered.push_front(Arc::clone(&module));
        Ok(module)
    }

    /// Loads each of these once. Those that have to be fetched are fetched side by side.
    pub fn load_all<'a>(&mut self, sources: impl IntoIterator<Item = &'a ModuleSource>) -> Loaded<'a> {
        let mut loaded = Loaded::new();
        let mut absent = Vec::new();
        for source in sources.into_iter().collect::<HashSet<_>>() {
            let outcome = match source {
                ModuleSource::Builtin(name) => built_in(name).and_then(|bytes| self.take(bytes)),
                ModuleSource::Path { path, sha256 } => read_file(path).and_then(|bytes| {
                    sha256.map_or(Ok(()), |expected| check(&bytes, expected))?;
                    self.keep(Cow::Owned(bytes))
                }),
                ModuleSource::Https { url, sha256 } => match self.at_hand(sha256) {
                    Some(outcome) => outcome,
                    None => {
                        absent.push((source, url, *sha256));
                        continue;
                    }
                },
            };
            loaded.insert(source, outcome);
        }
        if !absent.is_empty() {
            self.fetch(&absent, &mut loaded);
        }
        loaded
    }

    /// A module that needs no network, because it is in use or was kept.
    fn at_hand(&mut self, sha256: &Sha256) -> Option<Result<Arc<Module>, LoadError>> {
        self.recall(&sha256.to_string()).map(Ok).or_else(|| {
            let bytes = self.cache.module(sha256)?;
            Some(self.take(&bytes))
        })
    }

    fn fetch<'a>(&mut self, absent: &[(&'a ModuleSource, &'a http::Uri, Sha256)], loaded: &mut Loaded<'a>) {
        let urls: Vec<_> = absent.iter().map(|(_, url, _)| (*url).clone()).collect();
        let came = fetch::all(&urls, &self.authorities, self.config.fetch_timeout, self.config.mark);
        for ((source, _, expected), came) in absent.iter().zip(came) {
            let outcome =
                came.map_err(|error| LoadError::Fetch { url: source.to_string(), error: Box::new(error) }).and_then(|bytes| {
                    check(&bytes, *expected)?;
                    tracing::info!(module = %source, bytes = bytes.len(), "fetched");
                    self.cache.keep_module(expected, &bytes);
                    self.take(&bytes)
                });
            loaded.insert(source, outcome);
        }
    }

    /// What was compiled lately and is in use or not.
    fn recall(&mut self, hash: &str) -> Option<Arc<Module>> {
        let position = self.remembered.iter().position(|module| *module.hash == *hash)?;
        let module = self.remembered.remove(position)?;
        self.remembered.push_front(Arc::clone(&module));
        Some(module)
    }
}

fn check(bytes: &[u8], expected: Sha256) -> Result<(), LoadError> {
    let found = digest(bytes);
    if found == expected { Ok(()) } else { Err(LoadError::Hash { found, expected }) }
}

fn built_in(name: &str) -> Result<&'static [u8], LoadError> {
    match BUILT_IN.iter().find(|(known, _)| *known == name) {
        Some((_, bytes)) => Ok(bytes),
        None => {
            let known: Vec<_> = BUILT_IN.iter().map(|(name, _)| format!("`{name}`")).collect();
            Err(LoadError::NotBuiltIn { name: name.to_string(), known: known.join(", ") })
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, LoadError> {
    let limit = MODULE_BYTES_MAX as u64 + 1;
    let read = || -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        let mut bytes = Vec::with_capacity(usize::try_from(file.metadata()?.len().min(limit)).unwrap_or(0));
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| LoadError::Read { path: path.display().to_string(), source })
}
