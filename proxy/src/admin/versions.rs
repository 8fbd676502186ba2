//! The versions of one filter: what was pushed over the file, what of it is live, and the way back. Plain data; keeping
//! it and making it live is done by whoever runs the proxy.
//!
//! A version says of a filter's module and of its `config` whether the file's is meant or one that was pushed. All else
//! about a filter is always the file's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

/// What can be pushed over the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Module,
    Config,
}

impl Part {
    pub const ALL: [Self; 2] = [Self::Module, Self::Config];

    pub fn name(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Config => "config",
        }
    }
}

/// What the file says of the parts: hashes, so that a change shows. A module that is built in goes by its name, for it
/// changes with every release and the file does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub module: Arc<str>,
    pub config: Arc<str>,
}

impl Base {
    pub fn part(&self, part: Part) -> &Arc<str> {
        match part {
            Part::Module => &self.module,
            Part::Config => &self.config,
        }
    }

    fn part_mut(&mut self, part: Part) -> &mut Arc<str> {
        match part {
            Part::Module => &mut self.module,
            Part::Config => &mut self.config,
        }
    }
}

/// A module with a configuration, as it was live or is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Counts the versions of one filter, from 1.
    pub number: u64,
    /// When it was pushed.
    pub at: SystemTime,
    /// The version that was live before it, where there is one still.
    pub before: Option<u64>,
    /// The hash of the module that was pushed; `None`: the file's.
    pub module: Option<Arc<str>>,
    /// The hash of the configuration that was pushed; `None`: the file's.
    pub config: Option<Arc<str>>,
    /// What the file said then.
    pub base: Base,
}

impl Version {
    pub fn part(&self, part: Part) -> Option<&Arc<str>> {
        match part {
            Part::Module => self.module.as_ref(),
            Part::Config => self.config.as_ref(),
        }
    }

    pub fn is_the_files(&self) -> bool {
        self.module.is_none() && self.config.is_none()
    }
}

/// What is to be gone back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The version that was live before the live one was pushed.
    Before,
    Number(u64),
    /// The latest version with this module; the beginning of a hash will do.
    Module(String),
}

/// Characters of a hash that name a module.
pub const HASH_CHARS_MIN: usize = 8;

/// Why there is no way back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoWayBack {
    #[error("nothing was live before version {0}; expected a filter with an earlier version")]
    First(u64),
    #[error("there is no version {found}; there are {known}")]
    Number { found: u64, known: String },
    #[error("no version has the module {found}; there are {known}")]
    Module { found: String, known: String },
}

/// The versions of one filter, one of them live. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    live: u64,
    /// By number.
    list: Vec<Version>,
}

impl Versions {
    /// Before the first push: the file's own.
    pub fn begin(base: Base, at: SystemTime) -> Self {
        let first = Version { number: 1, at, before: None, module: None, config: None, base };
        Self { live: 1, list: vec![first] }
    }

    /// As they were kept. `None` if they do not fit together.
    pub fn restore(live: u64, list: Vec<Version>) -> Option<Self> {
        let ordered = list.is_sorted_by(|a, b| a.number < b.number);
        let known = |number: u64| list.iter().any(|version| version.number == number);
        let linked = list.iter().all(|version| version.before.is_none_or(known));
        (ordered && linked && known(live)).then_some(Self { live, list })
    }

    pub fn live(&self) -> &Version {
        // One of them is live from the beginning on, and none that is live is ever forgotten.
        self.list.iter().find(|version| version.number == self.live).unwrap_or(&self.list[0])
    }

    fn live_mut(&mut self) -> &mut Version {
        let at = self.list.iter().position(|version| version.number == self.live).unwrap_or(0);
        &mut self.list[at]
    }

    /// The oldest first.
    pub fn iter(&self) -> std::slice::Iter<'_, Version> {
        self.list.iter()
    }

    /// The hashes of everything pushed that a version still needs.
    pub fn needed(&self, part: Part) -> BTreeSet<Arc<str>> {
        self.list.iter().filter_map(|version| version.part(part).cloned()).collect()
    }

    /// The parts about which the file says something else than it did when the live version was pushed over it. One where
    /// the file now says what was pushed is none.
    pub fn conflicts(&self, now: &Base) -> Vec<Part> {
        let live = self.live();
        let differs = |part: &Part| match live.part(*part) {
            Some(pushed) => live.base.part(*part) != now.part(*part) && pushed != now.part(*part),
            None => false,
        };
        Part::ALL.into_iter().filter(differs).collect()
    }

    /// One part is pushed over the file, which says `now`. Of all versions, `keep` are remembered. False if just that was
    /// live already.
    pub fn push(&mut self, part: Part, hash: Arc<str>, now: &Base, at: SystemTime, keep: usize) -> bool {
        self.follow(now);
        let live = self.live_mut();
        if live.part(part) == Some(&hash) {
            live.base = now.clone();
            return false;
        }
        let mut next = Version { at, before: Some(live.number), base: now.clone(), ..live.clone() };
        match part {
            Part::Module => next.module = Some(hash),
            Part::Config => next.config = Some(hash),
        }
        next.number = self.list.last().map_or(0, |last| last.number) + 1;
        self.live = next.number;
        self.list.push(next);
        self.forget(keep);
        true
    }

    /// Which version is meant.
    pub fn find(&self, target: &Target) -> Result<&Version, NoWayBack> {
        match target {
            Target::Before => {
                let live = self.live();
                let before = self.list.iter().find(|version| Some(version.number) == live.before);
                before.ok_or(NoWayBack::First(live.number))
            }
            Target::Number(number) => self.list.iter().find(|version| version.number == *number).ok_or_else(|| {
                let known: Vec<_> = self.list.iter().map(|version| version.number.to_string()).collect();
                NoWayBack::Number { found: *number, known: known.join(", ") }
            }),
            Target::Module(hash) => {
                let of_module = |version: &&Version| {
                    hash.len() >= HASH_CHARS_MIN && version.module.as_ref().is_some_and(|module| module.starts_with(&**hash))
                };
                self.list.iter().rev().find(of_module).ok_or_else(|| {
                    let known: Vec<_> = self.needed(Part::Module).iter().map(|hash| format!("sha256:{hash}")).collect();
                    let known = if known.is_empty() { "none that were pushed".to_owned() } else { known.join(", ") };
                    NoWayBack::Module { found: hash.clone(), known }
                })
            }
        }
    }

    /// The parts that version took from the file, which says something else of them now.
    pub fn moved(version: &Version, now: &Base) -> Vec<Part> {
        let moved = |part: &Part| version.part(*part).is_none() && version.base.part(*part) != now.part(*part);
        Part::ALL.into_iter().filter(moved).collect()
    }

    /// A version goes live again, over a file that says `now`.
    pub fn go(&mut self, number: u64, now: &Base) {
        self.follow(now);
        self.live = number;
        self.live_mut().base = now.clone();
    }

    /// What is pushed holds over what the file says now.
    pub fn hold(&mut self, now: &Base) {
        self.live_mut().base = now.clone();
    }

    /// Where the live version is the file's, it is what the file says now.
    pub fn follow(&mut self, now: &Base) {
        let live = self.live_mut();
        for part in Part::ALL {
            if live.part(part).is_none() {
                *live.base.part_mut(part) = Arc::clone(now.part(part));
            }
        }
    }

    /// The oldest are forgotten, but never the live one nor the one before it; the way back leads around them.
    fn forget(&mut self, keep: usize) {
        while self.list.len() > keep {
            let (live, before) = (self.live, self.live().before);
            let spared = |number: u64| number == live || Some(number) == before;
            let Some(at) = self.list.iter().position(|version| !spared(version.number)) else { return };
            let gone = self.list.remove(at);
            for version in &mut self.list {
                if version.before == Some(gone.number) {
                    version.before = gone.before;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn base(module: &str, config: &str) -> Base {
        Base { module: module.into(), config: config.into() }
    }

    fn pushed(modules: &[&str], keep: usize) -> Versions {
        let file = base("file", "{}");
        let mut versions = Versions::begin(file.clone(), NOW);
        for module in modules {
            assert!(versions.push(Part::Module, (*module).into(), &file, NOW, keep));
        }
        versions
    }

    fn back(versions: &mut Versions) -> Result<u64, NoWayBack> {
        let number = versions.find(&Target::Before)?.number;
        let now = versions.live().base.clone();
        versions.go(number, &now);
        Ok(number)
    }

    #[test]
    fn the_way_back_leads_to_what_was_live_before() {
        let mut versions = pushed(&["a", "b"], 10);
        assert_eq!((back(&mut versions), back(&mut versions)), (Ok(2), Ok(1)));
        assert!(versions.live().is_the_files());
        assert_eq!(back(&mut versions), Err(NoWayBack::First(1)));
        // What is pushed after going back has nothing to do with what was left behind.
        versions.push(Part::Module, "c".into(), &base("file", "{}"), NOW, 10);
        assert_eq!((versions.live().number, back(&mut versions)), (4, Ok(1)));
    }

    #[test]
    fn one_version_can_be_named() {
        let versions = pushed(&["aaaaaaaa1", "aaaaaaaa2"], 10);
        let number = |target: Target| versions.find(&target).map(|version| version.number);
        assert_eq!(number(Target::Number(2)), Ok(2));
        assert_eq!(number(Target::Module("aaaaaaaa".into())), Ok(3), "the latest");
        assert_eq!(number(Target::Module("aaaaaaaa1".into())), Ok(2));
        assert!(number(Target::Module("aaaa".into())).is_err(), "too short to mean one");
        let error = number(Target::Number(9)).expect_err("no such version");
        assert_eq!(error.to_string(), "there is no version 9; there are 1, 2, 3");
    }

    #[test]
    fn the_oldest_are_forgotten_and_the_way_back_leads_around_them() {
        let mut versions = pushed(&["a", "b", "c", "d"], 3);
        let numbers: Vec<_> = versions.iter().map(|version| version.number).collect();
        assert_eq!(numbers, [3, 4, 5]);
        assert_eq!((back(&mut versions), back(&mut versions)), (Ok(4), Ok(3)));
        assert_eq!(back(&mut versions), Err(NoWayBack::First(3)));
        // Where a push left from stays although it is the oldest.
        versions.push(Part::Module, "e".into(), &base("file", "{}"), NOW, 2);
        let numbers: Vec<_> = versions.iter().map(|version| version.number).collect();
        assert_eq!((numbers, back(&mut versions)), (vec![3, 6], Ok(3)));
    }

    #[test]
    fn a_push_of_what_is_live_is_no_version() {
        let mut versions = pushed(&["a"], 10);
        assert!(!versions.push(Part::Module, "a".into(), &base("other", "{}"), NOW, 10));
        assert_eq!(versions.iter().count(), 2);
        assert_eq!(versions.conflicts(&base("other", "{}")), [], "but it holds over the file of now");
    }

    #[test]
    fn a_conflict_is_a_pushed_part_that_the_file_says_anew() {
        let versions = pushed(&["a"], 10);
        assert_eq!(versions.conflicts(&base("file", "{}")), []);
        assert_eq!(versions.conflicts(&base("file", "{1}")), [], "the configuration is the file's anyway");
        assert_eq!(versions.conflicts(&base("other", "{}")), [Part::Module]);
        assert_eq!(versions.conflicts(&base("a", "{}")), [], "the file has caught up");
    }

    #[test]
    fn going_back_to_a_file_that_has_changed_is_seen() {
        let mut versions = pushed(&["a"], 10);
        versions.push(Part::Config, "c".into(), &base("file", "{}"), NOW, 10);
        let first = versions.find(&Target::Number(1)).expect("the file's");
        assert_eq!(Versions::moved(first, &base("file", "{1}")), [Part::Config]);
        let second = versions.find(&Target::Number(2)).expect("the module's");
        assert_eq!(Versions::moved(second, &base("other", "{}")), [], "its module was pushed");
    }

    #[test]
    fn the_live_version_of_the_file_follows_the_file() {
        let mut versions = Versions::begin(base("file", "{}"), NOW);
        versions.push(Part::Module, "a".into(), &base("later", "{}"), NOW, 10);
        let first = versions.find(&Target::Before).expect("the file's");
        assert_eq!(Versions::moved(first, &base("later", "{}")), []);
    }

    #[test]
    fn what_does_not_fit_together_is_not_restored() {
        let list: Vec<_> = pushed(&["a", "b"], 10).iter().cloned().collect();
        assert!(Versions::restore(2, list.clone()).is_some());
        assert!(Versions::restore(7, list.clone()).is_none());
        assert!(Versions::restore(3, list[1..].to_vec()).is_none(), "the way back leads nowhere");
        assert!(Versions::restore(1, list.into_iter().rev().collect()).is_none());
        assert!(Versions::restore(1, Vec::new()).is_none());
    }
}
