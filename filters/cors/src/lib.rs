//! Cross-origin requests: answers preflights, and tells browsers which pages may read an answer. README.md says how a policy
//! is found and what it allows.

mod config;
mod origin;
mod policy;

use tamis_sdk::metrics::Counter;
use tamis_sdk::prelude::*;

use config::OnMismatch;
use policy::Policy;

/// The note by which the response hook knows what the request hook found: a later filter may have changed the path since, and
/// the policy would be another one. It is a word, and the policy's name.
const NOTE: &str = "cors";

/// What a service says about origins by itself. A policy has the last word, or there would be two that browsers refuse.
const OF_THE_SERVICE: [&str; 3] =
    ["access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers"];

/// The policies of one configuration, in their order.
#[derive(Debug)]
pub struct Cors {
    policies: Vec<Policy>,
    requests: Counter,
}

/// Where a request comes from, as a policy sees it.
enum From {
    /// No page, or one of this very origin: nothing that CORS is about.
    Here,
    Allowed(String),
    Elsewhere,
}

impl Filter for Cors {
    type Config = config::Config;

    fn configure(config: config::Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        let mut policies: Vec<Policy> = Vec::with_capacity(config.policies.len());
        for (position, policy) in config.policies.into_iter().enumerate() {
            let built = Policy::build(position, policy).map_err(|error| error.within(format_args!("policies[{position}]")))?;
            if policies.iter().any(|known| known.name == built.name) {
                let why = format!("expected a name that no other policy has, found \"{}\"", built.name);
                return Err(ConfigError::at(format_args!("policies[{position}].name"), why));
            }
            policies.push(built);
        }
        let requests = setup.counter("cors_requests_total", "Requests of other origins", &["policy", "result"]);
        Ok(Cors { policies, requests: requests.map_err(ConfigError::new)? })
    }
}

impl RequestHook for Cors {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let Some(policy) = self.policies.iter().find(|policy| policy.is_for(request)) else { return Verdict::Next };
        let from = From::of(request, policy);
        let preflight = request.method() == Method::OPTIONS
            && !matches!(from, From::Here)
            && request.header("access-control-request-method").is_some();
        let (word, verdict) = match (&from, policy.on_mismatch) {
            (From::Here, _) => ("same-origin", Verdict::Next),
            (From::Allowed(origin), _) if preflight => ("preflight", policy.preflight(request, Some(origin)).into()),
            (From::Allowed(_), _) => ("allowed", Verdict::Next),
            (From::Elsewhere, OnMismatch::Refuse) => ("refused", refusal()),
            (From::Elsewhere, OnMismatch::Upstream) => ("upstream", Verdict::Next),
            (From::Elsewhere, OnMismatch::Pass) if preflight => ("mismatch", policy.preflight(request, None).into()),
            (From::Elsewhere, OnMismatch::Pass) => ("mismatch", Verdict::Next),
        };
        request.notes().set(NOTE, &format!("{word} {}", policy.name));
        if !matches!(from, From::Here) {
            self.requests.increment(&[&policy.name, word]);
        }
        verdict
    }
}

impl ResponseHook for Cors {
    fn on_response(&self, response: &mut Response) -> Verdict {
        let note = response.notes().get(NOTE).unwrap_or_default();
        let Some((word, name)) = note.split_once(' ') else { return Verdict::Next };
        let Some(policy) = self.policies.iter().find(|policy| policy.name == name) else { return Verdict::Next };
        if word != "upstream" {
            for name in OF_THE_SERVICE {
                response.remove_header(name);
            }
        }
        let origin = response.request().header("origin");
        let origin = origin.as_ref().and_then(|origin| origin.to_str().ok()).unwrap_or_default();
        // An answer that is for every page says so to everybody, so that a cache can give it to anybody.
        if word == "allowed" || policy.is_open() {
            for (name, value) in
                policy.fields(origin).chain(policy.exposed().map(|names| ("access-control-expose-headers", names)))
            {
                told(response.set_header(name, value));
            }
        }
        if !policy.is_open() {
            vary(response);
        }
        Verdict::Next
    }
}

tamis_sdk::config_schema!("schema.json");
tamis_sdk::export!(Cors: request, response);

impl From {
    fn of(request: &Request, policy: &Policy) -> Self {
        let origins = request.headers("origin");
        let origin = match origins.as_slice() {
            [] => return From::Here,
            [origin] => origin.to_str().unwrap_or_default(),
            // Which of them a browser meant, nobody knows.
            _ => return From::Elsewhere,
        };
        // Browsers name the origin in some requests to the page's own origin as well.
        let own = origin.split_once("://").is_some_and(|(scheme, authority)| {
            authority.eq_ignore_ascii_case(&request.authority()) && scheme.eq_ignore_ascii_case(&request.scheme())
        });
        match own {
            true => From::Here,
            false if policy.allows(origin) => From::Allowed(origin.to_owned()),
            false => From::Elsewhere,
        }
    }
}

fn refusal() -> Verdict {
    Reply::new(StatusCode::FORBIDDEN).header("vary", "origin").text("the origin is not allowed\n").into()
}

/// A cache must not give to one origin what was meant for another.
fn vary(response: &mut Response) {
    let names = response.headers("vary");
    let mut names = names.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    if !names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin")) {
        told(response.add_header("vary", "origin"));
    }
}

fn told(result: Result<(), Refused>) {
    if let Err(why) = result {
        log::warn!("a field is left alone: {why}");
    }
}
