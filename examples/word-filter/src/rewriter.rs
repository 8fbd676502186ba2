//! Finding words in a stream.

use std::collections::BTreeMap;
use std::rc::Rc;

/// What is searched for, and what takes its place. Of two words that begin at one place, the longer one counts.
#[derive(Debug)]
pub struct Words {
    /// By their first byte, the longest first.
    by_first: Vec<Vec<Word>>,
    ignore_case: bool,
    whole: bool,
}

#[derive(Debug)]
struct Word {
    find: Vec<u8>,
    replace: Vec<u8>,
}

/// One text on its way through.
#[derive(Debug)]
pub struct Rewriter {
    words: Rc<Words>,
    /// What came and may still become a word.
    held: Vec<u8>,
    /// The byte before it, as it came.
    before: Option<u8>,
}

/// What begins at a place.
enum Found<'a> {
    Word(&'a Word),
    Nothing,
    /// What follows will tell.
    Unsure,
}

impl Words {
    pub fn new(words: BTreeMap<String, String>, ignore_case: bool, whole: bool) -> Self {
        let mut by_first: Vec<Vec<Word>> = (0..256).map(|_| Vec::new()).collect();
        for (find, replace) in words {
            let mut find = find.into_bytes();
            if ignore_case {
                find.make_ascii_lowercase();
            }
            by_first[usize::from(find[0])].push(Word { find, replace: replace.into_bytes() });
        }
        for words in &mut by_first {
            words.sort_by_key(|word| std::cmp::Reverse(word.find.len()));
        }
        Words { by_first, ignore_case, whole }
    }

    fn find(&self, text: &[u8], before: Option<u8>, end: bool) -> Found<'_> {
        if self.whole && before.is_some_and(of_a_word) {
            return Found::Nothing;
        }
        for word in &self.by_first[usize::from(self.folded(text[0]))] {
            let common = text.iter().zip(&word.find).take_while(|(found, wanted)| self.folded(**found) == **wanted).count();
            let whole_text_fits = common == text.len();
            if common == word.find.len() {
                match text.get(common) {
                    Some(next) if self.whole && of_a_word(*next) => continue,
                    None if self.whole && !end => return Found::Unsure,
                    _ => return Found::Word(word),
                }
            }
            if whole_text_fits && !end {
                return Found::Unsure;
            }
        }
        Found::Nothing
    }

    fn folded(&self, byte: u8) -> u8 {
        if self.ignore_case { byte.to_ascii_lowercase() } else { byte }
    }
}

impl Rewriter {
    pub fn new(words: Rc<Words>) -> Self {
        Rewriter { words, held: Vec::new(), before: None }
    }

    /// What of the text can go on. With `end`, all of it does.
    pub fn rewrite(&mut self, bytes: &[u8], end: bool) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(bytes);
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            let taken = match self.words.find(&text[at..], self.before, end) {
                Found::Word(word) => {
                    out.extend_from_slice(&word.replace);
                    word.find.len()
                }
                Found::Nothing => {
                    out.push(text[at]);
                    1
                }
                Found::Unsure => break,
            };
            at += taken;
            self.before = Some(text[at - 1]);
        }
        self.held = text.split_off(at);
        out
    }
}

/// Letters, digits, and whatever is not ASCII.
fn of_a_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[(&str, &str)], ignore_case: bool, whole: bool) -> Rc<Words> {
        let list = list.iter().map(|(find, replace)| ((*find).to_owned(), (*replace).to_owned())).collect();
        Rc::new(Words::new(list, ignore_case, whole))
    }

    fn all(words: &Rc<Words>, pieces: &[&[u8]]) -> String {
        let mut rewriter = Rewriter::new(words.clone());
        let last = pieces.len() - 1;
        let out: Vec<u8> = pieces.iter().enumerate().flat_map(|(at, piece)| rewriter.rewrite(piece, at == last)).collect();
        assert!(rewriter.held.is_empty());
        String::from_utf8(out).unwrap()
    }

    /// However the text is torn, the result is the same.
    fn torn(words: &Rc<Words>, text: &str, expected: &str) {
        let text = text.as_bytes();
        assert_eq!(all(words, &[text]), expected);
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..], b""];
                assert_eq!(all(words, &pieces), expected, "torn at {first} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(all(words, &bytes), expected, "byte by byte");
    }

    #[test]
    fn a_word_is_found_wherever_it_is_torn() {
        let words = words(&[("cat", "dog"), ("bird", "")], false, false);
        torn(&words, "cat ca cat cacat bird.catbir", "dog ca dog cadog .dogbir");
    }

    #[test]
    fn of_two_words_the_longer_counts() {
        let words = words(&[("cat", "1"), ("cattle", "2"), ("catt", "3"), ("tl", "4")], false, false);
        torn(&words, "cat catt cattl cattle", "1 3 3l 2");
    }

    #[test]
    fn whole_words_have_borders() {
        let words = words(&[("cat", "dog"), ("cat food", "dog food")], false, true);
        torn(
            &words,
            "cat concat cats cat, cat-cat cat food cat foods écat cat",
            "dog concat cats dog, dog-dog dog food dog foods écat dog",
        );
    }

    #[test]
    fn case_can_be_ignored() {
        torn(&words(&[("Cat", "Dog")], true, true), "cat CAT Cat cats", "Dog Dog Dog cats");
        torn(&words(&[("Cat", "Dog")], false, true), "cat CAT Cat", "cat CAT Dog");
    }

    #[test]
    fn nothing_is_held_back_that_cannot_become_a_word() {
        let mut rewriter = Rewriter::new(words(&[("cattle", "cow")], false, true));
        assert_eq!(rewriter.rewrite(b"the cats and the cat", false), b"the cats and the ");
        assert_eq!(rewriter.rewrite(b"s ca", false), b"cats ");
        assert_eq!(rewriter.rewrite(b"", true), b"ca");
    }
}
