//! Files that have no name and that nobody can change any more.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// What is written or left out as one: a page.
const PIECE_BYTES: usize = 4096;

/// One that is still written, from its beginning to its end.
#[derive(Debug)]
pub struct Draft {
    file: File,
    at: u64,
}

impl Draft {
    pub fn new(length: u64) -> io::Result<Self> {
        let file = File::from(memfd_create("tamis-image", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        file.set_len(length)?;
        Ok(Self { file, at: 0 })
    }

    /// What comes next. Pieces that are zero are holes, which take no memory until somebody looks at them; all others that stand
    /// side by side are written at once.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let is_hole = |piece: &[u8]| piece.iter().all(|byte| *byte == 0);
        let mut rest = bytes;
        while !rest.is_empty() {
            let pieces = || rest.chunks(PIECE_BYTES);
            let holes = pieces().take_while(|piece| is_hole(piece)).map(<[u8]>::len).sum();
            let (_, after) = rest.split_at(holes);
            let full = after.chunks(PIECE_BYTES).take_while(|piece| !is_hole(piece)).map(<[u8]>::len).sum();
            let (full, after) = after.split_at(full);
            self.file.write_all_at(full, self.at + holes as u64)?;
            self.at += (holes + full.len()) as u64;
            rest = after;
        }
        Ok(())
    }

    /// Nobody can change it from here on.
    pub fn seal(self) -> io::Result<File> {
        fcntl_add_seals(&self.file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::WRITE | SealFlags::SEAL)?;
        Ok(self.file)
    }
}

/// A file with these bytes.
pub fn file(bytes: &[u8]) -> io::Result<File> {
    let mut draft = Draft::new(bytes.len() as u64)?;
    draft.put(bytes)?;
    draft.seal()
}

/// Where this process finds it while it is open.
pub fn path(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn it_has_the_bytes_and_holes_where_they_are_zero() {
        let mut bytes = vec![0; 40 * PIECE_BYTES + 7];
        bytes[3 * PIECE_BYTES] = 1;
        *bytes.last_mut().unwrap() = 2;
        let file = file(&bytes).unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 <= 2 * PIECE_BYTES as u64, "two pieces of it are not zero");
        assert_eq!(std::fs::read(path(&file)).unwrap(), bytes);
    }

    #[test]
    fn nobody_can_change_it() {
        let file = file(b"code").unwrap();
        let refused = |result: io::Result<()>| assert_eq!(result.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        refused((&file).write_all(b"else"));
        refused(file.set_len(1));
        refused(file.set_len(5));
        refused(std::fs::OpenOptions::new().write(true).open(path(&file)).and_then(|mut other| other.write_all(b"else")));
        refused(fcntl_add_seals(&file, SealFlags::FUTURE_WRITE).map_err(io::Error::from));
    }
}
