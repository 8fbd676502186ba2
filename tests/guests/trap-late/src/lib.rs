//! Panics where the field `x-trap-in` says: `request-chunk`, `response-chunk`, `trailers` or `complete`, each at the piece that the
//! field `x-trap-after` counts off; in `on_tick` and in `configure` if the configuration says so.

use std::time::Duration;

use tamis_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    #[serde(default)]
    in_configure: bool,
    #[serde(default)]
    tick_ms: u64,
}

struct Trap;

impl Filter for Trap {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        if config.in_configure {
            step_on_it("configure");
        }
        setup.tick_every(Duration::from_millis(config.tick_ms));
        Ok(Trap)
    }
}

impl RequestChunkHook for Trap {
    fn on_request_chunk(&self, request: &mut Request, _: Chunk) -> ChunkVerdict {
        perhaps(request, "request-chunk");
        ChunkVerdict::Keep
    }
}

impl ResponseChunkHook for Trap {
    fn on_response_chunk(&self, response: &mut Response, _: Chunk) -> ChunkVerdict {
        perhaps(&response.request(), "response-chunk");
        ChunkVerdict::Keep
    }
}

impl TrailersHook for Trap {
    fn on_response_trailers(&self, response: &mut Response) {
        perhaps(&response.request(), "trailers");
    }
}

impl CompleteHook for Trap {
    fn on_complete(&self, outcome: &Outcome) {
        perhaps(&outcome.request(), "complete");
    }
}

impl TickHook for Trap {
    fn on_tick(&self) {
        step_on_it("tick");
    }
}

tamis_sdk::export!(Trap: request_chunk, response_chunk, trailers, complete, tick);

fn perhaps(request: &Request, hook: &str) {
    if request.header("x-trap-in").is_none_or(|wanted| wanted != hook) {
        return;
    }
    let after = request.header("x-trap-after").and_then(|after| after.to_str().ok()?.parse::<u32>().ok()).unwrap_or(0);
    let before = request.notes().get("trap").and_then(|before| before.parse().ok()).unwrap_or(0);
    if before >= after {
        step_on_it(hook);
    }
    request.notes().set("trap", &(before + 1).to_string());
}

/// A function of its own, whose name a backtrace must show.
#[inline(never)]
fn step_on_it(hook: &str) {
    panic!("stepped on the trap in {hook}");
}
