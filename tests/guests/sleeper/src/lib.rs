//! Sleeps as long as `x-sleep` says in the request hook, `x-sleep-response` in the response hook, and `x-sleep-chunk` at each piece
//! of the response's body. With a field `x-spin` it never comes back, as `spin` does, but on a fiber.

use std::hint::black_box;
use std::time::Duration;

use tamis_sdk::prelude::*;

struct Sleeper;

impl Filter for Sleeper {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Sleeper)
    }
}

impl RequestHook for Sleeper {
    fn on_request(&self, request: &mut Request) -> Verdict {
        if request.header("x-spin").is_some() {
            spin();
        }
        if let Some(slept) = sleep(request, "x-sleep") {
            request.notes().set("slept", &slept);
        }
        Verdict::Next
    }
}

impl ResponseHook for Sleeper {
    fn on_response(&self, response: &mut Response) -> Verdict {
        let slept = sleep(&response.request(), "x-sleep-response");
        for (name, value) in [("x-slept-ms", response.notes().get("slept")), ("x-slept-response-ms", slept)] {
            if let Some(value) = value {
                response.set_header(name, value).expect("a number");
            }
        }
        Verdict::Next
    }
}

impl ResponseChunkHook for Sleeper {
    fn on_response_chunk(&self, response: &mut Response, _: Chunk) -> ChunkVerdict {
        sleep(&response.request(), "x-sleep-chunk");
        ChunkVerdict::Keep
    }
}

tamis_sdk::export!(Sleeper: request, response, response_chunk);

/// How many milliseconds passed.
fn sleep(request: &Request, name: &str) -> Option<String> {
    let ms = request.header(name)?.to_str().ok()?.parse().ok()?;
    let before = clock::monotonic();
    clock::sleep(Duration::from_millis(ms));
    Some((clock::monotonic() - before).as_millis().to_string())
}

#[inline(never)]
fn spin() {
    while black_box(true) {}
}
