//! Sets, adds and removes header fields of requests and responses. Values are templates over what is known of the exchange.

mod config;

use matching::change::Rules;
use tamis_sdk::prelude::*;

/// What is done to requests, and what to responses.
#[derive(Debug)]
pub struct Headers {
    request: Rules,
    response: Rules,
}

impl Filter for Headers {
    type Config = config::Config;

    fn configure(config: config::Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        let headers = Headers { request: config.request.into(), response: config.response.into() };
        for (rules, hook) in [(&headers.request, Hook::Request), (&headers.response, Hook::Response)] {
            if !rules.is_empty() {
                setup.want(hook).map_err(ConfigError::new)?;
            }
        }
        Ok(headers)
    }
}

impl RequestHook for Headers {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let changes = self.request.changes(request);
        changes.apply(request);
        Verdict::Next
    }
}

impl ResponseHook for Headers {
    fn on_response(&self, response: &mut Response) -> Verdict {
        let changes = self.response.changes(&response.request());
        changes.apply(response);
        Verdict::Next
    }
}

tamis_sdk::export!(Headers: request, response);
tamis_sdk::config_schema!("schema.json");
