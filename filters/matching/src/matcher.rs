//! `match = { … }` of a rule, as it is written and made ready.

use std::collections::BTreeMap;

use serde::Deserialize;
use tamis_sdk::config::OneOrMany;
use tamis_sdk::{ConfigError, Connection, Request};

use crate::condition::Conditions;
use crate::field::FieldMatch;
use crate::name::{Field, Path, Token};
use crate::pattern::{Pattern, Template};
use crate::regex::Regex;
use crate::{host, identity, source};

/// What a configuration says. All of it must hold; without a word it is for every request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Match {
    pub host: OneOrMany<host::Pattern>,
    pub path: Option<Path>,
    pub path_prefix: Option<Path>,
    pub path_template: Option<Template>,
    pub path_regex: Option<Regex>,
    pub method: OneOrMany<Token>,
    pub scheme: Option<Scheme>,
    pub headers: BTreeMap<Field, FieldMatch>,
    pub query: BTreeMap<String, FieldMatch>,
    pub cookies: BTreeMap<String, FieldMatch>,
    pub source: OneOrMany<source::Range>,
    pub identity: OneOrMany<identity::Pattern>,
    pub notes: BTreeMap<String, FieldMatch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub fn word(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

impl Match {
    /// Takes what it says about paths; `None`: nothing, so it is for all of them.
    pub fn take_pattern(&mut self) -> Result<Option<Pattern>, ConfigError> {
        let said = [
            self.path.take().map(|path| Pattern::Exact(path.0)),
            self.path_prefix.take().map(|path| Pattern::prefix(&path.0)),
            self.path_template.take().map(Pattern::Template),
            self.path_regex.take().map(Pattern::Regex),
        ];
        let mut said = said.into_iter().flatten();
        let pattern = said.next();
        match said.next() {
            None => Ok(pattern),
            Some(_) => {
                Err(ConfigError::new("expected one of `path`, `path-prefix`, `path-template` and `path-regex`, found several"))
            }
        }
    }
}

/// A [`Match`] that is ready to be asked.
#[derive(Debug, Default)]
pub struct Matcher {
    hosts: Vec<host::Pattern>,
    pattern: Option<Pattern>,
    conditions: Conditions,
}

impl Matcher {
    /// Paths of errors are relative to the match.
    pub fn build(mut matches: Match) -> Result<Self, ConfigError> {
        let pattern = matches.take_pattern()?;
        let conditions = Conditions::take(&mut matches);
        Ok(Matcher { hosts: matches.host.0, pattern, conditions })
    }

    /// Which paths it is for; `None`: all of them.
    pub fn pattern(&self) -> Option<&Pattern> {
        self.pattern.as_ref()
    }

    pub fn holds(&self, request: &Request) -> bool {
        (self.hosts.is_empty() || self.host_holds(request))
            && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(&request.path()))
            && self.conditions.hold(request)
    }

    /// The same for a raw connection, whose host is the name that its client asked for in the TLS handshake. What is asked of a
    /// request never holds: there is none.
    pub fn holds_for(&self, connection: &Connection) -> bool {
        let named = |name: String| self.hosts.iter().any(|pattern| pattern.matches(&name.to_ascii_lowercase()));
        self.pattern.is_none()
            && (self.hosts.is_empty() || connection.server_name().is_some_and(named))
            && self.conditions.hold_for(connection)
    }

    fn host_holds(&self, request: &Request) -> bool {
        let mut authority = request.authority();
        let name = host::normalized(&mut authority);
        self.hosts.iter().any(|pattern| pattern.matches(name))
    }
}

impl TryFrom<Match> for Matcher {
    type Error = ConfigError;

    fn try_from(matches: Match) -> Result<Self, ConfigError> {
        Matcher::build(matches)
    }
}

/// As the value of a key, so that what is wrong is told with the key's path.
impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Matcher::build(Match::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
