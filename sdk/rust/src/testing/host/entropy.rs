//! Randomness, the same each time a test runs.

use crate::testing::hand::with;

const BYTES_MAX: u32 = 64 * 1024;

/// SplitMix64: a test that draws gets the same draws each time it runs.
pub fn next() -> u64 {
    with(|hand| {
        hand.entropy = hand.entropy.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = hand.entropy;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

pub fn bytes(count: u32) -> Vec<u8> {
    assert!(count <= BYTES_MAX, "trap: at most {BYTES_MAX} random bytes at once");
    let mut bytes: Vec<u8> = (0..count.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect();
    bytes.truncate(count as usize);
    bytes
}
