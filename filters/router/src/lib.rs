//! Decides where requests go: by host, path, method and header fields. README.md says which route wins.
//!
//! The routes are put into an [`index`] once, when the filter is configured; finding one takes hardly longer among ten thousand
//! than among ten.

mod config;
mod forward;
pub mod index;
mod redirect;
mod route;

use matching::host;
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
            let hosts = route.matches.host.0.clone();
            let route = Route::build(route).map_err(|error| error.within(format_args!("routes[{position}]")))?;
            index.insert(&hosts, &route.pattern, route.conditions.count());
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
        let found = self.index.find(host, &path, |position| self.routes[position].is_for(request, &path));
        match found {
            Some(position) => take(&self.routes[position], request, &path),
            None => Verdict::Next,
        }
    }
}

tamis_sdk::export!(Router: request);

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
