//! One route: whom it is for, and what becomes of them.

use tamis_sdk::{ConfigError, Request};

use crate::config;
use crate::forward::Forward;
use crate::redirect::Redirect;
use matching::Conditions;
use matching::pattern::Pattern;

#[derive(Debug)]
pub struct Route {
    pub name: Option<String>,
    pub pattern: Pattern,
    pub conditions: Conditions,
    pub action: Action,
}

#[derive(Debug)]
pub enum Action {
    Forward(Forward),
    Redirect(Redirect),
}

impl Route {
    /// Paths of errors are relative to the route.
    pub fn build(mut route: config::Route) -> Result<Self, ConfigError> {
        let pattern = route.matches.take_pattern().map_err(|error| error.within("match"))?;
        let pattern = pattern.unwrap_or_else(|| Pattern::prefix("/"));
        let has_prefix = matches!(pattern, Pattern::Prefix(_));
        if route.rewrite_prefix.is_some() && !has_prefix {
            return Err(ConfigError::at("rewrite-prefix", "expected a route with `match.path-prefix`, found one without"));
        }
        let (action, plain) = match (route.to, route.redirect) {
            (Some(to), None) => (Action::Forward(Forward::build(to, route.rewrite_prefix, route.timeout)?), false),
            (None, Some(_)) if route.rewrite_prefix.is_some() || route.timeout.is_some() => {
                let key = if route.timeout.is_some() { "timeout" } else { "rewrite-prefix" };
                return Err(ConfigError::at(key, "expected a route with `to`, found one with `redirect`"));
            }
            (None, Some(redirect)) => {
                let redirect = Redirect::build(redirect, has_prefix).map_err(|error| error.within("redirect"))?;
                let plain = redirect.only_to_https();
                (Action::Redirect(redirect), plain)
            }
            (Some(_), Some(_)) => return Err(ConfigError::at("redirect", "expected one of `to` and `redirect`, found both")),
            (None, None) => return Err(ConfigError::new("expected one of `to` and `redirect`, found neither")),
        };
        let conditions = Conditions::take(&mut route.matches);
        let conditions = if plain { conditions.over("http") } else { conditions };
        Ok(Route { name: route.name, pattern, conditions, action })
    }

    /// Whether it is for a request that the index has led to it: expressions it does not know.
    pub fn is_for(&self, request: &Request, path: &str) -> bool {
        let regex = match &self.pattern {
            Pattern::Regex(regex) => regex.matches(path),
            _ => true,
        };
        regex && self.conditions.hold(request)
    }
}
