//! Files that have no name and that nobody can change any more.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// What is written or left out as one: a page.
const PIECE_BYTES: usize = 4096;

/// A file with these bytes. Pieces that are zero are holes, which take no memory until somebody looks at them.
pub fn file(bytes: &[u8]) -> io::Result<File> {
    let file = File::from(memfd_create("tamis-image", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.set_len(bytes.len() as u64)?;
    for (at, piece) in (0u64..).zip(bytes.chunks(PIECE_BYTES)) {
        if piece.iter().any(|byte| *byte != 0) {
            file.write_all_at(piece, at * PIECE_BYTES as u64)?;
        }
    }
    fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::WRITE | SealFlags::SEAL)?;
    Ok(file)
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
