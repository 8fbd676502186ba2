//! Takes memory until there is no more, when the request has a field `x-eat`.

use std::hint::black_box;

use tamis_sdk::prelude::*;

const BITE_BYTES: usize = 1024 * 1024;

struct Greedy;

impl Filter for Greedy {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Greedy)
    }
}

impl RequestHook for Greedy {
    fn on_request(&self, request: &mut Request) -> Verdict {
        if request.header("x-eat").is_some() {
            eat();
        }
        Verdict::Next
    }
}

tamis_sdk::export!(Greedy: request);

#[inline(never)]
fn eat() {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    while black_box(true) {
        eaten.push(black_box(vec![1; BITE_BYTES]));
    }
}
