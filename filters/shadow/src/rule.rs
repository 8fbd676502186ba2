//! One rule: of which requests copies are made, where they go, and what they look like.

use matching::{Key, Matcher, Share, Template, hash};
use tamis_sdk::Mirror;
use tamis_sdk::prelude::*;
use tamis_sdk::store::Store;

use crate::config;

/// See the module.
#[derive(Debug)]
pub struct Rule {
    pub name: String,
    matches: Matcher,
    cluster: String,
    share: Share,
    key: Option<Key>,
    /// Another for each rule, so that two rules with the same key do not take the same exchanges.
    seed: u64,
    host: Template,
    mark: String,
    fields: Vec<(String, Template)>,
    body_limit: u32,
    pub compare: Option<Compare>,
}

/// In what answers are compared.
#[derive(Debug)]
pub struct Compare {
    pub status: bool,
    pub headers: Vec<String>,
    pub body: bool,
    pub store: Option<Store>,
    pub keep: usize,
}

/// Checks what concerns several rules at once.
pub fn build(rules: Vec<config::Rule>) -> Result<Vec<Rule>, ConfigError> {
    let mut built: Vec<Rule> = Vec::with_capacity(rules.len());
    for (position, rule) in rules.into_iter().enumerate() {
        let within = |error: ConfigError| error.within(format_args!("rules[{position}]"));
        let rule = Rule::build(rule).map_err(within)?;
        if built.iter().any(|known| known.name == rule.name) {
            let why = format!("expected a name of its own, found `{}` a second time", rule.name);
            return Err(within(ConfigError::at("name", why)));
        }
        built.push(rule);
    }
    Ok(built)
}

impl Rule {
    fn build(rule: config::Rule) -> Result<Self, ConfigError> {
        let name = match rule.name {
            Some(name) => name.0,
            None => rule.cluster.clone(),
        };
        let compare = match rule.compare {
            Some(compare) => Some(Compare::build(compare).map_err(|error| error.within("compare"))?),
            None => None,
        };
        Ok(Rule {
            seed: hash::hash(0, name.as_bytes()),
            name,
            matches: rule.matches,
            cluster: rule.cluster,
            share: rule.percent,
            key: rule.key,
            host: rule.host,
            mark: rule.mark.0,
            fields: rule.fields.into_iter().map(|(name, value)| (name.0, value)).collect(),
            body_limit: rule.body_limit.0,
            compare,
        })
    }

    pub fn compares_body(&self) -> bool {
        self.compare.as_ref().is_some_and(|compare| compare.body)
    }

    /// Whether this request is one that it copies. The share is asked last: a draw costs a call of the host.
    pub fn takes(&self, request: &Request) -> bool {
        self.matches.holds(request) && self.is_in_the_share(request)
    }

    /// A request without the key is drawn by itself.
    fn is_in_the_share(&self, request: &Request) -> bool {
        if self.share == Share::ALL {
            return true;
        }
        match self.key.as_ref().and_then(|key| key.value(request, self.matches.pattern())) {
            Some(value) => self.share.has(hash::hash(self.seed, value.as_bytes())),
            None => self.share.draw(),
        }
    }

    /// Asks the proxy for the copy.
    pub fn copy<'a>(&'a self, request: &Request) -> Result<Asked<'a>, Refused> {
        let host = self.host.expand(request);
        let values: Vec<_> = self.fields.iter().map(|(name, value)| (name.as_str(), value.expand(request))).collect();
        let mut fields = vec![(self.mark.as_str(), self.name.as_bytes())];
        fields.extend(values.iter().map(|(name, value)| (*name, value.as_slice())));
        if is_a_name(&host) {
            fields.push(("host", host.as_slice()));
        }
        let mirror = request.destination().mirror(&self.cluster, &fields, self.body_limit)?;
        Ok(Asked { rule: &self.name, mirror })
    }
}

/// Whether it can be a host: nothing is appended to an address in brackets, nor to no host at all. Such a copy keeps the
/// request's own.
fn is_a_name(host: &[u8]) -> bool {
    !host.starts_with(b"-") && !host.is_empty() && (!host.starts_with(b"[") || host.ends_with(b"]"))
}

impl Compare {
    fn build(compare: config::Compare) -> Result<Self, ConfigError> {
        let config::Compare { status, headers, body, store, keep } = compare;
        if !status && headers.0.is_empty() && !body {
            return Err(ConfigError::new("expected one of `status`, `headers` and `body`, found none to compare"));
        }
        let headers = headers.0.into_iter().map(|name| name.0.to_ascii_lowercase()).collect();
        Ok(Compare { status, headers, body, store: store.map(Store::from), keep: keep.0 })
    }
}

/// A copy that the proxy was asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    pub rule: &'a str,
    pub mirror: Mirror,
}

impl<'a> Asked<'a> {
    /// All of them in one note, which the access log shows: `users-v2=0 orders=1`.
    pub fn written(all: &[Self]) -> String {
        let mut note = String::with_capacity(all.iter().map(|asked| asked.rule.len() + 3).sum());
        for asked in all {
            if !note.is_empty() {
                note.push(' ');
            }
            note.push_str(asked.rule);
            note.push('=');
            match char::from_digit(asked.mirror.id(), 10) {
                Some(digit) => note.push(digit),
                None => note.push_str(&asked.mirror.id().to_string()),
            }
        }
        note
    }

    pub fn read(note: &'a str) -> impl Iterator<Item = Self> {
        note.split(' ').filter_map(|one| {
            let (rule, id) = one.rsplit_once('=')?;
            Some(Asked { rule, mirror: Mirror::with_id(id.parse().ok()?) })
        })
    }
}
