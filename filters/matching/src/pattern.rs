//! Which paths a rule is for.

use serde::de::{self, Deserialize, Deserializer};

use crate::name::check_path;
use crate::regex::Regex;

/// Which paths a rule is for. Paths are compared segment by segment, byte for byte, percent-escapes as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// This very path.
    Exact(String),
    /// This path and everything below it, without the slash at its end: `/users`, empty for everything.
    Prefix(String),
    /// Paths of this shape.
    Template(Template),
    /// Paths that match this as a whole.
    Regex(Regex),
}

/// A path of which some segments may be anything: `/users/{id}/posts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// This very text.
    Literal(String),
    /// Any text but none, kept under this name.
    Parameter(String),
}

impl Pattern {
    /// A prefix; a slash at its end makes no difference.
    pub fn prefix(path: &str) -> Self {
        Pattern::Prefix(path.strip_suffix('/').unwrap_or(path).to_owned())
    }

    /// Whether it is for this path.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Pattern::Exact(exact) => path == exact,
            Pattern::Prefix(_) => self.rest(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Pattern::Template(template) => template.matches(path),
            Pattern::Regex(regex) => regex.matches(path),
        }
    }

    /// What follows the prefix in a path that this pattern matches; `None` if it is no prefix.
    pub fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        match self {
            Pattern::Prefix(prefix) => path.strip_prefix(prefix.as_str()),
            _ => None,
        }
    }

    /// The values of the template's parameters, or of the expression's named groups, in a path that this pattern matches.
    pub fn values<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let (segments, regex) = match self {
            Pattern::Template(template) => (template.segments.as_slice(), None),
            Pattern::Regex(regex) => (&[] as &[Segment], Some(regex)),
            _ => (&[] as &[Segment], None),
        };
        let parameters = segments.iter().zip(split(path)).filter_map(|(segment, value)| match segment {
            Segment::Parameter(name) => Some((name.as_str(), value)),
            Segment::Literal(_) => None,
        });
        parameters.chain(regex.into_iter().flat_map(move |regex| regex.groups(path)))
    }

    /// The value of one of them.
    pub fn value<'a>(&'a self, path: &'a str, name: &str) -> Option<&'a str> {
        self.values(path).find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

impl Template {
    /// Reads `/users/{id}`.
    pub fn parse(text: &str) -> Result<Self, String> {
        check_path(text)?;
        let segments = split(text).map(|segment| Segment::parse(segment, text)).collect::<Result<Vec<_>, _>>()?;
        for (position, segment) in segments.iter().enumerate() {
            if matches!(segment, Segment::Parameter(_)) && segments[..position].contains(segment) {
                return Err(format!("expected each name once, found \"{text}\""));
            }
        }
        Ok(Template { segments })
    }

    /// Whether a path has this shape.
    pub fn matches(&self, path: &str) -> bool {
        let mut found = split(path);
        let all = self.segments.iter().all(|segment| match (segment, found.next()) {
            (Segment::Literal(text), Some(found)) => text == found,
            (Segment::Parameter(_), Some(found)) => !found.is_empty(),
            (_, None) => false,
        });
        all && found.next().is_none()
    }

    /// Its segments, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl Segment {
    fn parse(segment: &str, template: &str) -> Result<Self, String> {
        let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            return match segment.contains(['{', '}']) {
                true => Err(format!("expected \"{{name}}\" as a whole segment, found \"{segment}\" in \"{template}\"")),
                false => Ok(Segment::Literal(segment.to_owned())),
            };
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        match !name.is_empty() && name.bytes().all(allowed) {
            true => Ok(Segment::Parameter(name.to_owned())),
            false => Err(format!("expected a name of letters, digits, \"-\" and \"_\", found \"{segment}\" in \"{template}\"")),
        }
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Template::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The segments of a path: `/` has one, which is empty.
pub fn split(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_hands_out_its_values() {
        let pattern = Pattern::Template(Template::parse("/users/{id}/posts/{post-id}").unwrap());
        let values: Vec<_> = pattern.values("/users/7/posts/a%20b").collect();
        assert_eq!(values, [("id", "7"), ("post-id", "a%20b")]);
        assert_eq!(Pattern::prefix("/users").values("/users/7").count(), 0);
    }

    #[test]
    fn templates_that_make_no_sense_are_refused() {
        for bad in ["users", "/{}", "/a{id}", "/{id}b", "/{a}/{a}", "/{a b}", "/{id", "/a?b={c}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn each_pattern_is_for_whole_segments() {
        let template = Pattern::Template(Template::parse("/users/{id}").unwrap());
        let regex = Pattern::Regex(Regex::whole("/v[0-9]/.*", false).unwrap());
        for (pattern, path, matches) in [
            (&Pattern::Exact("/users".to_owned()), "/users", true),
            (&Pattern::Exact("/users".to_owned()), "/users/", false),
            (&Pattern::prefix("/users"), "/users/7", true),
            (&Pattern::prefix("/users"), "/usersx", false),
            (&Pattern::prefix("/"), "/anything", true),
            (&template, "/users/7", true),
            (&template, "/users/", false),
            (&template, "/users/7/x", false),
            (&regex, "/v1/x", true),
            (&regex, "/x/v1/x", false),
        ] {
            assert_eq!(pattern.matches(path), matches, "{pattern:?} {path}");
        }
    }

    #[test]
    fn the_rest_of_a_prefix() {
        assert_eq!(Pattern::prefix("/users/").rest("/users/7"), Some("/7"));
        assert_eq!(Pattern::prefix("/users").rest("/users"), Some(""));
        assert_eq!(Pattern::prefix("/").rest("/users"), Some("/users"));
    }
}
