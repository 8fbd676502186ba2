//! How steps and their results are written: words between single spaces, with whatever is no plain character as `%XX`.

use std::fmt::Display;

use tamis_sdk::HeaderValue;

pub fn text(value: &HeaderValue) -> &str {
    value.to_str().expect("steps are text")
}

/// The words of a step, as far as they are text.
pub fn split(step: &str) -> Vec<String> {
    step.split(' ').map(|word| String::from_utf8_lossy(&decoded(word)).into_owned()).collect()
}

/// `%` alone is the empty word.
pub fn decoded(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let [first, after @ ..] = rest {
        let escape = after.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match (first, escape) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'%', None) if word == "%" => rest = after,
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

pub fn encoded(bytes: &[u8]) -> String {
    let plain = |byte: u8| (0x21..=0x7e).contains(&byte) && byte != b'%';
    bytes.iter().map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// `=` and the bytes.
pub fn value(bytes: impl AsRef<[u8]>) -> String {
    format!("={}", encoded(bytes.as_ref()))
}

pub fn option(bytes: Option<impl AsRef<[u8]>>) -> String {
    bytes.map_or_else(|| "none".to_owned(), value)
}

pub fn list(words: impl IntoIterator<Item = String>) -> String {
    let words: Vec<String> = words.into_iter().collect();
    if words.is_empty() { "none".to_owned() } else { words.join(" ") }
}

/// `ok`, or `!` and why not.
pub fn done<E: Display>(result: Result<(), E>) -> String {
    result.map_or_else(|why| format!("!{}", encoded(why.to_string().as_bytes())), |()| "ok".to_owned())
}
