//! The configuration: plain data, what it may say, and what is wrong with it.
//!
//! [`load`] turns a file into a [`Config`] or into every mistake at once. Nothing below this module reads configuration
//! text, nothing here holds runtime state, opens a socket or compiles a module.

mod bounds;
mod check;
pub mod defaults;
mod kind;
mod list;
mod printed;
mod problem;
mod read;
pub mod reference;
mod sections;
mod shown;
mod sidecar;
mod source;
mod table;
mod text;
mod tree;
pub mod types;
mod words;

#[cfg(test)]
mod tests;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

pub use list::endpoint_list;
pub use problem::{Problem, Problems};
pub use shown::{hidden_in, without_passwords as shown};
pub use source::{Source, Step};
pub use types::*;

use self::read::Reader;
use text::Text;
use tree::Node;

/// Bytes of a configuration file: what a program makes of a hundred thousand routes is under it, a log file given by
/// mistake is not.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A configuration without a mistake of its own, and where it was read.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    /// To place mistakes that are found later, by a filter or by opening what the file names.
    pub source: Source,
}

/// Reads and judges a file. That it cannot be read is a mistake, too.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    examine(path)?.into_loaded()
}

/// Judges the text of `file`, from whose folder relative paths in it start. A text that is no TOML has that one mistake;
/// otherwise all are told at once.
pub fn parse(text: &str, file: &Path) -> Result<Loaded, Problems> {
    examine_text(Text::new(file, text.to_owned()))?.into_loaded()
}

/// A configuration that may have mistakes. What is wrong in it has been left out or has its default, so that the parts
/// that are right can still be looked at.
#[derive(Debug, Clone)]
pub struct Examined {
    pub loaded: Loaded,
    pub problems: Problems,
}

impl Examined {
    fn into_loaded(self) -> Result<Loaded, Problems> {
        if self.problems.is_empty() { Ok(self.loaded) } else { Err(self.problems) }
    }
}

/// Reads a file like [`load`], for whoever wants to find further mistakes beside those of the text. Fails where there is
/// nothing to look at: the file cannot be read, or is no TOML.
pub fn examine(path: &Path) -> Result<Examined, Problems> {
    examine_text(Text::new(path, read(path)?))
}

/// The same of a text that came another way: it is called `name` where its mistakes are told, and relative paths in it start in
/// `folder`.
pub fn examine_as(text: &str, name: &Path, folder: &Path) -> Result<Examined, Problems> {
    examine_text(Text::placed(name, folder, text.to_owned()))
}

/// The text of a configuration file.
pub fn read(path: &Path) -> Result<String, Problems> {
    let of_file = |message: String| Problems::from(Problem::of_file(&Arc::new(Text::new(path, String::new())), message));
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| of_file(format!("cannot read the configuration: {error}")))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(of_file(format!("expected a configuration of at most {FILE_BYTES_MAX} bytes")));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = Arc::new(Text::new(path, String::from_utf8_lossy(error.as_bytes()).into_owned()));
            Err(Problem::new(&text, at..at + 1, "expected UTF-8 text").into())
        }
    }
}

fn examine_text(text: Text) -> Result<Examined, Problems> {
    let text = Arc::new(text);
    let tree = Node::parse(text.as_str()).map_err(|wrong| Problem::new(&text, wrong.span, wrong.message))?;
    let source = sidecar::written_out(Source::new(text, tree));
    let reader = Reader::new(&source);
    let config = reader.top(sections::config);
    check::whole(&reader);
    let problems = reader.into_problems();
    Ok(Examined { loaded: Loaded { config, source }, problems })
}
