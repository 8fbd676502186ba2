//! One route: whom it is for, and what becomes of them.

use tamis_sdk::ConfigError;

use crate::condition::Conditions;
use crate::config;
use crate::forward::Forward;
use crate::pattern::Pattern;
use crate::redirect::Redirect;

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
        let pattern = pattern(&mut route.matches)?;
        let has_prefix = route.matches.path_prefix.is_some();
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
        let conditions = Conditions::build(&mut route.matches, plain);
        Ok(Route { name: route.name, pattern, conditions, action })
    }
}

/// What the route says about paths; without a word it is for all of them.
fn pattern(matches: &mut config::Match) -> Result<Pattern, ConfigError> {
    match (&matches.path, &matches.path_prefix, matches.path_template.take()) {
        (None, None, None) => Ok(Pattern::prefix("/")),
        (Some(path), None, None) => Ok(Pattern::Exact(path.0.clone())),
        (None, Some(prefix), None) => Ok(Pattern::prefix(&prefix.0)),
        (None, None, Some(template)) => Ok(Pattern::Template(template)),
        _ => Err(ConfigError::at("match", "expected one of `path`, `path-prefix` and `path-template`, found several")),
    }
}
