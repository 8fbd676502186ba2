//! What was pushed, and where it is kept: in the state directory, or without one in memory until the process ends. What
//! is asked of either is the same. Nothing here decides what is live.

mod configs;
mod directory;
mod manifest;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::admin::configs::Configs;
use crate::admin::versions::{Part, Versions};
use directory::Directory;

/// The versions of every filter over which something was pushed.
pub type AllVersions = BTreeMap<Arc<str>, Arc<Versions>>;

/// Why something cannot be kept, or what was kept cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("cannot {doing} `{path}`: {source}")]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("`{0}` is in use by another process; expected a state directory of this one's own")]
    InUse(PathBuf),
    #[error("`{path}` can be changed by others (its mode is {mode:o}); expected at most 755, for what is in it is run")]
    Open { path: PathBuf, mode: u32 },
    #[error("`{0}` has files in it and is no state directory; expected an empty folder, one of tamis, or none")]
    Foreign(PathBuf),
    #[error("`{path}` is of format {found:?}; expected {expected:?}, which this version of tamis writes")]
    Format { path: PathBuf, found: String, expected: String },
    #[error("the proxy is leaving, and keeps nothing more")]
    Closed,
    #[error("`{path}` is not what was kept there: {why}; restore it, or move it away to begin without it")]
    Damaged { path: PathBuf, why: String },
}

impl StateError {
    /// There is no room for it.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }

    /// What was kept is not there any more, or is something else. After any other error it may be whole.
    fn is_loss(&self) -> bool {
        use io::ErrorKind::{InvalidData, NotFound};
        match self {
            Self::Damaged { .. } => true,
            Self::Io { source, .. } => matches!(source.kind(), NotFound | InvalidData),
            _ => false,
        }
    }

    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}

/// Something that was pushed.
#[derive(Debug, Clone)]
pub struct Blob {
    pub part: Part,
    pub hash: Arc<str>,
    pub bytes: Bytes,
}

/// By the name of the filter, the part and the hash.
type Held = BTreeMap<(Arc<str>, Part, Arc<str>), Bytes>;

/// See the module.
#[derive(Debug)]
pub enum Shelf {
    Memory(Mutex<Held>),
    Directory(Directory),
}

impl Shelf {
    /// With everything that is kept there, all of it as whole as it was.
    /// `lock`: of this directory, from whoever had it before.
    pub fn open(directory: Option<&Path>, lock: Option<File>) -> Result<(Self, AllVersions), StateError> {
        match directory {
            None => Ok((Self::Memory(Mutex::default()), AllVersions::new())),
            Some(path) => {
                let (directory, versions) = Directory::open(path, lock)?;
                Ok((Self::Directory(directory), versions))
            }
        }
    }

    /// The directory and its lock, for whoever comes after.
    pub fn lock(&self) -> Option<io::Result<OwnedFd>> {
        match self {
            Self::Memory(_) => None,
            Self::Directory(directory) => Some(directory.lock()),
        }
    }

    /// Whether what is kept survives a restart.
    pub fn lasts(&self) -> bool {
        matches!(self, Self::Directory(_))
    }

    /// Keeps the versions of a filter, and what is new in them. Afterwards everything has been written or, after an
    /// error, what was kept before is there still.
    pub fn keep(&self, filter: &Arc<str>, versions: &Versions, new: Option<&Blob>) -> Result<(), StateError> {
        match self {
            Self::Directory(directory) => directory.keep(filter, versions, new),
            Self::Memory(held) => {
                let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(blob) = new {
                    held.insert((Arc::clone(filter), blob.part, Arc::clone(&blob.hash)), blob.bytes.clone());
                }
                let needed = Part::ALL.map(|part| (part, versions.needed(part)));
                held.retain(|(name, of, hash), _| {
                    name != filter || needed.iter().any(|(part, hashes)| part == of && hashes.contains(hash))
                });
                Ok(())
            }
        }
    }

    /// What was pushed, as it was.
    pub fn read(&self, filter: &Arc<str>, part: Part, hash: &Arc<str>) -> Result<Bytes, StateError> {
        match self {
            Self::Directory(directory) => directory.read(filter, part, hash),
            Self::Memory(held) => {
                let held = held.lock().unwrap_or_else(PoisonError::into_inner);
                held.get(&(Arc::clone(filter), part, Arc::clone(hash))).cloned().ok_or_else(|| StateError::Damaged {
                    path: PathBuf::from(&**filter),
                    why: format!("the {} {hash} is not there", part.name()),
                })
            }
        }
    }

    /// The versions of the configuration, where any were kept.
    pub fn configs(&self) -> Result<Option<Configs>, StateError> {
        match self {
            Self::Directory(directory) => configs::read(directory.config()),
            Self::Memory(_) => Ok(None),
        }
    }

    /// Keeps the versions of the configuration. In memory they are kept by whoever has them.
    pub fn keep_configs(&self, configs: &Configs) -> Result<(), StateError> {
        match self {
            Self::Directory(directory) => {
                let _writing = directory.writing()?;
                configs::keep(directory.config(), configs)
            }
            Self::Memory(_) => Ok(()),
        }
    }

    /// Keeps nothing any more, whoever is about to; what is under way is waited for. `configs`: what is live, where somebody may
    /// have kept another configuration that is not, and shall not be at the next start.
    pub fn close(&self, configs: Option<&Configs>) -> Result<(), StateError> {
        let Self::Directory(directory) = self else { return Ok(()) };
        let mut closed = directory.writing()?;
        *closed = true;
        configs.map_or(Ok(()), |configs| configs::keep(directory.config(), configs))
    }

    /// The folder of what is kept for a filter.
    pub fn place(&self, filter: &str) -> Option<PathBuf> {
        match self {
            Self::Directory(directory) => Some(directory.folder(filter)),
            Self::Memory(_) => None,
        }
    }

    /// Nothing of a filter is kept any more.
    pub fn forget(&self, filter: &Arc<str>) -> Result<(), StateError> {
        match self {
            Self::Directory(directory) => directory.forget(filter),
            Self::Memory(held) => {
                let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
                held.retain(|(name, ..), _| name != filter);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::admin::configs::From;

    #[test]
    fn what_is_kept_too_late_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        let (shelf, _) = Shelf::open(Some(&path), None).expect("a new one");
        let (at, file) = (SystemTime::UNIX_EPOCH, Arc::from("hash of the file"));
        let hashed = |text: &str| crate::filter::module::hash(text.as_bytes()).into();
        let live = Configs::begin("a = 1".into(), hashed("a = 1"), at);
        let mut next = live.clone();
        next.add(From::Put, "b = 1".into(), hashed("b = 1"), &file, at, 8);
        shelf.keep_configs(&next).expect("it is about to go live");
        shelf.close(Some(&live)).expect("it did not");
        assert!(matches!(shelf.keep_configs(&next), Err(StateError::Closed)));
        assert!(matches!(shelf.forget(&"gate".into()), Err(StateError::Closed)));
        assert_eq!(shelf.configs().expect("it can be read"), Some(live));
    }
}
