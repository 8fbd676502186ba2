//! `notes`: what filters tell each other about the exchange; the access log has them too.

use crate::exchange::Exchange;

/// Notes of one exchange. Further ones are dropped, and one warning tells of them.
pub const NOTES_MAX: usize = 64;
/// Bytes of one note's value; the rest is cut off.
pub const NOTE_BYTES_MAX: usize = 4096;

/// Sets a note, replacing one of the same key.
pub fn set(exchange: &mut Exchange, key: &str, value: &str) {
    let value = &value[..value.floor_char_boundary(NOTE_BYTES_MAX)];
    let key = &key[..key.floor_char_boundary(NOTE_BYTES_MAX)];
    match exchange.notes.iter().position(|(name, _)| name == key) {
        Some(position) => value.clone_into(&mut exchange.notes[position].1),
        None if exchange.notes.len() >= NOTES_MAX => {
            if !std::mem::replace(&mut exchange.notes_dropped, true) {
                tracing::warn!(key, "more than {NOTES_MAX} notes in one exchange; this one and any other are dropped");
            }
        }
        None => exchange.notes.push((key.to_owned(), value.to_owned())),
    }
}
