//! Refuses every configuration, with the path of what is wrong with it.

use tamis_sdk::prelude::*;
use tamis_sdk::serde::de::IgnoredAny;

struct Refuse;

impl Filter for Refuse {
    type Config = IgnoredAny;

    fn configure(_: IgnoredAny, _: &mut Setup) -> Result<Self, ConfigError> {
        Err(ConfigError::at("rules[1].limit", "expected a number, found \"x\""))
    }
}

impl RequestHook for Refuse {
    fn on_request(&self, _: &mut Request) -> Verdict {
        Verdict::Next
    }
}

tamis_sdk::export!(Refuse: request);
