//! Bytes that the host holds for an instance, outside of its memory: what it sends and what is answered to it, and what it puts on
//! its way to a client by itself. There may be as many as it may have memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// What one instance may have so. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bytes: AtomicUsize,
    bytes_max: usize,
}

/// So many bytes of it, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    room: Room,
    bytes: usize,
}

impl Room {
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Shared { bytes: AtomicUsize::new(0), bytes_max }))
    }

    /// `None`: there is no room for so many.
    pub fn claim(&self, bytes: usize) -> Option<Claim> {
        let mut claim = Claim { room: self.clone(), bytes: 0 };
        claim.grow(bytes).then_some(claim)
    }
}

impl Claim {
    /// For so many more; false if there is no room for them, and nothing has changed then.
    pub fn grow(&mut self, more: usize) -> bool {
        let Shared { bytes, bytes_max } = &*self.room.0;
        let grown = bytes.try_update(Ordering::Relaxed, Ordering::Relaxed, |all| {
            let all = all.checked_add(more)?;
            (all <= *bytes_max).then_some(all)
        });
        if grown.is_ok() {
            self.bytes += more;
        }
        grown.is_ok()
    }

    /// So many fewer.
    pub fn shrink(&mut self, fewer: usize) {
        let fewer = fewer.min(self.bytes);
        self.room.0.bytes.fetch_sub(fewer, Ordering::Relaxed);
        self.bytes -= fewer;
    }

    /// Bytes that hold their claim for as long as anybody has them.
    pub fn on(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Claimed { bytes, _claim: self })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

struct Claimed {
    bytes: Bytes,
    _claim: Claim,
}

impl AsRef<[u8]> for Claimed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_let_go_is_there_for_others() {
        let room = Room::new(10);
        let mut claim = room.claim(4).expect("there is room");
        assert!(claim.grow(6) && !claim.grow(1) && room.claim(1).is_none());
        claim.shrink(9);
        let bytes = room.claim(9).expect("there is room again").on(Bytes::from_static(b"123456789"));
        let part = bytes.slice(..1);
        drop((claim, bytes));
        assert!(room.claim(2).is_none(), "a part holds the whole");
        drop(part);
        assert!(room.claim(10).is_some() && room.claim(usize::MAX).is_none());
    }
}
