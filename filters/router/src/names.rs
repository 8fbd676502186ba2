//! Logical names: what `/svc/users` stands for, by a table of delegations.
//!
//! The notation is that of Finagle's dtabs, which Linkerd 1 made known: `/svc/users => /eu/prod/users-v4 ; /eu/prod => /cluster`.
//! A name is looked up from the last entry to the first; an entry whose prefix it has puts its own name in the place of the
//! prefix, and what comes out is looked up again, until it begins with `/cluster`, whose next segment is the name of a cluster.
//! Where one way leads to no cluster, the next entry before it is asked.
//!
//! - `/a => /b | /c`: the first of them that leads anywhere.
//! - `/a => 0.9 * /b & 0.1 * /c`: one of those that lead anywhere, by weight.
//! - `*` in a prefix stands for any one segment. `!` fails at once, `~` leads nowhere.

mod overrides;
mod parse;

pub use overrides::Names;

use std::collections::HashMap;

/// How often a name may be replaced: as in Finagle, where a table that goes round in circles is found out by it.
const DEPTH_MAX: usize = 100;
/// Steps of one lookup in all: a table of alternatives that grow with each step ends here as well.
const STEPS_MAX: usize = 1000;

/// Where the names begin that are clusters.
const CLUSTER: &str = "cluster";

/// A table of delegations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dtab {
    entries: Vec<Entry>,
    /// Entries whose prefix begins with two literals, by these.
    by_start: HashMap<(String, String), Vec<usize>>,
    /// All others.
    general: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    prefix: Vec<Segment>,
    to: Tree,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Any,
}

#[derive(Debug, Clone, PartialEq)]
enum Tree {
    Name(Vec<String>),
    /// The first that leads anywhere.
    First(Vec<Tree>),
    /// One of those that lead anywhere, by weight.
    Weighted(Vec<(f64, Tree)>),
    Nowhere,
    Fail,
}

/// What came of a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Cluster(String),
    Nowhere,
    /// An entry says that it shall fail, or the table goes round in circles.
    Fail,
}

/// One lookup.
struct Lookup<'a> {
    tables: &'a [&'a Dtab],
    /// Whether there is a cluster of this name.
    is_cluster: &'a mut dyn FnMut(&str) -> bool,
    /// A number from 0 up to 1, to choose by weight with.
    draw: &'a mut dyn FnMut() -> f64,
    steps: usize,
}

/// Looks up a name, its segments, in these tables; the last table comes first.
pub fn resolve(
    name: &[String],
    tables: &[&Dtab],
    is_cluster: &mut dyn FnMut(&str) -> bool,
    draw: &mut dyn FnMut() -> f64,
) -> Found {
    Lookup { tables, is_cluster, draw, steps: 0 }.name(name, 0)
}

impl Lookup<'_> {
    fn name(&mut self, name: &[String], depth: usize) -> Found {
        self.steps += 1;
        if depth > DEPTH_MAX || self.steps > STEPS_MAX {
            return Found::Fail;
        }
        if let [first, cluster, ..] = name
            && first == CLUSTER
            && (self.is_cluster)(cluster)
        {
            return Found::Cluster(cluster.clone());
        }
        let tables = self.tables;
        for table in tables.iter().rev() {
            for entry in table.candidates(name) {
                let Some(rest) = entry.rest(name) else { continue };
                match self.tree(&entry.to, rest, depth) {
                    Found::Nowhere => {}
                    found => return found,
                }
            }
        }
        Found::Nowhere
    }

    fn tree(&mut self, tree: &Tree, rest: &[String], depth: usize) -> Found {
        match tree {
            Tree::Nowhere => Found::Nowhere,
            Tree::Fail => Found::Fail,
            Tree::Name(prefix) => {
                let name: Vec<String> = prefix.iter().chain(rest).cloned().collect();
                self.name(&name, depth + 1)
            }
            Tree::First(trees) => {
                let found = trees.iter().map(|tree| self.tree(tree, rest, depth));
                found.into_iter().find(|found| *found != Found::Nowhere).unwrap_or(Found::Nowhere)
            }
            Tree::Weighted(trees) => {
                let mut left: Vec<&(f64, Tree)> = trees.iter().filter(|(weight, _)| *weight > 0.0).collect();
                while !left.is_empty() {
                    let sum: f64 = left.iter().map(|(weight, _)| weight).sum();
                    let mut drawn = (self.draw)() * sum;
                    let chosen = left.iter().position(|(weight, _)| {
                        drawn -= weight;
                        drawn < 0.0
                    });
                    let (_, tree) = left.remove(chosen.unwrap_or(left.len() - 1));
                    match self.tree(tree, rest, depth) {
                        Found::Nowhere => {}
                        found => return found,
                    }
                }
                Found::Nowhere
            }
        }
    }
}

impl Dtab {
    fn of(entries: Vec<Entry>) -> Self {
        let mut table = Dtab { entries, ..Dtab::default() };
        for (position, entry) in table.entries.iter().enumerate() {
            match entry.prefix.as_slice() {
                [Segment::Literal(first), Segment::Literal(second), ..] => {
                    table.by_start.entry((first.clone(), second.clone())).or_default().push(position);
                }
                _ => table.general.push(position),
            }
        }
        table
    }

    /// This table and then another, whose entries come before its own.
    pub fn with(mut self, other: Dtab) -> Self {
        self.entries.extend(other.entries);
        Dtab::of(self.entries)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entries that may be for this name, the last one first.
    fn candidates(&self, name: &[String]) -> impl Iterator<Item = &Entry> {
        let start = match name {
            [first, second, ..] if !self.by_start.is_empty() => self.by_start.get(&(first.clone(), second.clone())),
            _ => None,
        };
        let mut starting = start.map(Vec::as_slice).unwrap_or_default().iter().rev().peekable();
        let mut general = self.general.iter().rev().peekable();
        std::iter::from_fn(move || {
            let position = match (starting.peek(), general.peek()) {
                (Some(one), Some(other)) if one > other => starting.next(),
                (Some(_), None) => starting.next(),
                _ => general.next(),
            };
            Some(&self.entries[*position?])
        })
    }
}

impl Entry {
    /// What follows its prefix in a name that has it.
    fn rest<'a>(&self, name: &'a [String]) -> Option<&'a [String]> {
        let start = name.get(..self.prefix.len())?;
        let fits = self.prefix.iter().zip(start).all(|(wanted, found)| match wanted {
            Segment::Literal(text) => text == found,
            Segment::Any => true,
        });
        fits.then(|| &name[self.prefix.len()..])
    }
}

#[cfg(test)]
mod tests;
