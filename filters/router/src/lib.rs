//! Decides where requests go: by host, path, method and header fields. README.md says which route wins.
//!
//! The routes are put into an [`index`] once, when the filter is configured; finding one takes hardly longer among ten thousand
//! than among ten.

mod config;
mod forward;
pub mod index;
mod names;
mod redirect;
mod respond;
mod rewrite;
mod route;
mod settings;
mod split;

use matching::host;
use tamis_sdk::prelude::*;

use index::{Builder, Index};
use names::{Dtab, Names};
use route::{Action, Route};

/// The note that tells the response which route was taken.
const ROUTE_NOTE: &str = "router.route";

/// The routes of one configuration.
#[derive(Debug)]
pub struct Router {
    index: Index,
    routes: Vec<Route>,
    names: Names,
}

impl Filter for Router {
    type Config = config::Config;

    fn configure(config: config::Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        let mut index = Builder::default();
        let mut routes = Vec::with_capacity(config.routes.len());
        for (position, route) in config.routes.into_iter().enumerate() {
            let hosts = route.matches.host.0.clone();
            let route = Route::build(route).map_err(|error| error.within(format_args!("routes[{position}]")))?;
            index.insert(&hosts, &route.pattern, route.conditions.count());
            routes.push(route);
        }
        setup.want(Hook::Request).map_err(ConfigError::new)?;
        if routes.iter().any(Route::wants_response) {
            setup.want(Hook::Response).map_err(ConfigError::new)?;
        }
        let table = config.names.0.into_iter().fold(Dtab::default(), Dtab::with);
        Ok(Router { index: index.finish(), routes, names: Names::new(table, config.overrides) })
    }
}

impl RequestHook for Router {
    fn on_request(&self, request: &mut Request) -> Verdict {
        self.names.guard(request);
        let mut authority = request.authority();
        let host = host::normalized(&mut authority);
        let path = request.path();
        let found = self.index.find(host, &path, |position| self.routes[position].is_for(request, &path));
        match found {
            Some(position) => self.take(position, request, &path),
            None => Verdict::Next,
        }
    }
}

impl ResponseHook for Router {
    fn on_response(&self, response: &mut Response) -> Verdict {
        let taken = response.notes().get(ROUTE_NOTE).and_then(|position| position.parse().ok());
        if let Some(route) = taken.and_then(|position: usize| self.routes.get(position)) {
            route.respond(response);
        }
        Verdict::Next
    }
}

tamis_sdk::export!(Router: request, response);
tamis_sdk::config_schema!("schema.json");

impl Router {
    /// Does what the route says. Notes and name come first: they hold for an answer of the router's own as well.
    fn take(&self, position: usize, request: &mut Request, path: &str) -> Verdict {
        let route = &self.routes[position];
        for (name, value) in route.pattern.values(path) {
            request.notes().set(&format!("path.{name}"), value);
        }
        if let Some(name) = &route.name {
            request.destination().set_route(name);
        }
        if route.wants_response() {
            request.notes().set(ROUTE_NOTE, &position.to_string());
        }
        match &route.action {
            Action::Forward(forward) => forward.take(request, path, &route.pattern, &self.names),
            Action::Redirect(redirect) => redirect.take(request, path, &route.pattern),
            Action::Respond(respond) => respond.take(request),
        }
    }
}
