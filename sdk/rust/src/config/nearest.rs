//! Which known word somebody probably meant.

/// The known word that is fewest edits away, if few enough.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let distances = known.iter().map(|known| (edits(word, known), *known));
    let (distance, near) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= word.chars().count().max(near.chars().count()) / 2).then_some(near)
}

/// `a`, `b` or `c`, in quotes.
pub(super) fn listed(known: &[&str]) -> String {
    known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// How many letters must be put in, taken out or replaced.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_a_stranger_is_not() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(nearest("path-prefx", &["path", "path-prefix", "host"]), Some("path-prefix"));
        assert_eq!(nearest("zzz", &["path", "host"]), None);
        assert_eq!(nearest("x", &[]), None);
    }
}
