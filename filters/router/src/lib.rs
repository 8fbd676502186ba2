//! Decides where requests go: by host, path, method and header fields. README.md says which route wins.
//!
//! The routes are put into an [`index`] once, when the filter is configured; finding one takes hardly longer among ten thousand
//! than among ten.

mod condition;
mod config;
mod forward;
pub mod host;
pub mod index;
pub mod pattern;
mod redirect;
mod route;

use tamis_sdk::prelude::*;

use index::{Builder, Index};
use route::{Action, Route};

/// The routes of one configuration.
#[derive(Debug)]
pub struct Router {
    index: Index,
    routes: Vec<Route>,
}

impl Filter for Router {
    type Config = config::Config;

    fn configure(config: config::Config, _: &mut Setup) -> Result<Self, ConfigError> {
        let mut index = Builder::default();
        let mut routes = Vec::with_capacity(config.routes.len());
        for (position, route) in config.routes.into_iter().enumerate() {
            let host = route.matches.host.clone().unwrap_or_default();
            let route = Route::build(route).map_err(|error| error.within(format_args!("routes[{position}]")))?;
            index.insert(&host, &route.pattern, route.conditions.count());
            routes.push(route);
        }
        Ok(Router { index: index.finish(), routes })
    }
}

impl RequestHook for Router {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let mut authority = request.authority();
        let host = host::normalized(&mut authority);
        let path = request.path();
        let found = self.index.find(host, &path, |position| self.routes[position].conditions.hold(request));
        match found {
            Some(position) => take(&self.routes[position], request, &path),
            None => Verdict::Next,
        }
    }
}

tamis_sdk::export!(Router: request);
tamis_sdk::config_schema!("schema.json");

/// Does what the route says. Notes and name come first: they hold for an answer of the router's own as well.
fn take(route: &Route, request: &mut Request, path: &str) -> Verdict {
    for (name, value) in route.pattern.values(path) {
        request.notes().set(&format!("path.{name}"), value);
    }
    if let Some(name) = &route.name {
        request.destination().set_route(name);
    }
    match &route.action {
        Action::Forward(forward) => forward.take(request, path, &route.pattern),
        Action::Redirect(redirect) => redirect.take(request, path, &route.pattern),
    }
}
