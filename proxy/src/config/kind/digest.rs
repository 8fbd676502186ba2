//! A SHA-256 in hexadecimal, as `sha256sum` prints it and as the admin shows it.

use super::super::read::{Kind, Reader};
use super::super::tree::Node;
use super::super::types::Sha256;

const EXPECTED: &str = "a SHA-256 in 64 hexadecimal digits";

/// 64 digits of either case, after `sha256:` or without it.
pub struct Digest;

impl Kind for Digest {
    type Value = Sha256;

    fn expected(&self) -> String {
        EXPECTED.to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Sha256> {
        let Some(text) = node.as_str() else { return reader.mismatch(EXPECTED, node) };
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        match parse(digits) {
            Some(digest) => Some(digest),
            None if digits.len() != 64 => {
                let count = digits.chars().count();
                reader.mismatch_with_help(EXPECTED, node, format!("these are {count}; `sha256sum FILE` prints it"))
            }
            None => reader.mismatch_with_help(EXPECTED, node, "`sha256sum FILE` prints it"),
        }
    }

    fn show(&self, value: &Sha256) -> String {
        format!("\"{value}\"")
    }
}

fn parse(digits: &str) -> Option<Sha256> {
    let mut digest = [0; 32];
    // `from_str_radix` takes a sign, too.
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
    }
    Some(Sha256(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_shown() {
        let text = "00ff10aB".repeat(8);
        assert_eq!(parse(&text).map(|digest| digest.to_string()), Some(text.to_lowercase()));
        for wrong in ["", "00", &"0".repeat(63), &"0".repeat(65), &"+f".repeat(32), &"0g".repeat(32), &"é".repeat(32)] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
