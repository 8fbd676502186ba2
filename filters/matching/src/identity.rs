//! Who a client's verified certificate says it is.

use serde::de::{self, Deserialize, Deserializer};

/// `spiffe://example.org/ns/*/sa/web`, `*.example.org`, `client.example.org`.
///
/// In a name with slashes `*` stands for one segment that is not empty, and `**` at the end for one or more. In a DNS name
/// `*` stands for the labels at the front, at least one. Names are compared byte for byte, DNS names without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    Any,
    Segments { segments: Vec<String>, open: bool },
    Dns(String),
    Below(String),
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| {
            Err(format!(
                "expected an identity such as \"spiffe://example.org/ns/*/sa/web\" or \"*.example.org\", {why} \"{text}\""
            ))
        };
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return refuse("found");
        }
        if text == "*" {
            return Ok(Pattern::Any);
        }
        if !text.contains('/') {
            return match text.strip_prefix('*') {
                Some(rest) if rest.starts_with('.') && rest.len() > 1 && !rest.contains('*') => {
                    Ok(Pattern::Below(rest.to_ascii_lowercase()))
                }
                None if !text.contains('*') => Ok(Pattern::Dns(text.to_ascii_lowercase())),
                _ => refuse("where \"*\" stands for whole labels at the front, found"),
            };
        }
        let (text, open) = match text.strip_suffix("/**") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let segments: Vec<String> = text.split('/').map(str::to_owned).collect();
        if segments.iter().any(|segment| segment.contains('*') && segment != "*") {
            return refuse("where \"*\" stands for a whole segment and \"**\" for the last ones, found");
        }
        Ok(Pattern::Segments { segments, open })
    }

    pub fn matches(&self, identity: &str) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Dns(name) => identity.eq_ignore_ascii_case(name),
            Pattern::Below(end) => identity
                .len()
                .checked_sub(end.len())
                .and_then(|start| identity.get(start..).filter(|_| start > 0))
                .is_some_and(|tail| tail.eq_ignore_ascii_case(end) && !identity.contains('/')),
            Pattern::Segments { segments, open } => {
                let mut found = identity.split('/');
                let all = segments
                    .iter()
                    .all(|wanted| found.next().is_some_and(|found| found == wanted || wanted == "*" && !found.is_empty()));
                all && match (open, found.next()) {
                    (true, first) => first.is_some_and(|first| !first.is_empty()),
                    (false, first) => first.is_none(),
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Pattern::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_for_whole_parts() {
        for (pattern, identity, matches) in [
            ("spiffe://td/ns/a/sa/b", "spiffe://td/ns/a/sa/b", true),
            ("spiffe://td/ns/*/sa/b", "spiffe://td/ns/x/sa/b", true),
            ("spiffe://td/ns/*/sa/b", "spiffe://td/ns//sa/b", false),
            ("spiffe://td/ns/*/sa/b", "spiffe://td/ns/x/y/sa/b", false),
            ("spiffe://td/ns/a/**", "spiffe://td/ns/a/sa/b", true),
            ("spiffe://td/ns/a/**", "spiffe://td/ns/a", false),
            ("spiffe://td/ns/a/**", "spiffe://td/ns/a/", false),
            ("spiffe://td/**", "spiffe://td.evil/x", false),
            ("*.example.org", "a.b.EXAMPLE.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "spiffe://x/a.example.org", false),
            ("example.org", "Example.org", true),
            ("*", "anything", true),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(identity), matches, "{pattern} {identity}");
        }
    }

    #[test]
    fn patterns_that_mean_nothing_are_refused() {
        for bad in ["", "a*", "*a", "a.*", "spiffe://td/a*", "spiffe://td/**/b", "*.*", "a b"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
