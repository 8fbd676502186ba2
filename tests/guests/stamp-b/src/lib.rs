//! Sets `x-stamp: b` on every response: one of two builds that can be told apart.

use tamis_sdk::prelude::*;

struct Stamp;

impl Filter for Stamp {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Stamp)
    }
}

impl ResponseHook for Stamp {
    fn on_response(&self, response: &mut Response) -> Verdict {
        response.set_header("x-stamp", "b").expect("a plain field");
        Verdict::Next
    }
}

tamis_sdk::export!(Stamp: response);
