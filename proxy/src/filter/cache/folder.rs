//! A folder that only our own user can write to, and files in it that appear whole.
//!
//! Everything goes through the descriptor of the folder that was checked, never by its path again, so that nobody can put
//! another folder in its place in between.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, renameat, statat, unlinkat};

/// What a writer that was killed has left is removed when it is this old.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);
/// Group and others.
const OTHERS_WRITE: u32 = 0o022;

/// Why a folder or a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    #[error("it belongs to the user {found}, expected {expected}")]
    Owner { found: u32, expected: u32 },
    #[error("others may write to it: its mode is {0:o}")]
    Mode(u32),
    #[error("it is no {0}")]
    Kind(&'static str),
    #[error("it has {found} bytes, expected at most {expected}")]
    Size { found: u64, expected: u64 },
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What a file has that only our own user can have written.
#[derive(Debug)]
pub struct Trusted(Vec<u8>);

impl Trusted {
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The file itself, of which nothing is read yet.
#[derive(Debug)]
pub struct Opened {
    pub file: File,
    pub bytes: u64,
}

impl Opened {
    /// All of it.
    pub fn read(self) -> io::Result<Trusted> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.bytes).unwrap_or(0));
        self.file.take(self.bytes).read_to_end(&mut bytes)?;
        Ok(Trusted(bytes))
    }
}

/// See the module.
#[derive(Debug)]
pub struct Folder {
    descriptor: OwnedFd,
    pub(super) owner: u32,
}

impl Folder {
    /// Makes it if it is not there.
    pub fn open(path: &Path) -> Result<Self, Distrust> {
        Self::open_as(path, rustix::process::geteuid().as_raw())
    }

    /// The same for a user who need not be the present one.
    pub fn open_as(path: &Path, owner: u32) -> Result<Self, Distrust> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let folder = File::from(
            openat(rustix::fs::CWD, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(io::Error::from)?,
        );
        trust(&folder, owner)?;
        Ok(Self { descriptor: folder.into(), owner })
    }

    /// A whole file, which counts as used now; `None` if there is none.
    pub fn read(&self, name: &str, bytes_max: u64) -> Result<Option<Trusted>, Distrust> {
        Ok(self.file(name, bytes_max)?.map(Opened::read).transpose()?)
    }

    /// The same before anything of it is read.
    pub fn file(&self, name: &str, bytes_max: u64) -> Result<Option<Opened>, Distrust> {
        // A pipe of this name must not be waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(io::Error::from(error).into()),
        };
        let metadata = trust(&file, self.owner)?;
        if !metadata.is_file() {
            return Err(Distrust::Kind("file"));
        }
        if metadata.len() > bytes_max {
            return Err(Distrust::Size { found: metadata.len(), expected: bytes_max });
        }
        // On a medium that cannot be written to, nothing is removed for its age either.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(Opened { bytes: metadata.len(), file }))
    }

    /// Puts a file in its place in one step. Before that it is on the disk, so that not even a crash leaves half of one.
    pub fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let temporary = format!(".{name}.{:x}-{:016x}.{TEMPORARY}", std::process::id(), fastrand::u64(..));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.descriptor, &*temporary, flags, Mode::RUSR | Mode::WUSR)?);
        let written = parts
            .iter()
            .try_for_each(|part| file.write_all(part))
            .and_then(|()| file.sync_all())
            .and_then(|()| Ok(renameat(&self.descriptor, &*temporary, &self.descriptor, name)?));
        if written.is_err() {
            let _ = unlinkat(&self.descriptor, &*temporary, AtFlags::empty());
        }
        written
    }

    /// Removes the oldest-used of the files that are ours by name until the rest has at most this many bytes.
    pub fn shrink(&self, bytes_max: u64, ours: impl Fn(&str) -> bool) -> io::Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut files = Vec::new();
        for entry in Dir::read_from(&self.descriptor)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let left_behind = is_temporary(name, &ours);
            if !left_behind && !ours(name) {
                continue;
            }
            // Somebody else may have removed it.
            let Ok(stat) = statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                continue;
            }
            let used = Duration::new(u64::try_from(stat.st_mtime).unwrap_or(0), u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
            if !left_behind {
                files.push((used, u64::try_from(stat.st_size).unwrap_or(0), name.to_owned()));
            } else if now.saturating_sub(used) > LEFT_BEHIND {
                let _ = unlinkat(&self.descriptor, name, AtFlags::empty());
            }
        }
        files.sort_unstable();
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, size, name) in files {
            if bytes <= bytes_max {
                break;
            }
            match unlinkat(&self.descriptor, &*name, AtFlags::empty()) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => bytes -= size,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

const TEMPORARY: &str = "tmp";

/// `.NAME.WRITER.tmp`
fn is_temporary(name: &str, ours: impl Fn(&str) -> bool) -> bool {
    let inner = name.strip_prefix('.').and_then(|name| name.strip_suffix(TEMPORARY)?.strip_suffix('.'));
    inner.and_then(|inner| inner.rsplit_once('.')).is_some_and(|(name, _)| ours(name))
}

/// Only its owner may write to it, and that is us.
fn trust(file: &File, owner: u32) -> Result<std::fs::Metadata, Distrust> {
    let metadata = file.metadata()?;
    if metadata.uid() != owner {
        return Err(Distrust::Owner { found: metadata.uid(), expected: owner });
    }
    if metadata.mode() & OTHERS_WRITE != 0 {
        return Err(Distrust::Mode(metadata.mode() & 0o7777));
    }
    Ok(metadata)
}
