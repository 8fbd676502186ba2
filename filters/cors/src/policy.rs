//! One policy: whom it is for, and what browsers are told.

use matching::Matcher;
use matching::name::Token;
use tamis_sdk::prelude::*;

use crate::config::{self, OnMismatch};
use crate::origin::Origin;

/// What CORS lets a page send without asking first (Fetch, "CORS-safelisted method"): the least that a policy allows.
const METHODS: [&str; 3] = ["GET", "HEAD", "POST"];

#[derive(Debug)]
pub struct Policy {
    pub name: String,
    pub on_mismatch: OnMismatch,
    matches: Matcher,
    origins: Vec<Origin>,
    methods: Listed,
    headers: Listed,
    expose: Option<String>,
    credentials: bool,
    /// In seconds.
    max_age: Option<String>,
    private_network: bool,
    preflight_status: StatusCode,
}

/// What is told of methods or fields.
#[derive(Debug, PartialEq, Eq)]
enum Listed {
    /// These, with commas.
    These(String),
    /// Whatever is asked for. It is told by name: `*` would leave out `authorization`, and mean nothing beside credentials.
    Any,
}

impl Policy {
    /// Paths of errors are relative to the policy.
    pub fn build(position: usize, policy: config::Policy) -> Result<Self, ConfigError> {
        let origins = policy.origins.0;
        let any = origins.iter().any(|origin| matches!(origin, Origin::Any));
        if origins.is_empty() {
            return Err(ConfigError::at("origins", "expected at least one, found none"));
        }
        if any && policy.credentials {
            let why =
                "expected origins by name or pattern beside `credentials = true`, found \"*\": any page could act as its visitor";
            return Err(ConfigError::at("origins", why));
        }
        if policy.credentials && policy.expose.0.iter().any(|name| name.0 == "*") {
            let why = "expected fields by name beside `credentials = true`, found \"*\", which browsers then take for a name";
            return Err(ConfigError::at("expose", why));
        }
        let expose = policy.expose.0.iter().map(|name| name.0.as_str()).collect::<Vec<_>>().join(", ");
        Ok(Policy {
            name: policy.name.map_or_else(|| position.to_string(), |name| name.0),
            on_mismatch: policy.on_mismatch,
            matches: policy.matches,
            origins: if any { vec![Origin::Any] } else { origins },
            methods: Listed::new(policy.methods.0, &METHODS),
            headers: Listed::new(policy.headers.0, &[]),
            expose: (!expose.is_empty()).then_some(expose),
            credentials: policy.credentials,
            max_age: policy.max_age.map(|age| age.as_secs().to_string()),
            private_network: policy.private_network,
            preflight_status: policy.preflight_status.0,
        })
    }

    pub fn is_for(&self, request: &Request) -> bool {
        self.matches.holds(request)
    }

    /// Whether every page may read every answer, so that answers are the same for all of them.
    pub fn is_open(&self) -> bool {
        matches!(self.origins.as_slice(), [Origin::Any])
    }

    pub fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.origins.iter().any(|known| known.fits(&origin))
    }

    /// What an answer to a page of an allowed origin says.
    pub fn fields<'a>(&'a self, origin: &'a str) -> impl Iterator<Item = (&'static str, &'a str)> {
        let allowed = if self.is_open() { "*" } else { origin };
        let credentials = self.credentials.then_some(("access-control-allow-credentials", "true"));
        [("access-control-allow-origin", allowed)].into_iter().chain(credentials)
    }

    /// The fields that a page may read beside the few that it always may.
    pub fn exposed(&self) -> Option<&str> {
        self.expose.as_deref()
    }

    /// The answer to a preflight; of an origin that is not allowed it says nothing, and the browser sends no request.
    pub fn preflight(&self, request: &Request, origin: Option<&str>) -> Reply {
        let mut vary = vec!["origin"];
        let mut reply = Reply::new(self.preflight_status);
        if let Some(origin) = origin {
            for (name, value) in self.fields(origin) {
                reply = reply.header(name, value);
            }
            for (list, asked, told) in [
                (&self.methods, "access-control-request-method", "access-control-allow-methods"),
                (&self.headers, "access-control-request-headers", "access-control-allow-headers"),
            ] {
                let value = match list {
                    Listed::These(names) => Some(HeaderValue::try_from(names.as_str()).ok()),
                    Listed::Any => {
                        vary.push(asked);
                        Some(request.header(asked))
                    }
                };
                if let Some(value) = value.flatten().filter(|value| !value.is_empty()) {
                    reply = reply.header(told, value);
                }
            }
            if let Some(age) = &self.max_age {
                reply = reply.header("access-control-max-age", age);
            }
            if self.private_network {
                vary.push("access-control-request-private-network");
                if request.header("access-control-request-private-network").is_some_and(|asked| asked == "true") {
                    reply = reply.header("access-control-allow-private-network", "true");
                }
            }
        }
        reply.header("vary", vary.join(", "))
    }
}

impl Listed {
    fn new(names: Vec<Token>, default: &[&str]) -> Self {
        if names.iter().any(|name| name.0 == "*") {
            return Listed::Any;
        }
        let names: Vec<&str> = names.iter().map(|name| name.0.as_str()).collect();
        Listed::These(if names.is_empty() { default.join(", ") } else { names.join(", ") })
    }
}
