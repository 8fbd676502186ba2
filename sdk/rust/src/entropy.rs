//! Randomness that cannot be guessed. What is drawn in `configure` may be shared by every instance of the filter.

use crate::host;

/// 64 random bits.
pub fn next() -> u64 {
    host::entropy::next()
}

/// `count` random bytes, at most 64 KiB at once.
pub fn bytes(count: u32) -> Vec<u8> {
    host::entropy::bytes(count)
}

/// A number below `bound`, each as likely as any other. Zero if `bound` is zero.
pub fn below(bound: u64) -> u64 {
    // The high half of a product is uniform once the few low halves are redrawn that would come up once too often.
    if bound == 0 {
        return 0;
    }
    loop {
        let product = u128::from(next()) * u128::from(bound);
        if product as u64 >= bound.wrapping_neg() % bound {
            return (product >> 64) as u64;
        }
    }
}
