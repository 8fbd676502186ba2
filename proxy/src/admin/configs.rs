//! The versions of the configuration: every text that went live, where it came from, and the way back. Plain data; keeping it
//! and making it live is done by whoever runs the proxy.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};

/// Texts of all versions together that are remembered: of large configurations only the last few.
const TEXT_BYTES_MAX: usize = 128 << 20;

/// Where a configuration came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    File,
    /// Somebody put it through the admin.
    Put,
    /// Somebody went back to a version.
    Rollback,
}

impl From {
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Put => "put",
            Self::Rollback => "rollback",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        [Self::File, Self::Put, Self::Rollback].into_iter().find(|from| from.name() == name)
    }
}

/// A configuration, as it was live or is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigVersion {
    /// Counts from 1; every change makes another.
    pub number: u64,
    pub at: SystemTime,
    pub from: From,
    /// The version that a rollback went back to.
    pub of: Option<u64>,
    /// What the next rollback goes back to.
    pub before: Option<u64>,
    /// SHA-256 of the text.
    pub hash: Arc<str>,
    pub text: Arc<str>,
}

/// See the module. The last version is the live one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configs {
    list: Vec<ConfigVersion>,
    /// The last number that was given: none is given twice, though its version be lost.
    newest: u64,
    /// The hash of what the file said when something else than it was made live; `None`: the file holds.
    over: Option<Arc<str>>,
}

/// Why there is no way back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoWayBack {
    #[error("no version was live before version {0}")]
    First(u64),
    #[error("there is no version {found} of the configuration; there are {known}")]
    Number { found: u64, known: String },
}

impl Configs {
    /// What the file says.
    pub fn begin(text: Arc<str>, hash: Arc<str>, at: SystemTime) -> Self {
        let first = ConfigVersion { number: 1, at, from: From::File, of: None, before: None, hash, text };
        Self { list: vec![first], newest: 1, over: None }
    }

    /// As they were kept, `newest` included if it is lost. `None` if they do not fit together.
    pub fn restore(list: Vec<ConfigVersion>, newest: u64, over: Option<Arc<str>>) -> Option<Self> {
        let ordered = list.is_sorted_by(|a, b| a.number < b.number) && list.last().is_some_and(|last| last.number <= newest);
        ordered.then_some(Self { list, newest, over })
    }

    pub fn live(&self) -> &ConfigVersion {
        // There is one from the beginning on, and the last is never forgotten.
        &self.list[self.list.len() - 1]
    }

    /// What the file said when something else was made live over it; `None`: the file holds.
    pub fn over(&self) -> Option<&Arc<str>> {
        self.over.as_ref()
    }

    /// The oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigVersion> {
        self.list.iter()
    }

    /// Another text is live. `file`: the hash of what the file says now.
    pub fn add(&mut self, from: From, text: Arc<str>, hash: Arc<str>, file: &Arc<str>, at: SystemTime, keep: usize) {
        let before = Some(self.live().number);
        self.push(ConfigVersion { number: 0, at, from, of: None, before, hash, text }, file, keep);
    }

    /// A version is live again, as a new one.
    pub fn go_back(&mut self, to: &ConfigVersion, file: &Arc<str>, at: SystemTime, keep: usize) {
        let next = ConfigVersion { at, from: From::Rollback, of: Some(to.number), ..to.clone() };
        self.push(next, file, keep);
    }

    fn push(&mut self, version: ConfigVersion, file: &Arc<str>, keep: usize) {
        self.newest += 1;
        let number = self.newest;
        self.over = (version.hash != *file).then(|| Arc::clone(file));
        self.list.push(ConfigVersion { number, ..version });
        let mut bytes: usize = self.list.iter().map(|version| version.text.len()).sum();
        // The live one and one before it always stay.
        while self.list.len() > 2 && (self.list.len() > keep || bytes > TEXT_BYTES_MAX) {
            bytes -= self.list.remove(0).text.len();
        }
    }

    /// Which version is meant; `None`: the one that was live before.
    pub fn find(&self, to: Option<u64>) -> Result<&ConfigVersion, NoWayBack> {
        let Some(wanted) = to.or(self.live().before) else { return Err(NoWayBack::First(self.live().number)) };
        let found = self.list.iter().find(|version| version.number == wanted);
        found.ok_or_else(|| {
            let known: Vec<_> = self.list.iter().map(|version| version.number.to_string()).collect();
            NoWayBack::Number { found: wanted, known: known.join(", ") }
        })
    }

    /// For whoever asks.
    pub fn shown(&self) -> Value {
        let version = |version: &ConfigVersion| {
            json!({
                "version": version.number,
                "at": humantime::format_rfc3339_millis(version.at).to_string(),
                "from": version.from.name(),
                "of": version.of,
                "before": version.before,
                "hash": format!("sha256:{}", version.hash),
                "bytes": version.text.len(),
                "live": version.number == self.live().number,
            })
        };
        json!({
            "live": self.live().number,
            "holds": if self.over.is_some() { "put" } else { "file" },
            "versions": self.list.iter().rev().map(version).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn put(configs: &mut Configs, text: &str, file: &str) {
        configs.add(From::Put, text.into(), text.into(), &file.into(), NOW, 4);
    }

    fn back(configs: &mut Configs, to: Option<u64>) -> Result<(u64, String), NoWayBack> {
        let found = configs.find(to)?.clone();
        configs.go_back(&found, &"file".into(), NOW, 4);
        Ok((configs.live().number, configs.live().text.to_string()))
    }

    #[test]
    fn every_change_is_a_version_and_the_way_back_leads_to_what_was_before() {
        let mut configs = Configs::begin("file".into(), "file".into(), NOW);
        assert_eq!(back(&mut configs, None), Err(NoWayBack::First(1)));
        put(&mut configs, "a", "file");
        put(&mut configs, "b", "file");
        assert!(configs.over().is_some());
        assert_eq!(back(&mut configs, None), Ok((4, "a".to_owned())));
        assert_eq!((configs.live().of, configs.live().from), (Some(2), From::Rollback));
        assert_eq!(back(&mut configs, None), Ok((5, "file".to_owned())));
        assert_eq!(configs.over(), None, "the file holds again");
        assert_eq!(back(&mut configs, Some(3)), Ok((6, "b".to_owned())));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut configs = Configs::begin("file".into(), "file".into(), NOW);
        for text in ["a", "b", "c", "d"] {
            put(&mut configs, text, "file");
        }
        assert_eq!(configs.iter().map(|version| version.number).collect::<Vec<_>>(), [2, 3, 4, 5]);
        let error = configs.find(Some(1)).expect_err("forgotten");
        assert_eq!(error.to_string(), "there is no version 1 of the configuration; there are 2, 3, 4, 5");
    }
}
