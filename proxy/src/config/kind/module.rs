//! Where the module of a filter comes from. Whether it exists is found when it is loaded.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::read::{Kind, Reader};
use super::super::tree::Node;
use super::super::words::name_problem;
use super::path::File;

const EXPECTED: &str = "\"builtin:NAME\", the path of a .wasm file or an https:// address";

/// `"builtin:NAME"`, `"https://…"`, or a path.
pub struct Module;

/// What the text of `module` alone says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Builtin(Arc<str>),
    Path(PathBuf),
    Https(http::Uri),
}

impl Kind for Module {
    type Value = Place;

    fn expected(&self) -> String {
        EXPECTED.to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Place> {
        let Some(text) = node.as_str() else { return reader.mismatch(EXPECTED, node) };
        if let Some(name) = text.strip_prefix("builtin:") {
            return match name_problem(name) {
                None => Some(Place::Builtin(Arc::from(name))),
                Some(_) => reader.mismatch(EXPECTED, node),
            };
        }
        match text.split_once("://") {
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => match address(text) {
                Ok(url) => Some(Place::Https(url)),
                Err(help) => reader.mismatch_with_help(EXPECTED, node, help),
            },
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
                let help = format!("what comes by http:// could be read and replaced on its way; write https://{rest}");
                reader.mismatch_with_help(EXPECTED, node, help)
            }
            Some((scheme, _)) => {
                reader.mismatch_with_help(EXPECTED, node, format!("modules by {scheme}:// are not supported yet"))
            }
            None => File.read(node, reader).map(Place::Path),
        }
    }

    fn show(&self, value: &Place) -> String {
        match value {
            Place::Builtin(name) => format!("\"builtin:{name}\""),
            Place::Path(path) => File.show(path),
            Place::Https(url) => format!("\"{url}\""),
        }
    }
}

/// `Err` says what would do.
fn address(text: &str) -> Result<http::Uri, String> {
    let url: http::Uri = text.parse().map_err(|error| format!("this is no address: {error}"))?;
    let authority = url.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err("a name and a password cannot be part of the address".to_owned());
    }
    match url.host() {
        Some(host) if !host.is_empty() => Ok(url),
        _ => Err("the address names no host".to_owned()),
    }
}
