//! The state directory: a folder for each filter, in it a manifest and what its versions need, named by hash.
//!
//! Everything is written beside its place, flushed, and renamed onto it; the manifest comes last, so that whatever
//! happens in between leaves the manifest of before with all that it names. What no manifest names is of an interrupted
//! push and is removed; everything else that is not as it was written is told, never repaired.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{AllVersions, Blob, StateError, manifest};
use crate::admin::versions::{Part, Versions};
use crate::filter::module::hash;

/// Tells a state directory from any other folder.
const MARKER: &str = "tamis-state";
const MARK: &str = "1\n";
const FILTERS: &str = "filters";
const CONFIG: &str = "config";
const MANIFEST: &str = "manifest.json";
/// Of a file that is still being written.
const UNFINISHED: &str = "tmp";

/// A process that was killed may need a moment to be gone.
const LOCK_WAIT: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// An open state directory; nobody else has it meanwhile.
#[derive(Debug)]
pub struct Directory {
    filters: PathBuf,
    config: PathBuf,
    /// The lock is on the folder itself and goes with the process.
    locked: File,
    closed: Mutex<bool>,
}

impl Directory {
    /// Makes it if it is not there.
    ///
    /// A lock belongs to everybody who has the same open file: a successor holds the one that its predecessor gave it.
    pub fn open(path: &Path, given: Option<File>) -> Result<(Self, AllVersions), StateError> {
        make(path)?;
        let locked = File::open(path).map_err(StateError::io("open", path))?;
        let mode = locked.metadata().map_err(StateError::io("look at", path))?.mode() & 0o777;
        if mode & 0o022 != 0 {
            return Err(StateError::Open { path: path.to_owned(), mode });
        }
        let locked = match given.filter(|given| is_same(given, &locked)) {
            Some(given) => given,
            None => {
                lock(path, &locked)?;
                locked
            }
        };
        mark(path)?;
        let filters = path.join(FILTERS);
        make(&filters)?;
        let mut versions = AllVersions::new();
        for folder in entries(&filters)? {
            let Some(name) = folder.file_name().and_then(name_of) else {
                return Err(StateError::Damaged { path: folder, why: "no filter is called like this".to_owned() });
            };
            if let Some(of_filter) = open_filter(&folder, &name)? {
                versions.insert(name, Arc::new(of_filter));
            }
        }
        Ok((Self { filters, config: path.join(CONFIG), locked, closed: Mutex::new(false) }, versions))
    }

    /// For a process that takes over.
    pub fn lock(&self) -> io::Result<OwnedFd> {
        self.locked.try_clone().map(OwnedFd::from)
    }

    /// Whoever writes has this meanwhile.
    pub fn writing(&self) -> Result<MutexGuard<'_, bool>, StateError> {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if *closed { Err(StateError::Closed) } else { Ok(closed) }
    }

    pub fn keep(&self, filter: &str, versions: &Versions, new: Option<&Blob>) -> Result<(), StateError> {
        let _writing = self.writing()?;
        let folder = self.folder(filter);
        let written = self.write_all(&folder, filter, versions, new);
        // After a failure as well: half a module on a full disk helps nobody.
        if let Err(error) = tidy(&folder, filter) {
            tracing::warn!(%error, "what is not needed any more stays in the state directory until the next start");
        }
        written
    }

    fn write_all(&self, folder: &Path, filter: &str, versions: &Versions, new: Option<&Blob>) -> Result<(), StateError> {
        if !folder.exists() {
            make(folder)?;
            sync(&self.filters)?;
        }
        if let Some(blob) = new {
            let name = blob_name(blob.part, &blob.hash);
            if !folder.join(&name).exists() {
                write(folder, &name, &blob.bytes)?;
            }
        }
        write(folder, MANIFEST, manifest::write(filter, versions).as_bytes())
    }

    pub fn read(&self, filter: &str, part: Part, hash: &str) -> Result<Bytes, StateError> {
        read_blob(&self.folder(filter), part, hash)
    }

    /// The manifest goes first: without it the rest is nothing.
    pub fn forget(&self, filter: &str) -> Result<(), StateError> {
        let _writing = self.writing()?;
        let folder = self.folder(filter);
        let file = folder.join(MANIFEST);
        match fs::remove_file(&file) {
            Ok(()) => sync(&folder)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StateError::io("remove", &file)(error)),
        }
        if let Err(error) = tidy(&folder, filter) {
            tracing::warn!(%error, "what is not needed any more stays in the state directory until the next start");
        }
        Ok(())
    }

    /// The folder of what is kept of the configuration.
    pub fn config(&self) -> &Path {
        &self.config
    }

    pub fn folder(&self, filter: &str) -> PathBuf {
        self.filters.join(folder_name(filter))
    }
}

fn is_same(one: &File, other: &File) -> bool {
    let which = |file: &File| file.metadata().map(|found| (found.dev(), found.ino())).ok();
    which(one).is_some() && which(one) == which(other)
}

fn lock(path: &Path, folder: &File) -> Result<(), StateError> {
    let begun = Instant::now();
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_WAIT => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => return Err(StateError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(StateError::io("lock", path)(error)),
        }
    }
}

/// `.` and `..` may be names of filters, and no name has a `%`.
fn folder_name(filter: &str) -> String {
    match filter.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => filter.to_owned(),
    }
}

fn name_of(folder: &OsStr) -> Option<Arc<str>> {
    let folder = folder.to_str()?;
    match folder.strip_prefix("%2E") {
        Some(rest) => Some(format!(".{rest}").into()),
        None if folder.starts_with('.') || folder.contains('%') => None,
        None => Some(folder.into()),
    }
}

fn blob_name(part: Part, hash: &str) -> String {
    match part {
        Part::Module => format!("{hash}.wasm"),
        Part::Config => format!("{hash}.json"),
    }
}

/// `None`: its first push was interrupted, or taking everything back was.
fn open_filter(folder: &Path, filter: &Arc<str>) -> Result<Option<Versions>, StateError> {
    let versions = read_manifest(folder, filter)?;
    if let Some(versions) = &versions {
        for part in Part::ALL {
            for hash in versions.needed(part) {
                read_blob(folder, part, &hash)?;
            }
        }
    }
    tidy(folder, filter)?;
    Ok(versions)
}

fn read_manifest(folder: &Path, filter: &str) -> Result<Option<Versions>, StateError> {
    let file = folder.join(MANIFEST);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StateError::io("read", &file)(error)),
    };
    manifest::read(filter, &text).map(Some).map_err(|unreadable| match unreadable {
        manifest::Unreadable::Format(found) => {
            StateError::Format { path: file, found: found.to_string(), expected: manifest::FORMAT.to_string() }
        }
        other => StateError::Damaged { path: file, why: other.to_string() },
    })
}

fn read_blob(folder: &Path, part: Part, wanted: &str) -> Result<Bytes, StateError> {
    let file = folder.join(blob_name(part, wanted));
    let bytes = match fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let why = format!("{MANIFEST} beside it names it, and it is missing");
            return Err(StateError::Damaged { path: file, why });
        }
        Err(error) => return Err(StateError::io("read", &file)(error)),
    };
    let found = hash(&bytes);
    if found != wanted {
        return Err(StateError::Damaged { path: file, why: format!("its content has the SHA-256 {found}") });
    }
    Ok(bytes.into())
}

/// Removes what the manifest does not name, and the folder if there is none.
fn tidy(folder: &Path, filter: &str) -> Result<(), StateError> {
    let versions = read_manifest(folder, filter)?;
    let needed: Vec<String> = match &versions {
        Some(versions) => {
            let blobs = Part::ALL.into_iter().flat_map(|part| {
                let names = versions.needed(part).into_iter().map(move |hash| blob_name(part, &hash));
                names.collect::<Vec<_>>()
            });
            blobs.chain([MANIFEST.to_owned()]).collect()
        }
        None => Vec::new(),
    };
    for file in entries(folder)? {
        let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if needed.iter().any(|needed| needed == name) {
            continue;
        }
        let ours = file.extension().is_some_and(|ending| ending == "wasm" || ending == "json" || ending == UNFINISHED);
        if !ours {
            return Err(StateError::Damaged { path: file, why: "nothing like it was ever written".to_owned() });
        }
        fs::remove_file(&file).map_err(StateError::io("remove", &file))?;
    }
    if versions.is_none() {
        fs::remove_dir(folder).map_err(StateError::io("remove", folder))?;
    }
    Ok(())
}

/// An empty folder becomes a state directory; any other has to be one.
fn mark(path: &Path) -> Result<(), StateError> {
    let marker = path.join(MARKER);
    match fs::read_to_string(&marker) {
        Ok(mark) if mark == MARK => Ok(()),
        Ok(found) => {
            let found = found.trim().chars().take(20).collect();
            Err(StateError::Format { path: marker, found, expected: MARK.trim().to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let unfinished = format!("{MARKER}.{UNFINISHED}");
            // A file system of its own brings this folder along.
            let known = [unfinished.as_str(), "lost+found"];
            if entries(path)?.iter().any(|entry| entry.file_name().is_none_or(|name| known.iter().all(|known| name != *known))) {
                return Err(StateError::Foreign(path.to_owned()));
            }
            write(path, MARKER, MARK.as_bytes())
        }
        Err(error) => Err(StateError::io("read", &marker)(error)),
    }
}

pub fn make(path: &Path) -> Result<(), StateError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StateError::io("make the folder", path))
}

pub fn entries(folder: &Path) -> Result<Vec<PathBuf>, StateError> {
    let read = || fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
    read().map_err(StateError::io("read", folder))
}

/// After this the file is whole and will be found, whatever happens to the machine.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StateError> {
    let file = folder.join(name);
    let unfinished = folder.join(format!("{name}.{UNFINISHED}"));
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(StateError::io("write", &unfinished))?;
    fs::rename(&unfinished, &file).map_err(StateError::io("write", &file))?;
    sync(folder)
}

/// What was renamed or removed in a folder stays so.
fn sync(folder: &Path) -> Result<(), StateError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(StateError::io("flush", folder))
}

#[cfg(test)]
mod tests;
