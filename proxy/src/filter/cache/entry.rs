//! A file of compiled code: what it is, of what, and whether every byte is still there.
//!
//! ```text
//! magic 8 · version 4 · key 32 · length 8 · SHA-256 of the code 32 · code
//! ```
//! Numbers are little-endian. With an image, the code begins with a note: its length in 8 bytes, and the note. There is no byte that is not checked against what is expected.

use std::fs::File;
use std::io::{self, Read};
use std::sync::mpsc;
use std::thread;

use aws_lc_rs::digest::{Context, SHA256};

use super::Key;
use super::folder::{Opened, Trusted};
use super::sealed::{self, Draft};
use crate::filter::module::digest;

const MAGIC: &[u8; 8] = b"tamis\r\n\x1a";
const VERSION: u32 = 1;
const KEY: usize = 12;
const LENGTH: usize = 44;
const CHECKSUM: usize = 52;
pub const HEADER_BYTES: usize = 84;
/// What is copied at once.
const PIECE_BYTES: usize = 256 << 10;
/// Of these, at once between the one who copies and the one who makes the checksum.
const PIECES: usize = 4;

/// Why a file is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("it is no file of the cache")]
    Foreign,
    #[error("it has version {0} of the format, expected {VERSION}")]
    Version(u32),
    #[error("it is of another key")]
    Key,
    #[error("it has {found} bytes of code, expected {expected}")]
    Length { found: u64, expected: u64 },
    #[error("its checksum is wrong")]
    Checksum,
}

/// Code whose checksum is right, from a file that only we can have written; or that this process has just compiled.
#[derive(Debug)]
pub struct Verified<'a>(&'a [u8]);

impl<'a> Verified<'a> {
    /// What `precompile_component` gave.
    pub(super) fn compiled_here(code: &'a [u8]) -> Self {
        Self(code)
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// A note and the code that follows it, if both were kept together; see [`note_length`].
    pub fn split_note(&self) -> Option<(&'a [u8], Verified<'a>)> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (note, code) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        Some((note, Verified(code)))
    }
}

/// What stands before a note that stands before code.
pub fn note_length(note: &[u8]) -> [u8; 8] {
    (note.len() as u64).to_le_bytes()
}

/// What stands before the code, which may come in parts.
pub fn header(key: Key, code: &[&[u8]]) -> [u8; HEADER_BYTES] {
    let mut checksum = Context::new(&SHA256);
    code.iter().for_each(|part| checksum.update(part));
    let length: usize = code.iter().map(|part| part.len()).sum();
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..KEY].copy_from_slice(&VERSION.to_le_bytes());
    header[KEY..LENGTH].copy_from_slice(&key.0);
    header[LENGTH..CHECKSUM].copy_from_slice(&(length as u64).to_le_bytes());
    header[CHECKSUM..].copy_from_slice(checksum.finish().as_ref());
    header
}

/// The code of this key in a file.
pub fn verify(key: Key, file: &Trusted) -> Result<Verified<'_>, Damage> {
    let (header, code) = file.bytes().split_first_chunk().ok_or(Damage::Foreign)?;
    let checksum = expected(key, header, code.len() as u64)?;
    if digest(code).0 != checksum { Err(Damage::Checksum) } else { Ok(Verified(code)) }
}

/// What the code of a file must have for a checksum.
fn expected(key: Key, header: &[u8; HEADER_BYTES], found: u64) -> Result<[u8; 32], Damage> {
    if &header[..8] != MAGIC {
        return Err(Damage::Foreign);
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    if header[KEY..LENGTH] != key.0 {
        return Err(Damage::Key);
    }
    let mut length = [0; 8];
    length.copy_from_slice(&header[LENGTH..CHECKSUM]);
    let expected = u64::from_le_bytes(length);
    if found != expected {
        return Err(Damage::Length { found, expected });
    }
    let mut checksum = [0; 32];
    checksum.copy_from_slice(&header[CHECKSUM..]);
    Ok(checksum)
}

/// The same as [`Verified`], in a file without a name that nobody can change any more.
#[derive(Debug)]
pub struct Sealed(File);

impl Sealed {
    /// Where this process finds it.
    pub fn path(&self) -> String {
        sealed::path(&self.0)
    }
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum Uncopied {
    #[error("{0}")]
    Damage(#[from] Damage),
    /// It may still be read.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Copies the code of this key out of a file, and its note if it has one, piece by piece: so it is in memory once, and wasmtime
/// maps the copy. What is copied is what the checksum is made of.
pub fn copy(key: Key, from: &Opened, noted: bool) -> Result<(Vec<u8>, Sealed), Uncopied> {
    let mut file = &from.file;
    let mut header = [0; HEADER_BYTES];
    let length = from.bytes.checked_sub(HEADER_BYTES as u64).ok_or(Damage::Foreign)?;
    file.read_exact(&mut header)?;
    let checksum = expected(key, &header, length)?;
    let mut sum = Context::new(&SHA256);
    let (mut note, mut left) = (Vec::new(), length);
    if noted {
        let mut bytes = [0; 8];
        left = left.checked_sub(bytes.len() as u64).ok_or(Damage::Checksum)?;
        file.read_exact(&mut bytes)?;
        sum.update(&bytes);
        let bytes = u64::from_le_bytes(bytes);
        left = left.checked_sub(bytes).ok_or(Damage::Checksum)?;
        file.take(bytes).read_to_end(&mut note)?;
        sum.update(&note);
    }
    let mut draft = Draft::new(left)?;
    if left <= PIECE_BYTES as u64 {
        let mut piece = vec![0; left as usize];
        file.read_exact(&mut piece)?;
        sum.update(&piece);
        draft.put(&piece)?;
    } else {
        sum = copy_long(file, left, &mut draft, sum)?;
    }
    if sum.finish().as_ref() != checksum {
        return Err(Damage::Checksum.into());
    }
    Ok((note, Sealed(draft.seal()?)))
}

/// Copies so many bytes while another thread adds them to the checksum: either takes as long as the other, and whoever starts with a
/// large module waits for both.
fn copy_long(mut file: &File, mut left: u64, draft: &mut Draft, mut sum: Context) -> io::Result<Context> {
    let (filled, taken) = mpsc::sync_channel::<Vec<u8>>(PIECES);
    let (emptied, free) = mpsc::channel::<Vec<u8>>();
    (0..PIECES).for_each(|_| drop(emptied.send(vec![0; PIECE_BYTES])));
    let gone = || io::Error::other("the thread that makes the checksum is gone");
    thread::scope(|scope| {
        let summing = thread::Builder::new().name("checksum".to_owned()).spawn_scoped(scope, move || {
            for piece in taken {
                sum.update(&piece);
                let _ = emptied.send(piece);
            }
            sum
        })?;
        while left > 0 {
            let mut piece = free.recv().map_err(|_| gone())?;
            piece.truncate(left.min(PIECE_BYTES as u64) as usize);
            file.read_exact(&mut piece)?;
            draft.put(&piece)?;
            left -= piece.len() as u64;
            filled.send(piece).map_err(|_| gone())?;
        }
        drop(filled);
        summing.join().map_err(|_| gone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_copied_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("code");
        let key = Key::of(&[b"test"]);
        let mut code: Vec<u8> = (0..(PIECES + 2) * PIECE_BYTES + 5).map(|at| (at % 251) as u8).collect();
        let header = header(key, &[&code]);
        let copied = |code: &[u8]| {
            std::fs::write(&path, [&header[..], code].concat()).unwrap();
            let (file, bytes) = (File::open(&path).unwrap(), (HEADER_BYTES + code.len()) as u64);
            copy(key, &Opened { file, bytes }, false)
        };
        let (_, sealed) = copied(&code).unwrap();
        assert_eq!(std::fs::read(sealed.path()).unwrap(), code);
        *code.last_mut().unwrap() ^= 1;
        assert!(matches!(copied(&code), Err(Uncopied::Damage(Damage::Checksum))));
    }
}
