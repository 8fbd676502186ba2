//! Remembers in memory which hooks of the exchange ran, and tells it in `x-hooks`. With `keep = false` it does not ask the proxy to
//! hold its instance, and may forget.

use std::cell::{Cell, RefCell};

use tamis_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    #[serde(default = "yes")]
    keep: bool,
}

struct Keeper {
    hooks: RefCell<Vec<&'static str>>,
    exchanges: Cell<u64>,
}

impl Filter for Keeper {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        if config.keep {
            setup.keep_state();
        }
        Ok(Keeper { hooks: RefCell::default(), exchanges: Cell::new(0) })
    }
}

impl Keeper {
    /// The same word is not said twice in a row.
    fn remember(&self, hook: &'static str) {
        let mut hooks = self.hooks.borrow_mut();
        if hooks.last() != Some(&hook) {
            hooks.push(hook);
        }
    }
}

impl RequestHook for Keeper {
    fn on_request(&self, _: &mut Request) -> Verdict {
        self.exchanges.set(self.exchanges.get() + 1);
        self.hooks.borrow_mut().clear();
        self.remember("request");
        Verdict::Next
    }
}

impl RequestChunkHook for Keeper {
    fn on_request_chunk(&self, _: &mut Request, _: Chunk) -> ChunkVerdict {
        self.remember("request-chunk");
        ChunkVerdict::Keep
    }
}

impl ResponseHook for Keeper {
    fn on_response(&self, response: &mut Response) -> Verdict {
        self.remember("response");
        response.set_header("x-hooks", self.hooks.borrow().join(" ")).expect("plain words");
        response.set_header("x-exchanges", self.exchanges.get().to_string()).expect("a number");
        Verdict::Next
    }
}

impl ResponseChunkHook for Keeper {
    fn on_response_chunk(&self, _: &mut Response, _: Chunk) -> ChunkVerdict {
        self.remember("response-chunk");
        ChunkVerdict::Keep
    }
}

impl CompleteHook for Keeper {
    fn on_complete(&self, _: &Outcome) {
        self.remember("complete");
        log::info!("kept {}", self.hooks.borrow().join(" "));
    }
}

tamis_sdk::export!(Keeper: request, request_chunk, response, response_chunk, complete);

fn yes() -> bool {
    true
}
