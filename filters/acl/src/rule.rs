//! One rule: whom it is for, and what it says of them.

use matching::Matcher;
use tamis_sdk::prelude::*;

use crate::config;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Allow,
    Deny,
}

#[derive(Debug)]
pub struct Rule {
    pub name: String,
    pub action: Action,
    pub audit: bool,
    matcher: Matcher,
    /// Lists by their position: in one of these, if there are any; in none of those.
    within: Vec<usize>,
    outside: Vec<usize>,
}

impl Rule {
    /// Lists that it names are added to those that are known. Paths of errors are relative to the rule.
    pub fn build(rule: config::Rule, position: usize, lists: &mut Vec<String>) -> Result<Self, ConfigError> {
        let mut known = |name: String| {
            lists.iter().position(|list| *list == name).unwrap_or_else(|| {
                lists.push(name);
                lists.len() - 1
            })
        };
        Ok(Rule {
            name: rule.name.unwrap_or_else(|| format!("rules[{position}]")),
            action: rule.action,
            audit: rule.audit,
            matcher: Matcher::build(rule.matches).map_err(|error| error.within("match"))?,
            within: rule.list.0.into_iter().map(&mut known).collect(),
            outside: rule.not_list.0.into_iter().map(&mut known).collect(),
        })
    }

    pub fn holds(&self, request: &Request, in_list: &impl Fn(usize) -> bool) -> bool {
        self.lists_hold(in_list) && self.matcher.holds(request)
    }

    /// The same for a raw connection.
    pub fn holds_for(&self, connection: &Connection, in_list: &impl Fn(usize) -> bool) -> bool {
        self.lists_hold(in_list) && self.matcher.holds_for(connection)
    }

    fn lists_hold(&self, in_list: &impl Fn(usize) -> bool) -> bool {
        (self.within.is_empty() || self.within.iter().any(|list| in_list(*list)))
            && !self.outside.iter().any(|list| in_list(*list))
    }
}
