//! What comes from a client or an endpoint as it may stand in a line: it ends no line, no quoted text and no column. Most of it needs no
//! escapes, and is copied whole.

use std::fmt::{self, Write};

/// The inside of a text of JSON (RFC 8259, 7).
pub fn json(to: &mut Vec<u8>, text: &str) {
    let plain = |byte: u8| (byte >= b' ') & (byte != b'"') & (byte != b'\\');
    escaped(to, text, plain, |to, byte| match byte {
        b'"' | b'\\' => to.extend([b'\\', byte]),
        b'\n' => to.extend(br"\n"),
        b'\r' => to.extend(br"\r"),
        b'\t' => to.extend(br"\t"),
        8 => to.extend(br"\b"),
        12 => to.extend(br"\f"),
        control => {
            to.extend(br"\u00");
            to.extend(hex(control));
        }
    });
}

/// Quotes and backslashes get one before them. Control characters, everything beyond ASCII and, outside of quotes, spaces are
/// written as `\xHH`, byte by byte, as Apache does.
pub fn apache(to: &mut Vec<u8>, text: &str, quoted: bool) {
    let space = if quoted { b' ' } else { b'!' };
    let plain = |byte: u8| (byte >= space) & (byte <= b'~') & (byte != b'"') & (byte != b'\\');
    escaped(to, text, plain, |to, byte| {
        if matches!(byte, b'"' | b'\\') {
            to.extend([b'\\', byte]);
        } else {
            to.extend(br"\x");
            to.extend(hex(byte));
        }
    });
}

fn escaped(to: &mut Vec<u8>, text: &str, plain: impl Fn(u8) -> bool, escape: impl Fn(&mut Vec<u8>, u8)) {
    let mut rest = text.as_bytes();
    // Nothing leaves this loop early, so that it takes many bytes at once.
    if !rest.iter().fold(true, |all, byte| all & plain(*byte)) {
        while let Some(at) = rest.iter().position(|byte| !plain(*byte)) {
            to.extend_from_slice(&rest[..at]);
            escape(to, rest[at]);
            rest = &rest[at + 1..];
        }
    }
    to.extend_from_slice(rest);
}

fn hex(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// Takes what is displayed as [`json`] takes a text.
pub struct Json<'a>(pub &'a mut Vec<u8>);

impl Write for Json<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        json(self.0, text);
        Ok(())
    }
}

/// Takes what is displayed as [`apache`] takes a text.
pub struct Apache<'a> {
    pub to: &'a mut Vec<u8>,
    pub quoted: bool,
}

impl Write for Apache<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        apache(self.to, text, self.quoted);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes);
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn a_text_reads_back_from_json_as_it_was_and_looks_as_serde_writes_it() {
        let every: String = (0..=0x2ff).filter_map(char::from_u32).collect();
        let long = "a long path without anything special in it ".repeat(4);
        for text in ["", "plain", "\"", "a\\b\"c", "line\r\nline\tend", &every, &long, &format!("{long}\"{long}\n")] {
            let json = written(|to| json(to, text));
            assert_eq!(format!("\"{json}\""), serde_json::to_string(text).expect("text"));
        }
    }

    #[test]
    fn only_visible_ascii_is_left_as_it_is_in_a_template() {
        for byte in 0..=0x7f_u8 {
            let text = char::from(byte).to_string();
            for quoted in [true, false] {
                let expected = match byte {
                    b'"' | b'\\' => format!("\\{text}"),
                    b' ' if quoted => text.clone(),
                    b'!'..=b'~' => text.clone(),
                    other => format!("\\x{other:02x}"),
                };
                assert_eq!(written(|to| apache(to, &text, quoted)), expected);
            }
        }
        assert_eq!(written(|to| apache(to, "a é", false)), r"a\x20\xc3\xa9");
    }
}
