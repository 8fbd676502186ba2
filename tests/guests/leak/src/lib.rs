//! Takes memory with each request and never gives it back: as many KiB as its configuration or the field `x-leak` says.

use std::hint::black_box;

use tamis_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    #[serde(default)]
    kib: usize,
}

struct Leak {
    kib: usize,
}

impl Filter for Leak {
    type Config = Config;

    fn configure(config: Config, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Leak { kib: config.kib })
    }
}

impl RequestHook for Leak {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let asked = request.header("x-leak").and_then(|kib| kib.to_str().ok()?.parse().ok());
        leak(asked.unwrap_or(self.kib));
        Verdict::Next
    }
}

tamis_sdk::export!(Leak: request);

#[inline(never)]
fn leak(kib: usize) {
    // Written to, so that the memory is really there.
    black_box(vec![1u8; black_box(kib * 1024)].leak());
}
