//! Paths of the file system, and where the access log goes. Nothing here looks whether a file exists.

use std::path::PathBuf;

use super::super::read::{Kind, Reader};
use super::super::tree::Node;
use super::super::types::{AccessLogOutput, ModuleCache};
use super::super::words::nearest;

/// The path of a file; a relative one starts at the folder of the configuration.
pub struct File;

impl Kind for File {
    type Value = PathBuf;

    fn expected(&self) -> String {
        "the path of a file".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<PathBuf> {
        match node.as_str() {
            Some(path) if !path.is_empty() && !path.contains('\0') => Some(reader.folder().join(path)),
            _ => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &PathBuf) -> String {
        format!("{:?}", value.to_string_lossy())
    }
}

/// The path of a folder; a relative one starts at the folder of the configuration.
pub struct Folder;

impl Kind for Folder {
    type Value = PathBuf;

    fn expected(&self) -> String {
        "the path of a folder".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<PathBuf> {
        match node.as_str() {
            Some(path) if !path.is_empty() && !path.contains('\0') => Some(reader.folder().join(path)),
            _ => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &PathBuf) -> String {
        File.show(value)
    }
}

/// `"stdout"`, `"off"`, or a path.
pub struct AccessLogTarget;

impl Kind for AccessLogTarget {
    type Value = AccessLogOutput;

    fn expected(&self) -> String {
        "\"stdout\", \"off\" or the path of a file".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<AccessLogOutput> {
        match node.as_str() {
            Some("stdout") => Some(AccessLogOutput::Stdout),
            Some("off") => Some(AccessLogOutput::Off),
            // A bare word is rather a word gone wrong than a file that somebody wants.
            Some(word) if !word.is_empty() && !word.contains(['/', '.']) => {
                let help = match nearest(word, ["stdout", "off"].into_iter()) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("a file of this name is written {:?}", format!("./{word}")),
                };
                reader.mismatch_with_help(&self.expected(), node, help)
            }
            Some(_) => File.read(node, reader).map(AccessLogOutput::File),
            None => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &AccessLogOutput) -> String {
        match value {
            AccessLogOutput::Stdout => "\"stdout\"".to_owned(),
            AccessLogOutput::Off => "\"off\"".to_owned(),
            AccessLogOutput::File(path) => File.show(path),
        }
    }
}

/// `"off"`, or the path of a folder.
pub struct CacheFolder;

impl Kind for CacheFolder {
    type Value = ModuleCache;

    fn expected(&self) -> String {
        "\"off\" or the path of a folder".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<ModuleCache> {
        match node.as_str() {
            Some("off") => Some(ModuleCache::Off),
            Some(path) if !path.is_empty() && !path.contains('\0') => Some(ModuleCache::Folder(reader.folder().join(path))),
            _ => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &ModuleCache) -> String {
        match value {
            ModuleCache::User => "\"$XDG_CACHE_HOME/tamis\"".to_owned(),
            ModuleCache::Off => "\"off\"".to_owned(),
            ModuleCache::Folder(path) => File.show(path),
        }
    }
}
