//! A list of endpoints in a file of its own: one a line, or a JSON array.
//!
//! Each entry is what an item of `endpoints` may be: an address, or a table of that and labels. A line that is a bare address
//! needs no quotes. Whatever the form, the entries are read as TOML, one a line, so that a mistake has its line.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use super::kind::{EndpointKind, List};
use super::problem::{Problem, Problems};
use super::read::{Kind, Reader};
use super::source::Source;
use super::text::Text;
use super::tree::Node;
use super::types::{Endpoint, EndpointSpec};

/// Bytes of a list: as many endpoints as an array may have, with labels.
pub const LIST_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reads and judges a list. Names are for the configuration: a list is made by somebody who knows addresses.
pub fn endpoint_list(path: &Path) -> Result<Vec<Endpoint>, Problems> {
    let of_file = |message: String| Problems::from(Problem::of_file(&Arc::new(Text::new(path, String::new())), message));
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(LIST_BYTES_MAX + 1).read_to_string(&mut text));
    read.map_err(|error| of_file(format!("cannot read the list of endpoints: {error}")))?;
    if text.len() as u64 > LIST_BYTES_MAX {
        return Err(of_file(format!("expected a list of endpoints of at most {LIST_BYTES_MAX} bytes")));
    }
    let entries = match text.trim_start().starts_with('[') {
        true => of_json(&text).map_err(|error| of_file(format!("expected a JSON array of endpoints: {error}")))?,
        false => of_lines(&text),
    };
    judge(path, entries)
}

/// The entries as TOML, one a line, in an array that takes no line of its own.
const OPENING: &str = "endpoints = [";

fn of_lines(text: &str) -> String {
    let mut entries = OPENING.to_owned();
    for line in text.lines() {
        let line = line.trim();
        let entry = line.trim_end_matches(',');
        match entry.chars().next() {
            None => {}
            Some('#') => {}
            Some('"' | '\'' | '{') => entries.extend([entry, ","]),
            // Debug quotes as TOML does, so that anything is one text.
            Some(_) => entries.extend([&*format!("{entry:?}"), ","]),
        }
        entries.push('\n');
    }
    entries + "]"
}

fn of_json(text: &str) -> Result<String, serde_json::Error> {
    let items: Vec<Json> = serde_json::from_str(text)?;
    let mut entries = OPENING.to_owned();
    for item in items {
        toml_of(&item, &mut entries);
        entries.push_str(",\n");
    }
    Ok(entries + "]")
}

/// What JSON writes of texts and numbers, TOML reads. Nothing has no word in TOML; the reader refuses the one that it gets.
fn toml_of(value: &Json, text: &mut String) {
    match value {
        Json::Object(fields) => {
            text.push_str("{ ");
            for (place, (name, value)) in fields.iter().enumerate() {
                text.push_str(if place == 0 { "" } else { ", " });
                text.push_str(&Json::from(name.as_str()).to_string());
                text.push_str(" = ");
                toml_of(value, text);
            }
            text.push_str(" }");
        }
        Json::Array(items) => {
            text.push('[');
            for item in items {
                toml_of(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Json::Null => text.push_str("\"null\""),
        other => text.push_str(&other.to_string()),
    }
}

fn judge(path: &Path, entries: String) -> Result<Vec<Endpoint>, Problems> {
    let text = Arc::new(Text::new(path, entries));
    let tree = Node::parse(text.as_str()).map_err(|wrong| Problem::new(&text, wrong.span, wrong.message))?;
    let source = Source::new(text, tree);
    let reader = Reader::new(&source);
    let list = source.tree().get("endpoints").and_then(|node| {
        let endpoints = List::of_distinct(EndpointKind).read(node, &reader)?;
        for (endpoint, item) in endpoints.iter().zip(node.items()) {
            if let EndpointSpec::Name { host, .. } = &endpoint.at {
                let message = format!("expected an IP address and a port, found the name {host:?}");
                reader.add(reader.problem(item.span.clone(), message).with_help("names stand in `endpoints` of the cluster"));
            }
        }
        Some(endpoints)
    });
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(list.unwrap_or_default()) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<Vec<Endpoint>, Problems> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("users.list");
        fs::write(&file, text).expect("written");
        endpoint_list(&file)
    }

    #[test]
    fn lines_and_json_say_the_same() {
        let lines =
            "# of the deployment\n10.0.0.1:80\n\n\"[::1]:80\",\n{ address = \"10.0.0.2:81\", labels = { zone = \"a\" } }\n";
        let json = "\n [\"10.0.0.1:80\", \"[::1]:80\",\n{\"address\": \"10.0.0.2:81\", \"labels\": {\"zone\": \"a\"}}]";
        let found = list(lines).expect("valid");
        assert_eq!(found, list(json).expect("valid"));
        let addresses: Vec<_> = found.iter().map(|endpoint| endpoint.at.clone()).collect();
        let expected = ["10.0.0.1:80", "[::1]:80", "10.0.0.2:81"];
        assert_eq!(addresses, expected.map(|address| EndpointSpec::Address(address.parse().expect("an address"))));
        assert_eq!(found[2].labels.get("zone").map(String::as_str), Some("a"));
        assert_eq!(list("").expect("empty"), []);
        assert_eq!(list("[]").expect("empty"), []);
    }

    #[test]
    fn every_mistake_has_its_line() {
        let problems = list("10.0.0.1:80\n10.0.0.2\n\n10.0.0.1:80\n{ adress = \"x\" }").expect_err("three of them");
        let found: Vec<_> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(found, [2, 4, 5, 5], "{problems}");
        let said = problems.to_string();
        for part in ["the port is missing", "given twice", "unknown key `adress`"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let problems = list("10.0.0.1:80\nusers.internal:80").expect_err("a name");
        assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [2]);
        assert!(problems.to_string().contains("found the name \"users.internal\""), "{problems}");
    }

    #[test]
    fn what_is_no_list_is_no_crash() {
        for text in ["[1, 2", "[null]", "{}", "{", "\u{0}", "= =", "[[\"10.0.0.1:80\"]]", "\"\"\"", "{\"a\": 1}"] {
            assert!(list(text).is_err(), "{text:?}");
        }
        assert!(endpoint_list(Path::new("/nowhere/users.list")).expect_err("no file").to_string().contains("cannot read"));
    }
}
