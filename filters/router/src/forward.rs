//! Sending a request to a cluster.

use matching::change::Rules;
use matching::{Pattern, Template};
use tamis_sdk::prelude::*;

use crate::config;
use crate::names::Names;
use crate::rewrite::Rewrite;
use crate::settings::Settings;
use crate::split::Split;

#[derive(Debug)]
pub struct Forward {
    split: Split,
    rewrite: Option<Rewrite>,
    host: Option<Template>,
    request: Rules,
    settings: Settings,
}

impl Forward {
    /// Takes out of a route what is about forwarding. Paths of errors are relative to the route.
    pub fn build(route: &mut config::Route, pattern: &Pattern) -> Result<Self, ConfigError> {
        Ok(Forward {
            split: Split::build(route)?,
            rewrite: Rewrite::build(route, pattern)?,
            host: route.rewrite_host.take(),
            request: std::mem::take(&mut route.request).into(),
            settings: Settings::build(route)?,
        })
    }

    /// The cookie that keeps an exchange with its cluster, if this route sets one.
    pub fn cookie(&self) -> Option<&config::StickyCookie> {
        self.split.cookie()
    }

    pub fn take(&self, request: &mut Request, path: &str, pattern: &Pattern, names: &Names) -> Verdict {
        if let Err(refused) = self.split.choose(request, pattern, names) {
            return refused.into();
        }
        // All values are of the request as it came.
        let changes = self.request.changes(request);
        let host = self.host.as_ref().map(|template| template.expand(request));
        if let Err(refused) = self.settings.apply(request, pattern) {
            return refused.into();
        }
        if let Some(rewrite) = &self.rewrite
            && let Err(why) = rewrite.apply(request, path, pattern)
        {
            log::warn!("the rewritten path cannot be sent: {why}");
            return Reply::new(StatusCode::BAD_REQUEST).text("the path cannot be rewritten\n").into();
        }
        if let Some(host) = host
            && let Err(why) = request.set_authority(&String::from_utf8_lossy(&host))
        {
            log::warn!("the rewritten host cannot be sent: {why}");
            return Reply::new(StatusCode::BAD_REQUEST).text("the host cannot be rewritten\n").into();
        }
        changes.apply(request);
        Verdict::Next
    }
}
