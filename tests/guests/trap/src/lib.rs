//! Panics in the request hook when the request has a field `x-trap`, in the response hook when it has `x-trap-response`.

use tamis_sdk::prelude::*;

struct Trap;

impl Filter for Trap {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Trap)
    }
}

impl RequestHook for Trap {
    fn on_request(&self, request: &mut Request) -> Verdict {
        if let Some(why) = request.header("x-trap") {
            step_on_it(why.to_str().unwrap_or_default());
        }
        Verdict::Next
    }
}

impl ResponseHook for Trap {
    fn on_response(&self, response: &mut Response) -> Verdict {
        if let Some(why) = response.request().header("x-trap-response") {
            step_on_it(why.to_str().unwrap_or_default());
        }
        Verdict::Next
    }
}

tamis_sdk::export!(Trap: request, response);

/// A function of its own, whose name a backtrace must show.
#[inline(never)]
fn step_on_it(why: &str) {
    panic!("stepped on the trap: {why}");
}
