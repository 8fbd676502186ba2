//! Giving a request another path. The query stays.

use matching::regex::Regex;
use matching::{Pattern, Template};
use tamis_sdk::{ConfigError, Refused, Request};

use crate::config;

#[derive(Debug)]
pub enum Rewrite {
    /// What takes the place of the matched prefix, without a slash at its end.
    Prefix(String),
    Path(Template),
    /// Only for paths that the expression matches as a whole.
    Regex {
        pattern: Regex,
        replacement: String,
    },
}

impl Rewrite {
    pub fn build(route: &mut config::Route, pattern: &Pattern) -> Result<Option<Self>, ConfigError> {
        if route.rewrite_prefix.is_some() && !matches!(pattern, Pattern::Prefix(_)) {
            return Err(ConfigError::at("rewrite-prefix", "expected a route with `match.path-prefix`, found one without"));
        }
        let prefix = route.rewrite_prefix.take().map(|path| path.0.strip_suffix('/').unwrap_or(&path.0).to_owned());
        let regex = route.rewrite_regex.take();
        let rewrites = [
            prefix.map(Rewrite::Prefix),
            route.rewrite_path.take().map(Rewrite::Path),
            regex.map(|regex| Rewrite::Regex { pattern: regex.pattern, replacement: regex.replacement }),
        ];
        let mut rewrites = rewrites.into_iter().flatten();
        let rewrite = rewrites.next();
        match rewrites.next() {
            None => Ok(rewrite),
            Some(_) => {
                Err(ConfigError::new("expected one of `rewrite-prefix`, `rewrite-path` and `rewrite-regex`, found several"))
            }
        }
    }

    pub fn apply(&self, request: &mut Request, path: &str, pattern: &Pattern) -> Result<(), Refused> {
        let query = request.query();
        let target = match self {
            Rewrite::Prefix(prefix) => match pattern.rest(path) {
                Some(rest) => target(prefix, rest, query.as_deref()),
                None => return Ok(()),
            },
            Rewrite::Path(template) => target(&String::from_utf8_lossy(&template.expand(request)), "", query.as_deref()),
            Rewrite::Regex { pattern, replacement } => match pattern.replace(path, replacement) {
                Some(path) => target(&path, "", query.as_deref()),
                None => return Ok(()),
            },
        };
        request.set_target(&target)
    }
}

/// Path and query with another prefix.
pub fn target(prefix: &str, rest: &str, query: Option<&str>) -> String {
    let slash = if prefix.is_empty() && rest.is_empty() { "/" } else { "" };
    match query {
        Some(query) => format!("{prefix}{rest}{slash}?{query}"),
        None => format!("{prefix}{rest}{slash}"),
    }
}
