//! Resets the exchange when the request has a field `x-reset`: in the request hook, or in the response hook if its value is
//! `response`.

use tamis_sdk::prelude::*;

struct Reset;

impl Filter for Reset {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Reset)
    }
}

impl RequestHook for Reset {
    fn on_request(&self, request: &mut Request) -> Verdict {
        match request.header("x-reset") {
            Some(when) if when != "response" => Verdict::Reset,
            _ => Verdict::Next,
        }
    }
}

impl ResponseHook for Reset {
    fn on_response(&self, response: &mut Response) -> Verdict {
        match response.request().header("x-reset") {
            Some(when) if when == "response" => Verdict::Reset,
            _ => Verdict::Next,
        }
    }
}

tamis_sdk::export!(Reset: request, response);
