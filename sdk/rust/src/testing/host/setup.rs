//! What a filter says about itself.

use std::time::Duration;

use crate::testing::hand::with_setup;

pub fn want(hook: &str) -> Result<(), String> {
    with_setup("want", |hand| hand.wanted.push(hook.to_owned()));
    Ok(())
}

pub fn keep_state() {
    with_setup("keep-state", |hand| hand.kept = true);
}

pub fn tick_every_ms(period: u64) {
    with_setup("tick-every-ms", |hand| hand.tick = Duration::from_millis(period));
}
