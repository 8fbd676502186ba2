//! Just enough of Rust's words to find paths: identifiers, `::`, and single signs. Comments, strings and characters are left out.

/// One word, and the line it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

pub fn of(source: &str) -> Vec<Token> {
    let mut scanner = Scanner { rest: source, line: 1 };
    let mut tokens = Vec::new();
    while let Some(token) = scanner.next() {
        tokens.push(token);
    }
    tokens
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<Token> {
        loop {
            let first = self.rest.chars().next()?;
            if first.is_whitespace() {
                self.skip(first.len_utf8());
            } else if self.rest.starts_with("//") {
                self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                self.skip(block_comment(self.rest));
            } else if let Some(length) = literal(self.rest) {
                self.skip(length);
            } else {
                let length = word(self.rest);
                let token = Token { text: self.rest[..length].to_owned(), line: self.line };
                self.skip(length);
                return Some(token);
            }
        }
    }

    fn skip(&mut self, length: usize) {
        let (skipped, rest) = self.rest.split_at(length);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }
}

fn word(rest: &str) -> usize {
    let is_part = |sign: char| sign.is_alphanumeric() || sign == '_';
    let length = rest.find(|sign| !is_part(sign)).unwrap_or(rest.len());
    match length {
        0 if rest.starts_with("::") => 2,
        0 => rest.chars().next().map_or(0, char::len_utf8),
        length => length,
    }
}

/// The length of a block comment, in which others may be nested.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of a string or character literal, if one stands here. A lifetime is none.
fn literal(rest: &str) -> Option<usize> {
    let prefix = rest.find(|sign: char| !matches!(sign, 'b' | 'c' | 'r'))?;
    let hashes = rest[prefix..].find(|sign| sign != '#')?;
    if prefix <= 2 && rest[..prefix].ends_with('r') && rest[prefix + hashes..].starts_with('"') {
        let close = format!("\"{}", "#".repeat(hashes));
        let opened = prefix + hashes + 1;
        return Some(rest[opened..].find(&close).map_or(rest.len(), |end| opened + end + close.len()));
    }
    match &rest[prefix.min(1)..] {
        text if prefix <= 1 && text.starts_with('"') => Some(prefix + quoted(text, '"')),
        text if prefix <= 1 && text.starts_with('\'') && is_character(text) => Some(prefix + quoted(text, '\'')),
        _ => None,
    }
}

/// `'a'` and `'\n'`, but not `'a` of a lifetime.
fn is_character(text: &str) -> bool {
    let mut signs = text.chars().skip(1);
    match signs.next() {
        Some('\\') => true,
        Some(_) => signs.next() == Some('\''),
        None => false,
    }
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, sign) in text.char_indices().skip(1) {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if sign == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        of(source).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn paths_are_words_and_double_colons() {
        assert_eq!(texts("use crate::http::{self};"), ["use", "crate", "::", "http", "::", "{", "self", "}", ";"]);
    }

    #[test]
    fn what_is_not_code_is_left_out() {
        let source = "a /* b /* c */ d */ // e\n\"f \\\" g\" b\"h\" r#\"i \" j\"# 'k' '\\'' 'l m: &'static n";
        assert_eq!(texts(source), ["a", "'", "l", "m", ":", "&", "'", "static", "n"]);
    }

    #[test]
    fn lines_are_counted_through_what_is_left_out() {
        let tokens = of("/*\n\n*/ a\n\"\n\" b");
        assert_eq!(tokens.iter().map(|token| token.line).collect::<Vec<_>>(), [3, 5]);
    }
}
