//! What traces need: a share, the address of a collector, and tables of texts.

use std::collections::BTreeMap;

use super::super::read::{Kind, Reader};
use super::super::tree::{Node, Value};
use super::super::types;

/// Entries of a table of texts: more is no longer an attribute.
const TEXTS_MAX: usize = 64;

/// `"1%"`, with up to four digits behind the point.
pub struct Share;

impl Kind for Share {
    type Value = types::Share;

    fn expected(&self) -> String {
        "a share from \"0%\" to \"100%\" such as \"0.5%\"".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<types::Share> {
        match node.as_str().and_then(share) {
            Some(share) => Some(share),
            None => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &types::Share) -> String {
        let (whole, rest) = (value.0 / 10_000, value.0 % 10_000);
        let rest = if rest == 0 { String::new() } else { format!(".{}", format!("{rest:04}").trim_end_matches('0')) };
        format!("\"{whole}{rest}%\"")
    }
}

fn share(text: &str) -> Option<types::Share> {
    let number = text.strip_suffix('%')?;
    let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(rest) || whole.len() > 3 || rest.len() > 4 {
        return None;
    }
    let share = whole.parse::<u32>().ok()? * 10_000 + format!("{rest:0<4}").parse::<u32>().ok()?;
    (share <= types::Share::WHOLE).then_some(types::Share(share))
}

/// `http://host:port/path`, or `https://`.
pub struct Collector;

impl Kind for Collector {
    type Value = http::Uri;

    fn expected(&self) -> String {
        "an address such as \"http://127.0.0.1:4318/v1/traces\"".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<http::Uri> {
        let Some(text) = node.as_str() else { return reader.mismatch(&self.expected(), node) };
        let Ok(url) = text.parse::<http::Uri>() else { return reader.mismatch(&self.expected(), node) };
        if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none_or(str::is_empty) {
            return reader.mismatch(&self.expected(), node);
        }
        if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            let help = "a name and a password cannot be part of the address; write them as a field";
            return reader.mismatch_with_help(&self.expected(), node, help);
        }
        Some(url)
    }

    fn show(&self, value: &http::Uri) -> String {
        format!("\"{value}\"")
    }
}

/// Texts by their names.
pub struct Texts;

impl Kind for Texts {
    type Value = BTreeMap<String, String>;

    fn expected(&self) -> String {
        "a table of strings such as { region = \"eu\" }".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Self::Value> {
        let Value::Table(entries) = &node.value else { return reader.mismatch(&self.expected(), node) };
        if entries.len() > TEXTS_MAX {
            reader.report(node.span.clone(), format!("expected at most {TEXTS_MAX} entries, found {}", entries.len()));
            return None;
        }
        let text = |entry: &super::super::tree::Entry| match entry.node.as_str() {
            Some(text) => Some((entry.key.clone(), text.to_owned())),
            None => reader.mismatch("a string", &entry.node),
        };
        let read: Vec<_> = entries.iter().map(text).collect();
        read.into_iter().collect()
    }

    fn show(&self, value: &Self::Value) -> String {
        if value.is_empty() {
            return "{}".to_owned();
        }
        let texts: Vec<_> = value.iter().map(|(name, text)| format!("{name:?} = {text:?}")).collect();
        format!("{{ {} }}", texts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_as_it_is_shown() {
        for (text, parts) in [("0%", 0), ("1%", 10_000), ("0.5%", 5_000), ("12.3456%", 123_456), ("100%", 1_000_000)] {
            assert_eq!(share(text), Some(types::Share(parts)), "{text}");
            assert_eq!(Share.show(&types::Share(parts)), format!("\"{text}\""));
        }
        for text in ["", "%", "1", "100.1%", "-1%", "1.%", ".5%", "1.23456%", "1e1%", "9999%"] {
            assert_eq!(share(text), None, "{text}");
        }
    }
}
