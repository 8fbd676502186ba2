//! Saying what is not as it should be.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::SystemTime;

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

/// Both clocks of the proxy, which is in this process.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Clocks {
    now: u128,
    steady: u128,
}

impl Clocks {
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970");
        Clocks { now: since.as_nanos(), steady: u128::from(tamis::filter::host::system::monotonic_ns()) }
    }
}

/// What the words in pointed brackets of one list of lines have to be, beside numbers.
struct Found<'a> {
    clocks: &'a RangeInclusive<Clocks>,
    steady: u128,
    drawn: Vec<String>,
}

impl Found<'_> {
    /// `<now>`, `<steady>` and `<steady+NANOSECONDS>` (that much after the one before) are times; `<random>` is a number of 64
    /// bits, `<COUNT-random>` so many bytes; `<LEAST..MOST>` is a number between these.
    fn word(&mut self, expected: &str, found: &str) -> Option<()> {
        let Some(what) = expected.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) else {
            return matches(expected, found).then_some(());
        };
        let number = || found.parse::<u128>().ok();
        let (from, to) = (self.clocks.start(), self.clocks.end());
        if what == "now" {
            return (from.now..=to.now).contains(&number()?).then_some(());
        }
        if let Some(after) = what.strip_prefix("steady") {
            let after = after.strip_prefix('+').map_or(Some(0_u128), |after| after.parse().ok())?;
            let least = from.steady.max(self.steady + after);
            self.steady = number()?;
            return (least..=to.steady).contains(&self.steady).then_some(());
        }
        if let Some(count) = what.strip_suffix("-random") {
            self.drawn.push(found.to_owned());
            return (decoded(found.strip_prefix('=')?).len() == count.parse::<usize>().ok()?).then_some(());
        }
        if what == "random" {
            self.drawn.push(found.to_owned());
            return u64::try_from(number()?).is_ok().then_some(());
        }
        let (least, most) = what.split_once("..")?;
        (least.parse::<u128>().ok()?..=most.parse::<u128>().ok()?).contains(&number()?).then_some(())
    }

    /// What was drawn is never the same, and numbers have all their bits: neither those that a double has no room for are
    /// missing, nor those past 53.
    fn is_random(&self) -> Result<(), String> {
        let distinct: BTreeSet<_> = self.drawn.iter().collect();
        same("how many of what was drawn differ", self.drawn.len(), distinct.len())?;
        let numbers: Vec<u64> = self.drawn.iter().filter_map(|drawn| drawn.parse().ok()).collect();
        let whole = numbers.iter().any(|number| number >> 53 > 0) && numbers.iter().any(|number| number % (1 << 11) > 0);
        if whole || numbers.is_empty() { Ok(()) } else { Err(format!("bits are missing: {numbers:?}")) }
    }
}

/// Line by line; where fields are listed, those of different names may stand in any order.
pub fn lines(what: &str, expected: &[String], found: &[String], clocks: &RangeInclusive<Clocks>) -> Result<(), String> {
    if expected.len() != found.len() {
        return Err(format!("{what}: expected {expected:?}, found {found:?}"));
    }
    let mut seen = Found { clocks, steady: 0, drawn: Vec::new() };
    for (expected, found) in expected.iter().zip(found) {
        let found = if found.contains(".all-headers ") { sorted(found) } else { found.clone() };
        if !expected.contains('<') {
            like(what, expected, &found)?;
            continue;
        }
        let alike = expected.split(' ').count() == found.split(' ').count();
        if !alike || expected.split(' ').zip(found.split(' ')).any(|(expected, found)| seen.word(expected, found).is_none()) {
            return Err(format!("{what}: expected {expected:?}, found {found:?}, at {clocks:?}"));
        }
    }
    seen.is_random()
}

/// What stands in a line as `%XX`.
pub fn decoded(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).expect("an escape"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
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

#[test]
fn words_in_brackets_are_held_against_the_clocks_and_each_other() {
    let clocks = Clocks { now: 100, steady: 10 }..=Clocks { now: 200, steady: 20 };
    let is = |expected: &[&str], found: &[&str]| {
        let all = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        lines("this", &all(expected), &all(found), &clocks).is_ok()
    };
    assert!(is(&["a <now>", "b <steady>", "b <steady+5>"], &["a 150", "b 12", "b 17"]));
    assert!(!is(&["a <now>"], &["a 99"]) && !is(&["a <now>"], &["a 201"]) && !is(&["a <now>"], &["a b"]));
    assert!(!is(&["b <steady>"], &["b 9"]) && !is(&["b <steady>"], &["b 21"]));
    assert!(!is(&["b <steady>", "b <steady+5>"], &["b 12", "b 16"]), "it waited less");
    assert!(is(&["n <2..4>"], &["n 4"]) && !is(&["n <2..4>"], &["n 5"]) && !is(&["n <2..4>"], &["n 4 5"]));
    assert!(is(&["r <random>", "r <random>"], &["r 9007199254740993", "r 3"]));
    assert!(!is(&["r <random>", "r <random>"], &["r 9007199254740993", "r 9007199254740993"]), "the same again");
    assert!(!is(&["r <random>"], &["r 3"]) && !is(&["r <random>"], &["r 9223372036854775808"]), "a part of the bits");
    assert!(is(&["r <3-random>"], &["r =a%00%FF"]) && !is(&["r <3-random>"], &["r =a%00"]));
}
