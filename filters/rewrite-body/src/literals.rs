//! Finding texts in a stream, however it is torn.

use aho_corasick::{AhoCorasick, BuildError, MatchKind};

/// Texts and what takes their places. Of two that begin at one place, the longer one counts; what was put in is not searched.
#[derive(Debug)]
pub struct Literals {
    find: Vec<Vec<u8>>,
    replace: Vec<Vec<u8>>,
    automaton: AhoCorasick,
    longest: usize,
    ignore_case: bool,
}

/// One body on its way through.
#[derive(Debug, Default)]
pub struct Stream {
    /// What came and may still become a text that is searched for.
    held: Vec<u8>,
    /// How many were replaced.
    pub replaced: usize,
}

impl Literals {
    pub fn new(list: Vec<(String, String)>, ignore_case: bool) -> Result<Self, BuildError> {
        let (find, replace): (Vec<Vec<u8>>, Vec<Vec<u8>>) =
            list.into_iter().map(|(find, replace)| (find.into_bytes(), replace.into_bytes())).unzip();
        let mut builder = AhoCorasick::builder();
        let automaton = builder.match_kind(MatchKind::LeftmostLongest).ascii_case_insensitive(ignore_case).build(&find)?;
        let longest = find.iter().map(Vec::len).max().unwrap_or(0);
        Ok(Literals { find, replace, automaton, longest, ignore_case })
    }

    pub fn is_empty(&self) -> bool {
        self.find.is_empty()
    }

    /// Where what ends the text, and may be the beginning of one that is searched for, begins: not before `from`.
    fn unsure(&self, text: &[u8], from: usize) -> usize {
        let first = from.max((text.len() + 1).saturating_sub(self.longest));
        (first..text.len()).find(|at| self.begins(&text[*at..])).unwrap_or(text.len())
    }

    /// Whether something that is searched for begins so, and is longer.
    fn begins(&self, end: &[u8]) -> bool {
        self.find.iter().any(|find| {
            find.len() > end.len()
                && match self.ignore_case {
                    true => find[..end.len()].eq_ignore_ascii_case(end),
                    false => find[..end.len()] == *end,
                }
        })
    }
}

impl Stream {
    /// What of the body can go on; with `end`, all of it. Nothing is held back but what may still become a text that is searched
    /// for. After `count_max` replacements the rest goes on as it is.
    pub fn pass(&mut self, literals: &Literals, bytes: &[u8], end: bool, count_max: usize) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(bytes);
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        let border = |at: usize| if end { text.len() } else { literals.unsure(&text, at) };
        let mut unsure = border(0);
        while self.replaced < count_max {
            let input = aho_corasick::Input::new(&text).range(at..);
            let Some(found) = literals.automaton.find(input).filter(|found| found.start() < unsure) else { break };
            out.extend_from_slice(&text[at..found.start()]);
            out.extend_from_slice(&literals.replace[found.pattern().as_usize()]);
            at = found.end();
            self.replaced += 1;
            if unsure < at {
                unsure = border(at);
            }
        }
        let sure = if self.replaced < count_max { unsure } else { text.len() };
        out.extend_from_slice(&text[at..sure]);
        self.held = text.split_off(sure);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literals(list: &[(&str, &str)], ignore_case: bool) -> Literals {
        Literals::new(list.iter().map(|(find, replace)| ((*find).to_owned(), (*replace).to_owned())).collect(), ignore_case)
            .unwrap()
    }

    fn all(literals: &Literals, pieces: &[&[u8]], count_max: usize) -> String {
        let mut stream = Stream::default();
        let last = pieces.len() - 1;
        let pass = |(at, piece): (usize, &&[u8])| stream.pass(literals, piece, at == last, count_max);
        let out: Vec<u8> = pieces.iter().enumerate().flat_map(pass).collect();
        assert!(stream.held.is_empty());
        String::from_utf8(out).unwrap()
    }

    /// However the body is torn, the result is the same.
    fn torn(literals: &Literals, text: &str, expected: &str) {
        let text = text.as_bytes();
        assert_eq!(all(literals, &[text], 99), expected);
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..], b""];
                assert_eq!(all(literals, &pieces, 99), expected, "torn at {first} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(all(literals, &bytes, 99), expected, "byte by byte");
    }

    #[test]
    fn a_text_is_found_wherever_it_is_torn() {
        torn(&literals(&[("cat", "dog"), ("bird", "")], false), "cat ca cat cacat bird.catbir", "dog ca dog cadog .dogbir");
        torn(&literals(&[("aab", "x")], false), "aaab aaaab aa", "ax aax aa");
    }

    #[test]
    fn of_two_the_longer_counts() {
        let list = [("cat", "1"), ("cattle", "2"), ("catt", "3"), ("tl", "4")];
        torn(&literals(&list, false), "cat catt cattl cattle", "1 3 3l 2");
        torn(&literals(&[("abcd", "1"), ("bc", "2"), ("cde", "3")], false), "abcx abcd abcde bcde", "a2x 1 1e 2de");
    }

    #[test]
    fn what_was_put_in_is_not_searched() {
        torn(&literals(&[("a", "aa"), ("b", "a")], false), "abba", "aaaaaa");
    }

    #[test]
    fn case_can_be_ignored() {
        torn(&literals(&[("Cat", "Dog")], true), "cat CAT Cat ca", "Dog Dog Dog ca");
        torn(&literals(&[("Cat", "Dog")], false), "cat CAT Cat", "cat CAT Dog");
    }

    #[test]
    fn nothing_is_held_back_that_cannot_become_one() {
        let literals = literals(&[("cattle", "cow")], false);
        let mut stream = Stream::default();
        assert_eq!(stream.pass(&literals, b"the cats and the cat", false, 99), b"the cats and the ");
        assert_eq!(stream.pass(&literals, b"s ca", false, 99), b"cats ");
        assert_eq!(stream.pass(&literals, b"", true, 99), b"ca");
    }

    #[test]
    fn after_the_last_replacement_nothing_is_held_back() {
        let literals = literals(&[("cat", "dog")], false);
        assert_eq!(all(&literals, &[b"cat cat c", b"at ca"], 2), "dog dog cat ca");
        let mut stream = Stream::default();
        assert_eq!(stream.pass(&literals, b"cat ca", false, 1), b"dog ca");
    }
}
