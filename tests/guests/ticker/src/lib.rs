//! Counts ticks, and the instances that they ran in, in the store `ticks`; answers `/ticks` with the count.

use std::cell::Cell;
use std::time::Duration;

use tamis_sdk::prelude::*;
use tamis_sdk::store::Store;

const TICKS: Store = Store::named("ticks");

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    every_ms: u64,
    /// How long a tick takes, to show that the next waits for it.
    #[serde(default)]
    takes_ms: u64,
}

struct Ticker {
    takes: Duration,
    ticks: Cell<u64>,
}

impl Filter for Ticker {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        setup.tick_every(Duration::from_millis(config.every_ms));
        Ok(Ticker { takes: Duration::from_millis(config.takes_ms), ticks: Cell::new(0) })
    }
}

impl RequestHook for Ticker {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let Some(key) = request.path().strip_prefix("/ticks").map(|rest| rest.trim_start_matches('/').to_owned()) else {
            return Verdict::Next;
        };
        let key = if key.is_empty() { "ticks".to_owned() } else { key };
        match TICKS.get(&key) {
            Ok(value) => Reply::new(StatusCode::OK).body(value.unwrap_or_else(|| b"0".to_vec())).into(),
            Err(why) => Reply::new(StatusCode::INTERNAL_SERVER_ERROR).text(&why.to_string()).into(),
        }
    }
}

impl TickHook for Ticker {
    fn on_tick(&self) {
        self.ticks.set(self.ticks.get() + 1);
        count("ticks", 1);
        if self.ticks.get() == 1 {
            count("instances", 1);
        }
        if !self.takes.is_zero() {
            if count("running", 1) > 1 {
                count("overlaps", 1);
            }
            clock::sleep(self.takes);
            count("running", -1);
        }
    }
}

tamis_sdk::export!(Ticker: request, tick);

fn count(key: &str, by: i64) -> i64 {
    TICKS.increment(key, by, None).unwrap_or_else(|why| {
        log::error!("{key} is not counted: {why}");
        0
    })
}
