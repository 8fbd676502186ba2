//! Reading a table of delegations, in Finagle's notation.

use serde::de::{self, Deserialize, Deserializer};

use super::{Dtab, Entry, Segment, Tree};

/// Longest table that is read from a request: it is read anew for each one.
pub const TEXT_MAX: usize = 8 * 1024;
/// Parentheses inside of parentheses.
const NESTING_MAX: usize = 16;

impl Dtab {
    /// Reads `/prefix => name ; …`. Empty text is an empty table.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries = text.split(';').map(str::trim).filter(|entry| !entry.is_empty());
        Ok(Dtab::of(entries.map(entry).collect::<Result<_, _>>()?))
    }
}

impl<'de> Deserialize<'de> for Dtab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Dtab::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

fn entry(text: &str) -> Result<Entry, String> {
    let Some((prefix, to)) = text.split_once("=>") else {
        return Err(format!("expected \"/prefix => /name\", found \"{text}\""));
    };
    let prefix = path(prefix.trim(), text)?.into_iter();
    let prefix = prefix.map(|segment| if segment == "*" { Segment::Any } else { Segment::Literal(segment) });
    let mut reader = Reader { left: to.trim(), whole: text, depth: 0 };
    let to = reader.first()?;
    match reader.left.is_empty() {
        true => Ok(Entry { prefix: prefix.collect(), to }),
        false => Err(reader.refuse("the end of the entry")),
    }
}

fn path(path: &str, entry: &str) -> Result<Vec<String>, String> {
    let rest = path.strip_prefix('/').filter(|_| path.bytes().all(is_path));
    let Some(rest) = rest else { return Err(format!("expected a name such as \"/svc/users\", found \"{path}\" in \"{entry}\"")) };
    let segments: Vec<String> = rest.split('/').map(str::to_owned).collect();
    match segments.as_slice() {
        [only] if only.is_empty() => Ok(Vec::new()),
        _ if segments.iter().any(String::is_empty) => Err(format!("expected no empty segments, found \"{path}\" in \"{entry}\"")),
        _ => Ok(segments),
    }
}

/// What Finagle allows in a name, and `*`.
fn is_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_:.#$%-/*\\".contains(&byte)
}

struct Reader<'a> {
    left: &'a str,
    whole: &'a str,
    depth: usize,
}

impl Reader<'_> {
    /// `a | b`, which binds less than `&`.
    fn first(&mut self) -> Result<Tree, String> {
        let mut trees = vec![self.weighted()?];
        while self.take("|") {
            trees.push(self.weighted()?);
        }
        Ok(if trees.len() == 1 { trees.remove(0) } else { Tree::First(trees) })
    }

    /// `0.9 * a & 0.1 * b`; a weight is 1 where none is written.
    fn weighted(&mut self) -> Result<Tree, String> {
        let mut trees = vec![self.weight()?];
        while self.take("&") {
            trees.push(self.weight()?);
        }
        Ok(if trees.len() == 1 { trees.remove(0).1 } else { Tree::Weighted(trees) })
    }

    fn weight(&mut self) -> Result<(f64, Tree), String> {
        let number = self.left.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.left.len());
        let (number, rest) = self.left.split_at(number);
        if number.is_empty() {
            return Ok((1.0, self.simple()?));
        }
        let (Ok(weight), Some(rest)) = (number.parse::<f64>(), rest.trim_start().strip_prefix('*')) else {
            return Err(self.refuse("a weight such as \"0.9 *\""));
        };
        self.left = rest.trim_start();
        Ok((weight, self.simple()?))
    }

    fn simple(&mut self) -> Result<Tree, String> {
        if self.take("(") {
            self.depth += 1;
            if self.depth > NESTING_MAX {
                return Err(self.refuse("fewer parentheses inside of each other"));
            }
            let tree = self.first()?;
            self.depth -= 1;
            return if self.take(")") { Ok(tree) } else { Err(self.refuse("\")\"")) };
        }
        if self.take("~") {
            return Ok(Tree::Nowhere);
        }
        if self.take("!") {
            return Ok(Tree::Fail);
        }
        let end = self.left.find(|c: char| !c.is_ascii() || !is_path(c as u8)).unwrap_or(self.left.len());
        let (name, rest) = self.left.split_at(end);
        if name.is_empty() {
            return Err(self.refuse("a name, \"~\", \"!\" or \"(\""));
        }
        let name = path(name, self.whole)?;
        if name.iter().any(|segment| segment == "*") {
            return Err(self.refuse("\"*\" in the prefix only"));
        }
        self.left = rest.trim_start();
        Ok(Tree::Name(name))
    }

    fn take(&mut self, word: &str) -> bool {
        match self.left.strip_prefix(word) {
            Some(rest) => {
                self.left = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn refuse(&self, expected: &str) -> String {
        let found = if self.left.is_empty() { "its end".to_owned() } else { format!("\"{}\"", self.left) };
        format!("expected {expected}, found {found} in \"{}\"", self.whole)
    }
}
