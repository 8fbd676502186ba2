//! A body, in the pieces in which it passes.

use super::host::BodyError;

/// Largest body that a filter can have in one piece.
const READ_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Clone, Default)]
pub(super) struct Body {
    pub pieces: Vec<Vec<u8>>,
    /// Whoever sends it goes away before its end.
    pub cut: bool,
    /// Its pieces are on their way: there is no whole left.
    pub streaming: bool,
}

impl Body {
    pub(super) fn whole(bytes: Vec<u8>) -> Self {
        Body { pieces: if bytes.is_empty() { Vec::new() } else { vec![bytes] }, ..Body::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum()
    }

    pub(super) fn read(&mut self, limit: u32) -> Result<Vec<u8>, BodyError> {
        if self.streaming {
            return Err(BodyError::AlreadyStreamed);
        }
        if self.len() > READ_BYTES_MAX.min(limit as usize) {
            return Err(BodyError::TooLarge);
        }
        if self.cut {
            return Err(BodyError::PeerGone);
        }
        let bytes = self.pieces.concat();
        *self = Body::whole(bytes.clone());
        Ok(bytes)
    }

    /// What is set once the pieces are on their way changes nothing; whether it does.
    pub(super) fn set(&mut self, bytes: &[u8]) -> bool {
        if !self.streaming {
            *self = Body::whole(bytes.to_vec());
        }
        !self.streaming
    }
}
