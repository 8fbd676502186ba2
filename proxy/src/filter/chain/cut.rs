//! A piece of a body through the hook of one filter, which is given no more at once than any guest has room for.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::super::Filter;
use super::super::hand::Hand;
use super::{Chain, Step, Way};

/// What one call of a chunk hook is given at most. Connections bring less, but a body that was read or replaced before goes on
/// whole. Runtimes that lend the host a room of a fixed size (Go's is 1 MiB) have to know what will come, so this is part of the
/// contract and no key.
pub const PIECE_BYTES_MAX: usize = 256 << 10;

impl Chain {
    /// What goes on in the place of a piece. A long one takes several calls, of which only the last is told of the end.
    pub(super) async fn pieces(
        &self,
        filter: &Arc<Filter>,
        way: Way,
        piece: Bytes,
        end: bool,
        hand: &mut Hand,
    ) -> Result<Bytes, Step> {
        if piece.len() <= PIECE_BYTES_MAX {
            self.step(filter, way.call(piece.clone(), end), hand).await?;
            return Ok(hand.chunk.take().unwrap_or(piece));
        }
        let mut passed = None::<BytesMut>;
        let mut rest = piece.clone();
        while !rest.is_empty() {
            let at = piece.len() - rest.len();
            let part = rest.split_to(PIECE_BYTES_MAX.min(rest.len()));
            self.step(filter, way.call(part.clone(), end && rest.is_empty()), hand).await?;
            match (hand.chunk.take(), &mut passed) {
                (Some(replaced), passed) => {
                    passed.get_or_insert_with(|| BytesMut::from(&piece[..at])).extend_from_slice(&replaced);
                }
                (None, Some(passed)) => passed.extend_from_slice(&part),
                // Nothing is copied of what all calls keep.
                (None, None) => {}
            }
        }
        Ok(passed.map_or(piece, BytesMut::freeze))
    }
}
