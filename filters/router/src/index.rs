//! Finding a route: one hash table that leads from host to path, segment by segment.
//!
//! A route is asked whether its conditions hold in this order: the host as it is, then the longest wildcard, then any host;
//! within a host the path as it is, then templates (the one whose first segment in doubt is a literal comes first), then
//! regular expressions, then prefixes (the longest first); for the same paths those with more conditions, then those that come first in the file. The
//! first that agrees is taken, so a route whose conditions fail hides none that is less specific.
//!
//! Everything lies in a few flat tables, so that a large index is no further away than a small one.

mod build;
mod table;

pub use build::Builder;

use table::{Place, Table};

/// The node that leads to hosts as they are.
const HOSTS: u32 = 0;
/// The node that leads to wildcards, by what follows their `*`.
const WILDCARDS: u32 = 1;
/// The root of the paths of any host.
const ANY: u32 = 2;

/// Routes by host and path. A route is known by its position in the order of insertion.
#[derive(Debug)]
pub struct Index {
    /// From a node and a segment (or a host) to the node below.
    steps: Table,
    nodes: Vec<Node>,
    /// By root, in order.
    regexes: Vec<Expressions>,
    /// Positions of routes, node by node.
    routes: Vec<u32>,
    has_wildcards: bool,
}

/// Sixteen bytes, so that reading one is never reading two lines of the cache.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// Where its routes begin: first those for the path that ends here, then those for everything below it as well.
    start: u32,
    prefix: u32,
    end: u32,
    /// Where a segment leads that is none of the literals; zero: nowhere.
    parameter: u32,
}

/// Where the routes of a host begin and end that know their paths by an expression.
#[derive(Debug, Clone, Copy)]
struct Expressions {
    root: u32,
    start: u32,
    end: u32,
}

impl Index {
    /// The first route for this host and path that agrees, in the order of this module. `host` is
    /// [normalized](matching::host::normalized).
    pub fn find(&self, host: &str, path: &str, mut agrees: impl FnMut(usize) -> bool) -> Option<usize> {
        if let Some(root) = self.steps.get(Place::root(HOSTS), host)
            && let Some(found) = self.below(root, path, &mut agrees)
        {
            return Some(found);
        }
        if self.has_wildcards {
            for (dot, _) in host.match_indices('.') {
                if let Some(root) = self.steps.get(Place::root(WILDCARDS), &host[dot..])
                    && let Some(found) = self.below(root, path, &mut agrees)
                {
                    return Some(found);
                }
            }
        }
        self.below(Place::root(ANY), path, &mut agrees)
    }

    /// Within a host: whole paths first, then expressions, then prefixes.
    fn below(&self, root: Place, path: &str, agrees: &mut impl FnMut(usize) -> bool) -> Option<usize> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let found = self.whole(root, Some(path), agrees);
        let found = found.or_else(|| self.expressions(root, agrees));
        found.or_else(|| self.prefixes(root, Some(path), agrees))
    }

    /// Whether an expression is for the path is for the route to say.
    fn expressions(&self, root: Place, agrees: &mut impl FnMut(usize) -> bool) -> Option<usize> {
        let at = self.regexes.binary_search_by_key(&root.node, |expressions| expressions.root).ok()?;
        self.first(self.regexes[at].start, self.regexes[at].end, agrees)
    }

    /// `left` is what has not been walked yet; `None` at the end of the path. A literal is tried before a parameter, and where
    /// it leads nowhere the parameter is.
    fn whole(&self, at: Place, left: Option<&str>, agrees: &mut impl FnMut(usize) -> bool) -> Option<usize> {
        let node = self.nodes[at.node as usize];
        let Some(left) = left else { return self.first(node.start, node.prefix, agrees) };
        let (segment, left) = step(left);
        if let Some(next) = self.steps.get(at, segment)
            && let Some(found) = self.whole(next, left, agrees)
        {
            return Some(found);
        }
        match node.parameter {
            0 => None,
            _ if segment.is_empty() => None,
            next => self.whole(at.aside(next), left, agrees),
        }
    }

    /// The longest prefix comes first, so the walk goes down before it asks.
    fn prefixes(&self, at: Place, left: Option<&str>, agrees: &mut impl FnMut(usize) -> bool) -> Option<usize> {
        if let Some((segment, left)) = left.map(step)
            && let Some(next) = self.steps.get(at, segment)
            && let Some(found) = self.prefixes(next, left, agrees)
        {
            return Some(found);
        }
        let node = self.nodes[at.node as usize];
        self.first(node.prefix, node.end, agrees)
    }

    fn first(&self, start: u32, end: u32, agrees: &mut impl FnMut(usize) -> bool) -> Option<usize> {
        let routes = &self.routes[start as usize..end as usize];
        routes.iter().map(|position| *position as usize).find(|position| agrees(*position))
    }
}

/// The next segment, and what follows it.
fn step(left: &str) -> (&str, Option<&str>) {
    match left.split_once('/') {
        Some((segment, left)) => (segment, Some(left)),
        None => (left, None),
    }
}

#[cfg(test)]
mod tests;
