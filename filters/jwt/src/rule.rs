//! What is asked of which requests.

use matching::Matcher;
use tamis_sdk::{ConfigError, Request};

use crate::claims::{Claims, Condition, Path, missing_scopes};
use crate::config::{self, Demand};
use crate::provider::Provider;
use crate::refusal::Refusal;

#[derive(Debug)]
pub struct Rule {
    pub demand: Demand,
    matches: Matcher,
    /// Positions of the providers of which a token is taken, in the order in which they are tried.
    pub providers: Vec<usize>,
    scopes: Vec<String>,
    claims: Vec<(Path, Condition)>,
}

impl Rule {
    /// Paths of errors are relative to the rule.
    pub fn build(rule: config::Rule, providers: &[Provider]) -> Result<Self, ConfigError> {
        let asks = if !rule.scopes.0.is_empty() { Some("scopes") } else { (!rule.claims.is_empty()).then_some("claims") };
        if let Some(key) = asks.filter(|_| rule.token != Demand::Required) {
            return Err(ConfigError::at(
                key,
                "expected a rule with `token = \"required\"`, found one that passes without a token",
            ));
        }
        if let Some(scope) = rule.scopes.0.iter().find(|scope| !is_scope(scope)) {
            return Err(ConfigError::at(
                "scopes",
                format!("expected words without spaces, quotes and backslashes, found {scope:?}"),
            ));
        }
        let known = |name: &String| {
            let missing = || {
                let all: Vec<&str> = providers.iter().map(|provider| provider.name.as_str()).collect();
                ConfigError::at("providers", format!("expected one of {}, found \"{name}\"", all.join(", ")))
            };
            providers.iter().position(|provider| provider.name == *name).ok_or_else(missing)
        };
        let of_rule = match rule.providers.0.is_empty() {
            true => (0..providers.len()).collect(),
            false => rule.providers.0.iter().map(known).collect::<Result<_, _>>()?,
        };
        Ok(Rule {
            demand: rule.token,
            matches: rule.matches,
            providers: of_rule,
            scopes: rule.scopes.0,
            claims: rule.claims.into_iter().collect(),
        })
    }

    /// For every request that no rule is for.
    pub fn rest(demand: Demand, providers: &[Provider]) -> Self {
        let providers = (0..providers.len()).collect();
        Rule { demand, matches: Matcher::default(), providers, scopes: Vec::new(), claims: Vec::new() }
    }

    pub fn is_for(&self, request: &Request) -> bool {
        self.matches.holds(request)
    }

    /// Why a request with a good token that claims this is refused.
    pub fn refuses(&self, claims: &Claims) -> Option<Refusal> {
        let missing = missing_scopes(claims, &self.scopes);
        if !missing.is_empty() {
            return Some(Refusal::Scope(missing.join(" ")));
        }
        let all = self.claims.iter().all(|(path, condition)| condition.holds(path.find(claims)));
        (!all).then_some(Refusal::Claims)
    }
}

/// RFC 6749, 3.3: what can stand between quotes in an answer.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}
