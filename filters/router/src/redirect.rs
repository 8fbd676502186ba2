//! Sending a client elsewhere.

use matching::host::without_port;
use tamis_sdk::prelude::*;

use crate::config;
use crate::rewrite::target;
use matching::pattern::Pattern;

#[derive(Debug)]
pub struct Redirect {
    status: StatusCode,
    to: To,
}

#[derive(Debug)]
enum To {
    /// This very place.
    Location(String),
    /// Where the request wanted to go, but for what is named here.
    Changed { https: bool, host: Option<String>, prefix: Option<String> },
}

impl Redirect {
    /// Paths of errors are relative to the redirect.
    pub fn build(redirect: config::Redirect, has_prefix: bool) -> Result<Self, ConfigError> {
        let status = redirect.status.0;
        let config::Redirect { location, host, path_prefix, https, .. } = redirect;
        let changes = host.is_some() || path_prefix.is_some() || https;
        let to = match location {
            Some(_) if changes => {
                return Err(ConfigError::at("location", "expected no `host`, `path-prefix` or `https` beside it, found one"));
            }
            Some(location) if HeaderValue::from_str(&location).is_err() || location.is_empty() => {
                return Err(ConfigError::at("location", format!("expected a URI, found {location:?}")));
            }
            Some(location) => To::Location(location),
            None if !changes => {
                return Err(ConfigError::new("expected `location`, or some of `host`, `path-prefix` and `https`, found none"));
            }
            None if path_prefix.is_some() && !has_prefix => {
                return Err(ConfigError::at("path-prefix", "expected a route with `match.path-prefix`, found one without"));
            }
            None => {
                let prefix = path_prefix.map(|path| path.0.strip_suffix('/').unwrap_or(&path.0).to_owned());
                To::Changed { https, host: host.map(|host| host.0), prefix }
            }
        };
        Ok(Redirect { status, to })
    }

    /// Nothing but the scheme changes, so that a request over https would be sent to where it already is.
    pub fn only_to_https(&self) -> bool {
        matches!(self.to, To::Changed { https: true, host: None, prefix: None })
    }

    pub fn take(&self, request: &Request, path: &str, pattern: &Pattern) -> Verdict {
        let location = match &self.to {
            To::Location(location) => location.clone(),
            To::Changed { https, host, prefix } => {
                let authority = match host {
                    Some(host) => host.clone(),
                    // The port of plain HTTP is not that of https.
                    None if *https => without_port(&request.authority()).to_owned(),
                    None => request.authority(),
                };
                if authority.is_empty() {
                    return Reply::new(StatusCode::BAD_REQUEST).text("the request names no host\n").into();
                }
                let scheme = if *https { "https".to_owned() } else { request.scheme() };
                let query = request.query();
                let target = match (prefix, pattern.rest(path)) {
                    (Some(prefix), Some(rest)) => target(prefix, rest, query.as_deref()),
                    _ => target("", path, query.as_deref()),
                };
                format!("{scheme}://{authority}{target}")
            }
        };
        Reply::new(self.status).header("location", location).into()
    }
}
