//! Saying what is not as it should be.

/// Whether a text is as the pattern has it: `*` is anything, `?` any one character.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return text.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    if first == '*' {
        return (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| matches(rest, &text[at..]));
    }
    text.chars().next().is_some_and(|found| (first == '?' || first == found) && matches(rest, &text[found.len_utf8()..]))
}

pub fn like(what: &str, pattern: &str, found: &str) -> Result<(), String> {
    if matches(pattern, found) { Ok(()) } else { Err(format!("{what}: expected {pattern:?}, found {found:?}")) }
}

pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, found: T) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what}: expected {expected:?}, found {found:?}")) }
}

/// Of what is too long to be shown: where it is another.
pub fn long(what: &str, expected: &[u8], found: &[u8]) -> Result<(), String> {
    match expected.iter().zip(found).position(|(expected, found)| expected != found) {
        Some(at) => Err(format!("{what}: another from byte {at} of {}", expected.len())),
        None => same(&format!("the length of {what}"), expected.len(), found.len()),
    }
}

/// Line by line; where fields are listed, those of different names may stand in any order.
pub fn lines(what: &str, expected: &[String], found: &[String]) -> Result<(), String> {
    if expected.len() != found.len() {
        return Err(format!("{what}: expected {expected:?}, found {found:?}"));
    }
    let listed = |line: &String| if line.contains(".all-headers ") { sorted(line) } else { line.clone() };
    expected.iter().zip(found).try_for_each(|(expected, found)| like(what, expected, &listed(found)))
}

fn sorted(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    words[1..].sort_by_key(|word| word.split('=').next());
    words.join(" ")
}

#[test]
fn patterns_match() {
    assert!(matches("a*c", "abbc") && matches("*", "") && matches("?*", "a") && matches("=1", "=1"));
    assert!(long("this", b"ab", b"ab").is_ok() && long("this", b"ab", b"a").is_err() && long("this", b"ab", b"ac").is_err());
    assert!(!matches("?*", "") && !matches("a*c", "abb") && !matches("=", "=1"));
}
