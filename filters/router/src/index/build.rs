//! Putting routes into an index.

use std::cmp::Reverse;

use super::table::{Place, Table};
use super::{ANY, Expressions, HOSTS, Index, Node, WILDCARDS};
use matching::host::Pattern as Host;
use matching::pattern::{Pattern, Segment, split};

/// An index that still grows.
#[derive(Debug)]
pub struct Builder {
    steps: Table,
    nodes: Vec<Growing>,
    inserted: u32,
    has_wildcards: bool,
}

#[derive(Debug, Default)]
struct Growing {
    ending: Vec<Candidate>,
    prefix: Vec<Candidate>,
    parameter: Option<u32>,
    /// Routes by expression; only roots have them.
    regex: Vec<Candidate>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    conditions: usize,
    position: u32,
}

impl Default for Builder {
    fn default() -> Self {
        let nodes = [HOSTS, WILDCARDS, ANY].map(|_| Growing::default()).into();
        Builder { steps: Table::default(), nodes, inserted: 0, has_wildcards: false }
    }
}

impl Builder {
    /// The next route: its hosts (none: any), its paths, and how many conditions it has beside them.
    pub fn insert(&mut self, hosts: &[Host], pattern: &Pattern, conditions: usize) {
        let candidate = Candidate { conditions, position: self.inserted };
        self.inserted += 1;
        let any = [Host::Any];
        for host in if hosts.is_empty() { &any } else { hosts } {
            self.insert_at(host, pattern, candidate);
        }
    }

    fn insert_at(&mut self, host: &Host, pattern: &Pattern, candidate: Candidate) {
        let root = match host {
            Host::Any => Place::root(ANY),
            Host::Exact(name) => self.step(Place::root(HOSTS), name),
            Host::Below(name) => {
                self.has_wildcards = true;
                self.step(Place::root(WILDCARDS), name)
            }
        };
        match pattern {
            Pattern::Exact(path) => {
                let end = split(path).fold(root, |at, segment| self.step(at, segment));
                self.nodes[end.node as usize].ending.push(candidate);
            }
            Pattern::Prefix(path) if path.is_empty() => self.nodes[root.node as usize].prefix.push(candidate),
            Pattern::Prefix(path) => {
                let end = split(path).fold(root, |at, segment| self.step(at, segment));
                self.nodes[end.node as usize].prefix.push(candidate);
            }
            Pattern::Template(template) => {
                let end = template.segments().iter().fold(root, |at, segment| match segment {
                    Segment::Literal(text) => self.step(at, text),
                    Segment::Parameter(_) => self.parameter(at),
                });
                self.nodes[end.node as usize].ending.push(candidate);
            }
            Pattern::Regex(_) => self.nodes[root.node as usize].regex.push(candidate),
        }
    }

    /// The index, ready to be asked.
    pub fn finish(mut self) -> Index {
        self.steps.shrink();
        let mut routes = Vec::with_capacity(self.inserted as usize);
        let mut append = |mut candidates: Vec<Candidate>| {
            candidates.sort_by_key(|candidate| (Reverse(candidate.conditions), candidate.position));
            let start = routes.len() as u32;
            routes.extend(candidates.iter().map(|candidate| candidate.position));
            (start, routes.len() as u32)
        };
        let mut regexes = Vec::new();
        let nodes = self.nodes.into_iter().zip(0u32..).map(|(node, number)| {
            let (start, prefix) = append(node.ending);
            let (_, end) = append(node.prefix);
            if !node.regex.is_empty() {
                let (start, end) = append(node.regex);
                regexes.push(Expressions { root: number, start, end });
            }
            Node { start, prefix, end, parameter: node.parameter.unwrap_or(0) }
        });
        let nodes = nodes.collect();
        Index { steps: self.steps, nodes, regexes, routes, has_wildcards: self.has_wildcards }
    }

    fn step(&mut self, at: Place, text: &str) -> Place {
        let fresh = self.nodes.len() as u32;
        let next = self.steps.insert(at, text, fresh);
        if next.node == fresh {
            self.nodes.push(Growing::default());
        }
        next
    }

    fn parameter(&mut self, at: Place) -> Place {
        let fresh = self.nodes.len() as u32;
        let next = *self.nodes[at.node as usize].parameter.get_or_insert(fresh);
        if next == fresh {
            self.nodes.push(Growing::default());
        }
        at.aside(next)
    }
}
