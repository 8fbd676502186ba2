//! A hash that is the same in every process, on every machine and in every version: what decides by it stays decided.

/// FNV-1a (Fowler, Noll, Vo; 64 bits), mixed once more so that its high bits are as good as its low ones: the finalizer of
/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let fnv = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325 ^ mix(seed), |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    mix(fnv)
}

fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A number below `bound` for a hash, each with the same share of all hashes (Lemire: Fast random integer generation in an
/// interval, 2019). Zero for a bound of zero.
pub fn below(hash: u64, bound: u64) -> u64 {
    ((u128::from(hash) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_for_ever() {
        assert_eq!(hash(0, b"tamis"), hash(0, b"tamis"));
        assert_ne!(hash(0, b"tamis"), hash(1, b"tamis"));
        assert_eq!(hash(7, b"a sieve"), 1_359_027_469_929_094_434);
    }

    #[test]
    fn shares_are_fair() {
        let mut found = [0u32; 10];
        for number in 0..100_000u32 {
            found[below(hash(0, &number.to_le_bytes()), 10) as usize] += 1;
        }
        assert!(found.iter().all(|found| (9_700..10_300).contains(found)), "{found:?}");
    }
}
