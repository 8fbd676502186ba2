//! The manifest of one filter: its versions as a JSON text. Nothing here reads or writes a file.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::admin::versions::{Base, Version, Versions};

/// What this version of tamis writes and reads.
pub const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Manifest {
    format: u32,
    filter: String,
    live: u64,
    versions: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    number: u64,
    at: String,
    before: Option<u64>,
    /// A hash; `null`: the file's.
    module: Option<String>,
    config: Option<String>,
    /// What the file said then.
    file_module: String,
    file_config: String,
}

/// Why a text is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("format {0}")]
    Format(u32),
    #[error("it is of the filter `{0}`")]
    OtherFilter(String),
    #[error("expected a time such as 2026-01-01T12:00:00Z, found {0:?}")]
    Time(String),
    #[error("expected a SHA-256 of 64 hexadecimal digits, found {0:?}")]
    Hash(String),
    #[error("its versions do not fit together")]
    Versions,
}

pub fn write(filter: &str, versions: &Versions) -> String {
    let text = |hash: &Arc<str>| hash.to_string();
    let entry = |version: &Version| Entry {
        number: version.number,
        at: humantime::format_rfc3339_millis(version.at).to_string(),
        before: version.before,
        module: version.module.as_ref().map(text),
        config: version.config.as_ref().map(text),
        file_module: text(&version.base.module),
        file_config: text(&version.base.config),
    };
    let entries = versions.iter().map(entry).collect();
    let manifest = Manifest { format: FORMAT, filter: filter.to_owned(), live: versions.live().number, versions: entries };
    // Strings and numbers only: there is nothing that JSON cannot say.
    let mut text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    text.push('\n');
    text
}

pub fn read(filter: &str, text: &str) -> Result<Versions, Unreadable> {
    #[derive(Deserialize)]
    struct AnyFormat {
        format: u32,
    }
    // Another format may have other fields, which must not be what is complained of.
    let AnyFormat { format } = serde_json::from_str(text)?;
    if format != FORMAT {
        return Err(Unreadable::Format(format));
    }
    let manifest: Manifest = serde_json::from_str(text)?;
    if manifest.filter != filter {
        return Err(Unreadable::OtherFilter(manifest.filter));
    }
    let version = |entry: Entry| {
        Ok(Version {
            number: entry.number,
            at: humantime::parse_rfc3339(&entry.at).map_err(|_| Unreadable::Time(entry.at))?,
            before: entry.before,
            module: entry.module.map(hash).transpose()?,
            config: entry.config.map(hash).transpose()?,
            base: Base { module: entry.file_module.into(), config: entry.file_config.into() },
        })
    };
    let list = manifest.versions.into_iter().map(version).collect::<Result<_, Unreadable>>()?;
    Versions::restore(manifest.live, list).ok_or(Unreadable::Versions)
}

/// It becomes the name of a file.
fn hash(text: String) -> Result<Arc<str>, Unreadable> {
    let is_one = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_one { Ok(text.into()) } else { Err(Unreadable::Hash(text)) }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::admin::versions::Part;

    fn versions() -> Versions {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let base = Base { module: "builtin:router".into(), config: "c".repeat(64).into() };
        let mut versions = Versions::begin(base.clone(), at);
        versions.push(Part::Module, "a".repeat(64).into(), &base, at, 10);
        versions.push(Part::Config, "b".repeat(64).into(), &base, at, 10);
        versions
    }

    #[test]
    fn what_was_written_is_read() {
        let versions = versions();
        assert_eq!(read("routes", &write("routes", &versions)).expect("a manifest"), versions);
    }

    #[test]
    fn anything_else_is_told() {
        let good = write("routes", &versions());
        let cases = [
            (good.replace("\"format\": 1", "\"format\": 2"), "format 2"),
            (good.replace("\"routes\"", "\"other\""), "`other`"),
            (good.replace(&"a".repeat(64), "../../etc/passwd"), "SHA-256"),
            (good.replace("\"live\": 3", "\"live\": 4"), "fit together"),
            (good.replace("\"live\": 3", "\"live\": 3, \"more\": 1"), "unknown field"),
            (good.replace("2023-", "soon-"), "expected a time"),
            (good[..good.len() / 2].to_owned(), "EOF"),
            (String::new(), "EOF"),
        ];
        for (text, says) in cases {
            let error = read("routes", &text).expect_err(says).to_string();
            assert!(error.contains(says), "{error}: {says}");
        }
    }
}
