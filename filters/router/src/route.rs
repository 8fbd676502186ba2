//! One route: whom it is for, and what becomes of them.

use matching::change::Rules;
use matching::{Conditions, Pattern};
use tamis_sdk::prelude::*;

use crate::config;
use crate::forward::Forward;
use crate::redirect::Redirect;
use crate::respond::Respond;
use crate::split::COOKIE_NOTE;

#[derive(Debug)]
pub struct Route {
    pub name: Option<String>,
    pub pattern: Pattern,
    pub conditions: Conditions,
    pub action: Action,
    response: Rules,
}

#[derive(Debug)]
pub enum Action {
    Forward(Box<Forward>),
    Redirect(Redirect),
    Respond(Respond),
}

impl Route {
    /// Paths of errors are relative to the route.
    pub fn build(mut route: config::Route) -> Result<Self, ConfigError> {
        let pattern = route.matches.take_pattern().map_err(|error| error.within("match"))?;
        let pattern = pattern.unwrap_or_else(|| Pattern::prefix("/"));
        let mut conditions = Conditions::take(&mut route.matches);
        let mut response = Rules::default();
        let action = match (route.to.is_some(), route.redirect.take(), route.respond.take()) {
            (true, None, None) => {
                response = std::mem::take(&mut route.response).into();
                Action::Forward(Box::new(Forward::build(&mut route, &pattern)?))
            }
            (false, Some(redirect), None) => {
                let has_prefix = matches!(pattern, Pattern::Prefix(_));
                let redirect = Redirect::build(redirect, has_prefix).map_err(|error| error.within("redirect"))?;
                if redirect.only_to_https() {
                    conditions = conditions.over("http");
                }
                Action::Redirect(redirect)
            }
            (false, None, Some(respond)) => Action::Respond(Respond::build(respond).map_err(|error| error.within("respond"))?),
            (false, None, None) => {
                return Err(ConfigError::new("expected one of `to`, `redirect` and `respond`, found none of them"));
            }
            _ => return Err(ConfigError::new("expected one of `to`, `redirect` and `respond`, found several of them")),
        };
        if !matches!(action, Action::Forward(_))
            && let Some(key) = route.forwarding()
        {
            return Err(ConfigError::at(key, "expected a route with `to`, found one without"));
        }
        Ok(Route { name: route.name, pattern, conditions, action, response })
    }

    /// Whether it is for a request that the index has led to it: expressions it does not know.
    pub fn is_for(&self, request: &Request, path: &str) -> bool {
        let regex = match &self.pattern {
            Pattern::Regex(regex) => regex.matches(path),
            _ => true,
        };
        regex && self.conditions.hold(request)
    }

    /// Whether it does something to responses.
    pub fn wants_response(&self) -> bool {
        !self.response.is_empty() || self.cookie().is_some()
    }

    pub fn respond(&self, response: &mut Response) {
        let request = response.request();
        self.response.changes(&request).apply(response);
        if let Some(sticky) = self.cookie()
            && let Some(value) = request.notes().get(COOKIE_NOTE)
        {
            let age = sticky.max_age.map(|age| format!("; Max-Age={}", age.as_secs())).unwrap_or_default();
            let secure = if request.scheme() == "https" { "; Secure" } else { "" };
            let cookie = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{age}{secure}", sticky.cookie);
            if let Err(why) = response.add_header("set-cookie", cookie) {
                log::warn!("the cookie cannot be set: {why}");
            }
        }
    }

    fn cookie(&self) -> Option<&config::StickyCookie> {
        match &self.action {
            Action::Forward(forward) => forward.cookie(),
            _ => None,
        }
    }
}

impl config::Route {
    /// A key that is only for requests that go on.
    fn forwarding(&self) -> Option<&'static str> {
        let said = [
            ("sticky", self.sticky.is_some()),
            ("rewrite-prefix", self.rewrite_prefix.is_some()),
            ("rewrite-path", self.rewrite_path.is_some()),
            ("rewrite-regex", self.rewrite_regex.is_some()),
            ("rewrite-host", self.rewrite_host.is_some()),
            ("request", !self.request.is_empty()),
            ("response", !self.response.is_empty()),
            ("timeout", self.timeout.is_some()),
            ("retry", self.retry.is_some()),
            ("hash-key", self.hash_key.is_some()),
            ("subset", !self.subset.is_empty()),
            ("fallback", self.fallback.is_some()),
            ("chain", self.chain.is_some()),
        ];
        said.into_iter().find(|(_, said)| *said).map(|(key, _)| key)
    }
}
