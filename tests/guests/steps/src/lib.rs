//! The conformance guest in Rust, which sdk/CONFORMANCE.md describes: a request names the steps that each hook takes, the answer
//! tells what each one gave.

mod config;
mod step;
mod words;

use std::cell::RefCell;
use std::time::Duration;

use tamis_sdk::metrics::{Counter, Gauge, Histogram};
use tamis_sdk::prelude::*;
use tamis_sdk::store::Store;

use crate::config::Config;
use crate::step::{At, Taken};

const RESULTS: Store = Store::named("results");

/// One instance of the filter.
struct Steps {
    greeting: String,
    inputs: Vec<(String, Vec<u8>)>,
    metrics: Metrics,
    remembered: RefCell<Option<String>>,
}

struct Metrics {
    steps: Counter,
    level: Gauge,
    size: Histogram,
}

impl Filter for Steps {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        if let Some(message) = config.throw {
            panic!("{message}");
        }
        for (at, route) in config.routes.iter().enumerate() {
            if !route.path.starts_with('/') {
                let message = format!("expected a path that begins with \"/\", found {:?}", route.path);
                return Err(ConfigError::at(format_args!("routes[{at}].path"), message));
            }
        }
        for (at, hook) in config.want.iter().enumerate() {
            setup.want((*hook).into()).map_err(|why| ConfigError::at(format_args!("want[{at}]"), why))?;
        }
        if config.keep_state {
            setup.keep_state();
        }
        setup.tick_every(Duration::from_millis(config.tick_every_ms));
        if let Some(name) = config.counter {
            setup.counter(&name, "Declared by the configuration", &[]).map_err(|why| ConfigError::at("counter", why))?;
        }
        let refused = |why| ConfigError::new(why);
        let metrics = Metrics {
            steps: setup.counter("conformance_steps_total", "What steps counted", &["kind"]).map_err(refused)?,
            level: setup.gauge("conformance_level", "What steps set", &[]).map_err(refused)?,
            size: setup.histogram("conformance_size", "What steps observed", &[]).map_err(refused)?,
        };
        let inputs = setup.inputs().map(|(name, content)| (name.to_owned(), content.to_vec())).collect();
        Ok(Steps { greeting: config.greeting, inputs, metrics, remembered: RefCell::default() })
    }
}

impl RequestHook for Steps {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let taken = self.take_all("do-request", At { request, response: None, outcome: None });
        taken.verdict(&request.notes())
    }
}

impl RequestChunkHook for Steps {
    fn on_request_chunk(&self, request: &mut Request, chunk: Chunk) -> ChunkVerdict {
        chunk_verdict(request, "do-request-chunk", chunk)
    }
}

impl ResponseHook for Steps {
    fn on_response(&self, response: &mut Response) -> Verdict {
        let mut request = response.request();
        let at = At { request: &mut request, response: Some(response), outcome: None };
        let taken = self.take_all("do-response", at);
        let verdict = taken.verdict(&response.notes());
        if matches!(verdict, Verdict::Next) {
            for line in lines(&response.notes()) {
                response.add_header("x-did", line).expect("a line is a value");
            }
        }
        verdict
    }
}

impl ResponseChunkHook for Steps {
    fn on_response_chunk(&self, response: &mut Response, chunk: Chunk) -> ChunkVerdict {
        chunk_verdict(&mut response.request(), "do-response-chunk", chunk)
    }
}

impl TrailersHook for Steps {
    fn on_request_trailers(&self, request: &mut Request) {
        self.take_all("do-request-trailers", At { request, response: None, outcome: None });
    }

    fn on_response_trailers(&self, response: &mut Response) {
        let mut request = response.request();
        self.take_all("do-response-trailers", At { request: &mut request, response: Some(response), outcome: None });
    }
}

impl CompleteHook for Steps {
    fn on_complete(&self, outcome: &Outcome) {
        let mut request = outcome.request();
        self.take_all("do-complete", At { request: &mut request, response: None, outcome: Some(outcome) });
        if let Some(id) = request.header("do-id") {
            RESULTS.set(words::text(&id), lines(&outcome.notes()).join("\n"), None).expect("the store is granted");
        }
    }
}

impl TickHook for Steps {
    fn on_tick(&self) {
        RESULTS.increment("ticks", 1, None).expect("the store is granted");
    }
}

tamis_sdk::export!(Steps: request, request_chunk, response, response_chunk, trailers, complete, tick);

impl Steps {
    /// Takes the steps that the request names for this hook. The note `did` has a line for each step so far.
    fn take_all(&self, field: &str, mut at: At) -> Taken {
        let mut taken = Taken::default();
        for step in at.request.headers(field) {
            step::take(self, words::text(&step), &mut at, &mut taken);
        }
        if !taken.lines.is_empty() {
            let mut notes = at.request.notes();
            let all: Vec<String> = lines(&notes).into_iter().chain(taken.lines.drain(..)).collect();
            notes.set("did", &all.join("\n"));
        }
        taken
    }
}

fn lines(notes: &Notes) -> Vec<String> {
    notes.get("did").map(|did| did.lines().map(str::to_owned).collect()).unwrap_or_default()
}

fn chunk_verdict(request: &mut Request, field: &str, chunk: Chunk) -> ChunkVerdict {
    let Some(step) = request.header(field) else { return ChunkVerdict::Keep };
    let words = words::split(words::text(&step));
    match (words[0].as_str(), words.get(1)) {
        ("upper", None) => ChunkVerdict::Replace(chunk.bytes.to_ascii_uppercase()),
        ("drop", None) => ChunkVerdict::Replace(Vec::new()),
        ("append", Some(text)) if chunk.end => ChunkVerdict::Replace([chunk.bytes.as_slice(), text.as_bytes()].concat()),
        ("keep", None) | ("append", Some(_)) => ChunkVerdict::Keep,
        ("reset", None) => ChunkVerdict::Reset,
        _ => panic!("no step of a chunk hook: {words:?}"),
    }
}
