//! The hash of a body that passes in pieces: FNV-1a (Fowler, Noll, Vo; 64 bits), the same that the proxy makes of a copy's answer.

use tamis_sdk::Chunk;

const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// What was seen of a body so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyHash {
    hash: u64,
    pieces: Pieces,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pieces {
    /// There was none. A body that is known to be empty has none.
    None,
    Some,
    /// The last has been seen.
    All,
}

impl Default for BodyHash {
    fn default() -> Self {
        BodyHash { hash: BASIS, pieces: Pieces::None }
    }
}

impl BodyHash {
    pub fn take(&mut self, chunk: &Chunk) {
        self.hash = chunk.bytes.iter().fold(self.hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
        self.pieces = if chunk.end { Pieces::All } else { Pieces::Some };
    }

    /// Of the whole body; `None` if it was cut off.
    pub fn whole(self) -> Option<u64> {
        (self.pieces != Pieces::Some).then_some(self.hash)
    }

    /// As a note: the access log shows it.
    pub fn written(self) -> String {
        let mark = match self.pieces {
            Pieces::None => "empty",
            Pieces::Some => "part",
            Pieces::All => "whole",
        };
        format!("{:016x} {mark}", self.hash)
    }

    pub fn read(note: &str) -> Option<Self> {
        let (hash, mark) = note.split_once(' ')?;
        let pieces = match mark {
            "empty" => Pieces::None,
            "part" => Pieces::Some,
            "whole" => Pieces::All,
            _ => return None,
        };
        Some(BodyHash { hash: u64::from_str_radix(hash, 16).ok()?, pieces })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(bytes: &str, end: bool) -> Chunk {
        Chunk { bytes: bytes.as_bytes().to_vec(), end }
    }

    #[test]
    fn pieces_make_the_hash_of_the_whole() {
        let mut hash = BodyHash::default();
        for (piece, end) in [("foo", false), ("bar", false), ("", true)] {
            hash = BodyHash::read(&hash.written()).unwrap();
            hash.take(&chunk(piece, end));
        }
        // From the authors' own table of test vectors.
        assert_eq!(hash.whole(), Some(0x85944171f73967e8));
        assert_eq!(BodyHash::default().whole(), Some(BASIS));
    }

    #[test]
    fn a_part_is_no_whole() {
        let mut hash = BodyHash::default();
        hash.take(&chunk("foo", false));
        assert_eq!(hash.whole(), None);
        assert_eq!(BodyHash::read(&hash.written()), Some(hash));
        assert_eq!(BodyHash::read("x"), None);
    }
}
