//! The piece of a body in hand.

use crate::testing::hand::{Phase, with};

pub fn replace(bytes: &[u8]) {
    with(|hand| {
        let in_hand = matches!(hand.phase, Phase::RequestChunk | Phase::ResponseChunk);
        assert!(in_hand, "trap: `replace` belongs into a chunk hook");
        hand.chunk = Some(bytes.to_vec());
    });
}
