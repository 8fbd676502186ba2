//! Maps as they cross the border: a count, the lengths of names and values, then each with a NUL behind it.

/// Pairs of one map, and bytes of all: a head that is larger is none.
pub const PAIRS_MAX: usize = 1024;
pub const PAIRS_BYTES_MAX: usize = 1 << 20;

/// Writes pairs. What is asked for twice has to be the same twice.
pub fn written<'a, I>(pairs: impl Fn() -> I) -> Vec<u8>
where
    I: Iterator<Item = (&'a [u8], &'a [u8])>,
{
    let (count, bytes) = pairs().fold((0, 0), |(count, bytes), (name, value)| (count + 1, bytes + name.len() + value.len()));
    if count == 0 {
        return Vec::new();
    }
    let mut written = Vec::with_capacity(4 + 10 * count + bytes);
    let mut number = |number: usize| written.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    number(count);
    for (name, value) in pairs() {
        number(name.len());
        number(value.len());
    }
    for (name, value) in pairs() {
        written.extend_from_slice(name);
        written.push(0);
        written.extend_from_slice(value);
        written.push(0);
    }
    written
}

/// A name and a value.
pub type Pair<'a> = (&'a [u8], &'a [u8]);

/// Reads pairs; `None` if the bytes are none. Nothing at all is an empty map, and so are zeros.
pub fn read(bytes: &[u8]) -> Option<Vec<Pair<'_>>> {
    if bytes.len() < 5 && bytes.iter().all(|byte| *byte == 0) {
        return Some(Vec::new());
    }
    if bytes.len() > PAIRS_BYTES_MAX {
        return None;
    }
    let number = |at: usize| {
        let four = bytes.get(at..at + 4)?;
        usize::try_from(u32::from_le_bytes(four.try_into().ok()?)).ok()
    };
    let count = number(0).filter(|count| *count <= PAIRS_MAX)?;
    let mut at = 4 + 8 * count;
    let mut text = |length: usize| {
        let end = at.checked_add(length)?;
        let found = bytes.get(at..end).filter(|_| bytes.get(end) == Some(&0))?;
        at = end + 1;
        Some(found)
    };
    let mut pairs = Vec::with_capacity(count);
    for index in 0..count {
        let (name, value) = (number(4 + 8 * index)?, number(8 + 8 * index)?);
        pairs.push((text(name)?, text(value)?));
    }
    (at == bytes.len()).then_some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn the_form_is_that_of_the_abi() {
        let pairs = [(&b"a"[..], &b"xy"[..])];
        let bytes = written(|| pairs.iter().copied());
        assert_eq!(bytes, b"\x01\0\0\0\x01\0\0\0\x02\0\0\0a\0xy\0");
        assert_eq!(read(&bytes).as_deref(), Some(&pairs[..]));
        assert_eq!(written(std::iter::empty), b"");
        for empty in [&b""[..], b"\0", b"\0\0\0\0"] {
            assert_eq!(read(empty), Some(Vec::new()));
        }
    }

    #[test]
    fn what_does_not_add_up_is_none() {
        let sound = written(|| [(&b"name"[..], &b"value"[..])].into_iter());
        for end in 1..sound.len() {
            assert_eq!(read(&sound[..end]), None, "{end}");
        }
        let mut more = sound.clone();
        more.push(0);
        assert_eq!(read(&more), None);
        assert_eq!(read(b"\xff\xff\xff\xff\0"), None);
        assert_eq!(read(b"\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(all in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..9), proptest::collection::vec(any::<u8>(), 0..9)), 0..9)) {
            let pairs = || all.iter().map(|(name, value)| (&name[..], &value[..]));
            let bytes = written(pairs);
            prop_assert_eq!(read(&bytes), Some(pairs().collect::<Vec<_>>()));
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
        }
    }
}
