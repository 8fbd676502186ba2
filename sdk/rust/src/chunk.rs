//! The pieces in which a body passes, and what a filter decides about each.

/// A piece of a body, as it passes.
///
/// Where one piece ends and the next begins says nothing: a word may be torn in two. The last piece may be empty: the proxy
/// often learns that a body has ended only after its last bytes have gone on. A body without bytes is one empty piece, the
/// last. A body that is cut off has no last piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Its bytes; perhaps none.
    pub bytes: Vec<u8>,
    /// Whether none follows.
    pub end: bool,
}

/// What a chunk hook decides about its piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChunkVerdict {
    /// It goes on as it came.
    Keep,
    /// These bytes go on in its place: longer, shorter, or none at all.
    Replace(Vec<u8>),
    /// The exchange ends: both sides see a message that was cut off, never one that looks complete.
    Reset,
}

impl From<Vec<u8>> for ChunkVerdict {
    fn from(bytes: Vec<u8>) -> Self {
        ChunkVerdict::Replace(bytes)
    }
}
