//! Never comes back: from the request hook when the request has a field `x-spin`, and from `configure` when told to.

use std::hint::black_box;

use tamis_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    #[serde(default)]
    spin_in_configure: bool,
}

struct Spin;

impl Filter for Spin {
    type Config = Config;

    fn configure(config: Config, _: &mut Setup) -> Result<Self, ConfigError> {
        if config.spin_in_configure {
            spin();
        }
        Ok(Spin)
    }
}

impl RequestHook for Spin {
    fn on_request(&self, request: &mut Request) -> Verdict {
        if request.header("x-spin").is_some() {
            spin();
        }
        Verdict::Next
    }
}

tamis_sdk::export!(Spin: request);

#[inline(never)]
fn spin() {
    let mut rounds = 0u64;
    while black_box(true) {
        rounds = black_box(rounds.wrapping_add(1));
    }
}
