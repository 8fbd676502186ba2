//! Words for messages: names, near misses, what is repeated of a long text. Nothing here knows the configuration.

/// Bytes of a name of a listener, cluster or filter: it is a label in metrics and logs.
pub const NAME_BYTES_MAX: usize = 128;
/// Characters of a wrong value that a message repeats.
const QUOTED_CHARS_MAX: usize = 60;

/// What is wrong with the name of a listener, cluster or filter.
pub fn name_problem(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(allowed) {
        return None;
    }
    let expected = format!("expected a name of 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`");
    Some(format!("{expected}, found {:?}", shortened(name)))
}

/// The known word that was probably meant. Case and `_` for `-` do not count as mistakes here.
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |word: &str| word.to_lowercase().replace('_', "-");
    let word = plain(word);
    let distance_max = (word.chars().count() / 3).max(1);
    known
        .map(|known| (strsim::damerau_levenshtein(&word, &plain(known)), known))
        .filter(|(distance, known)| *distance <= distance_max && *distance < known.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// `a`, `b` and `c`, in code quotes.
pub fn listed<'k>(words: impl Iterator<Item = &'k str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// What a message repeats of a long text.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word() {
        let known = ["listen", "filters", "header-underscores", "to"];
        let near = |word| nearest(word, known.into_iter());
        assert_eq!(near("listne"), Some("listen"));
        assert_eq!(near("HEADER_UNDERSCORES"), Some("header-underscores"));
        assert_eq!(near("filter"), Some("filters"));
        assert_eq!(near("allow"), None);
        assert_eq!(near(""), None);
        assert_eq!(near("größe"), None);
    }

    #[test]
    fn names() {
        for good in ["a", "users-v1", "A.b_C-9"] {
            assert_eq!(name_problem(good), None, "{good}");
        }
        for bad in ["", "a b", "ü", "a/b", &"a".repeat(NAME_BYTES_MAX + 1)] {
            assert!(name_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("é"), "é");
        assert_eq!(shortened(&"é".repeat(100)), format!("{}…", "é".repeat(QUOTED_CHARS_MAX)));
    }
}
