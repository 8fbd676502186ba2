//! What is kept of the versions of the configuration: a manifest, and the texts by their hash. Written like everything in the
//! state directory, the manifest last.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::StateError;
use super::directory::{entries, make, write};
use crate::admin::configs::{ConfigVersion, Configs, From};
use crate::filter::module::hash;

const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Manifest {
    format: u32,
    /// The hash of what the file said; `null`: the file holds.
    over: Option<String>,
    versions: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    number: u64,
    at: String,
    from: String,
    of: Option<u64>,
    before: Option<u64>,
    hash: String,
}

/// `None`: nothing was kept yet, or nothing of it is whole. One damaged version is no reason to lose the others.
pub fn read(folder: &Path) -> Result<Option<Configs>, StateError> {
    let file = folder.join(MANIFEST);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StateError::io("read", &file)(error)),
    };
    let damaged = |why: String| StateError::Damaged { path: file.clone(), why };
    let manifest: Manifest = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if manifest.format != FORMAT {
        let (found, expected) = (manifest.format.to_string(), FORMAT.to_string());
        return Err(StateError::Format { path: file, found, expected });
    }
    let mut list = Vec::new();
    let newest = manifest.versions.last().map_or(0, |entry| entry.number);
    for entry in manifest.versions {
        let at = humantime::parse_rfc3339(&entry.at).map_err(|_| damaged(format!("{:?} is no time", entry.at)))?;
        let from = From::named(&entry.from).ok_or_else(|| damaged(format!("{:?} is no origin", entry.from)))?;
        let Entry { number, of, before, .. } = entry;
        match read_text(folder, &entry.hash) {
            Ok(text) => list.push(ConfigVersion { number, at, from, of, before, hash: entry.hash.into(), text }),
            Err(error) if error.is_loss() => tracing::error!(version = number, %error, "a version of the configuration is lost"),
            // It may be whole: without it, the next change would remove it.
            Err(error) => return Err(error),
        }
    }
    let Some(live) = list.last() else { return Ok(None) };
    // Nothing holds over the file that is what the file said.
    let over = manifest.over.filter(|over| **over != *live.hash).map(Arc::from);
    if newest != live.number {
        tracing::error!(
            version = live.number,
            "the version of the configuration that was live is lost; the newest that is left takes its place"
        );
    }
    let configs = Configs::restore(list, newest, over);
    configs.map(Some).ok_or_else(|| damaged("its versions do not fit together".to_owned()))
}

fn read_text(folder: &Path, wanted: &str) -> Result<Arc<str>, StateError> {
    let file = folder.join(text_name(wanted));
    let text = fs::read_to_string(&file).map_err(StateError::io("read", &file))?;
    let found = hash(text.as_bytes());
    if found == wanted {
        return Ok(text.into());
    }
    Err(StateError::Damaged { path: file, why: format!("its content has the SHA-256 {found}") })
}

fn text_name(hash: &str) -> String {
    format!("{hash}.toml")
}

/// What no version names any more goes afterwards.
pub fn keep(folder: &Path, configs: &Configs) -> Result<(), StateError> {
    make(folder)?;
    for version in configs.iter() {
        if read_text(folder, &version.hash).is_err() {
            write(folder, &text_name(&version.hash), version.text.as_bytes())?;
        }
    }
    let entry = |version: &ConfigVersion| Entry {
        number: version.number,
        at: humantime::format_rfc3339_millis(version.at).to_string(),
        from: version.from.name().to_owned(),
        of: version.of,
        before: version.before,
        hash: version.hash.to_string(),
    };
    let over = configs.over().map(|hash| hash.to_string());
    let manifest = Manifest { format: FORMAT, over, versions: configs.iter().map(entry).collect() };
    // Strings and numbers only: there is nothing that JSON cannot say.
    let mut text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    text.push('\n');
    write(folder, MANIFEST, text.as_bytes())?;
    let needed: BTreeSet<String> = configs.iter().map(|version| text_name(&version.hash)).collect();
    for file in entries(folder)? {
        let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if name != MANIFEST && !needed.contains(name) {
            // It is only in the way: the next change tries again.
            let _ = fs::remove_file(&file);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn hashed(text: &str) -> Arc<str> {
        hash(text.as_bytes()).into()
    }

    #[test]
    fn what_was_kept_is_there_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("config");
        assert_eq!(read(&folder).expect("nothing is no mistake"), None);
        let at = SystemTime::UNIX_EPOCH;
        let mut configs = Configs::begin("a = 1\n".into(), hashed("a = 1\n"), at);
        configs.add(From::Put, "b = 1\n".into(), hashed("b = 1\n"), &hashed("a = 1\n"), at, 2);
        keep(&folder, &configs).expect("kept");
        assert_eq!(read(&folder).expect("as it was"), Some(configs.clone()));
        configs.add(From::File, "c = 1\n".into(), hashed("c = 1\n"), &hashed("c = 1\n"), at, 2);
        keep(&folder, &configs).expect("kept");
        assert_eq!(read(&folder).expect("as it was"), Some(configs));
        assert!(!folder.join(text_name(&hashed("a = 1\n"))).exists(), "nobody can go back to it");
    }

    #[test]
    fn what_is_lost_takes_nothing_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("config");
        let at = SystemTime::UNIX_EPOCH;
        let mut configs = Configs::begin("a = 1\n".into(), hashed("a = 1\n"), at);
        for text in ["b = 1\n", "c = 1\n"] {
            configs.add(From::Put, text.into(), hashed(text), &hashed("a = 1\n"), at, 8);
        }
        keep(&folder, &configs).expect("kept");
        let lost = |text: &str| fs::write(folder.join(text_name(&hashed(text))), "damaged").expect("written");
        let left = || read(&folder).expect("one that is lost is no mistake");
        let numbers = |configs: &Configs| configs.iter().map(|version| version.number).collect::<Vec<_>>();
        lost("b = 1\n");
        let found = left().expect("two are left");
        assert_eq!((numbers(&found), found.over().is_some()), (vec![1, 3], true));
        fs::remove_file(folder.join(text_name(&hashed("c = 1\n")))).expect("it was there");
        let found = left().expect("one is left");
        assert_eq!((numbers(&found), found.over()), (vec![1], None), "it is what the file said");
        let mut next = found;
        next.add(From::File, "d = 1\n".into(), hashed("d = 1\n"), &hashed("d = 1\n"), at, 8);
        assert_eq!(numbers(&next), [1, 4], "what somebody knows as the third is no other one");
        fs::create_dir(folder.join(text_name(&hashed("c = 1\n")))).expect("it is not there");
        assert!(matches!(read(&folder), Err(StateError::Io { .. })), "what cannot be read now may be whole");
        fs::remove_dir(folder.join(text_name(&hashed("c = 1\n")))).expect("it was made");
        lost("a = 1\n");
        assert_eq!(left(), None);
        keep(&folder, &configs).expect("kept");
        assert_eq!(left(), Some(configs), "what is kept again is whole");
        fs::write(folder.join(MANIFEST), "{}").expect("written");
        assert!(matches!(read(&folder), Err(StateError::Damaged { .. })));
    }
}
