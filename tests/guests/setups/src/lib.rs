//! Says about itself what its configuration tells it to, and what ran in `x-ran`.

use std::time::Duration;

use tamis_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    #[serde(default)]
    want: Vec<Wanted>,
    #[serde(default)]
    keep_state: bool,
    #[serde(default)]
    tick_ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Wanted {
    Request,
    Response,
    Tick,
    /// Which this filter does not export.
    Trailers,
}

struct Setups;

impl Filter for Setups {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        for (at, wanted) in config.want.iter().enumerate() {
            let hook = match wanted {
                Wanted::Request => Hook::Request,
                Wanted::Response => Hook::Response,
                Wanted::Tick => Hook::Tick,
                Wanted::Trailers => Hook::Trailers,
            };
            setup.want(hook).map_err(|why| ConfigError::at(format_args!("want[{at}]"), why))?;
        }
        if config.keep_state {
            setup.keep_state();
        }
        setup.tick_every(Duration::from_millis(config.tick_ms));
        Ok(Setups)
    }
}

impl RequestHook for Setups {
    fn on_request(&self, request: &mut Request) -> Verdict {
        request.set_header("x-ran", "request").expect("a plain field");
        Verdict::Next
    }
}

impl ResponseHook for Setups {
    fn on_response(&self, response: &mut Response) -> Verdict {
        response.set_header("x-ran", "response").expect("a plain field");
        Verdict::Next
    }
}

impl TickHook for Setups {
    fn on_tick(&self) {
        log::info!("setups ticks");
    }
}

tamis_sdk::export!(Setups: request, response, tick);
