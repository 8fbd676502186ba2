//! Never comes back: from the request hook when the request has a field `x-spin`, and from `configure` when told to. With a field
//! `x-spin-ms` it works for so long and comes back.

use std::hint::black_box;
use std::time::Duration;

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
        if let Some(ms) = request.header("x-spin-ms").and_then(|ms| ms.to_str().ok()?.parse().ok()) {
            work(Duration::from_millis(ms));
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

fn work(time: Duration) {
    let begin = clock::monotonic();
    while clock::monotonic() - begin < time {
        black_box((0..1000u64).fold(0, |sum, number| black_box(sum ^ number)));
    }
}
