//! What filters tell each other.

use crate::testing::hand::with_exchange;

const NOTES_MAX: usize = 64;
const NOTE_BYTES_MAX: usize = 4096;

pub fn get(key: &str) -> Option<String> {
    with_exchange(|hand| hand.notes.get(key).cloned())
}

pub fn set(key: &str, value: &str) {
    let key = &key[..key.floor_char_boundary(NOTE_BYTES_MAX)];
    let value = &value[..value.floor_char_boundary(NOTE_BYTES_MAX)];
    with_exchange(|hand| {
        if hand.notes.contains_key(key) || hand.notes.len() < NOTES_MAX {
            hand.notes.insert(key.to_owned(), value.to_owned());
        }
    });
}
