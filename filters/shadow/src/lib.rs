//! Sends copies of requests to other clusters, and tells where their answers differ from those that clients got. README.md has
//! every option.
//!
//! The proxy sends a copy when the request itself has gone out, and nobody waits for it: nothing here can slow an exchange down
//! but what the request hook itself does. What a hook has to tell a later one goes into notes, never into the instance: one that
//! is held until a hanging copy has ended would be missing elsewhere.

mod body;
mod config;
mod pairs;
mod report;
mod rule;
mod size;

use tamis_sdk::metrics::Counter;
use tamis_sdk::prelude::*;

use body::BodyHash;
use rule::{Asked, Rule};

/// The rules of one configuration, and what is counted of them.
#[derive(Debug)]
pub struct Shadow {
    rules: Vec<Rule>,
    /// Where the copies of an exchange are noted.
    note: String,
    /// Where the hash of the answer's body is noted as it passes.
    body_note: String,
    counts: Counts,
}

#[derive(Debug)]
struct Counts {
    copies: Counter,
    compared: Counter,
    differences: Counter,
}

impl Filter for Shadow {
    type Config = config::Config;

    fn configure(config: config::Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        let counts = Counts::declare(setup).map_err(ConfigError::new)?;
        let rules = rule::build(config.rules)?;
        // Only who compares has to be told how it went: the proxy counts by itself what becomes of copies.
        let compares = rules.iter().any(|rule| rule.compare.is_some()).then_some(Hook::Complete);
        let hashes = rules.iter().any(Rule::compares_body).then_some(Hook::ResponseChunk);
        for hook in [Hook::Request].into_iter().chain(compares).chain(hashes) {
            setup.want(hook).map_err(ConfigError::new)?;
        }
        Ok(Shadow { rules, body_note: format!("{}.body", config.note), note: config.note, counts })
    }
}

impl Counts {
    fn declare(setup: &mut Setup) -> Result<Self, Refused> {
        Ok(Counts {
            copies: setup.counter("shadow_copies_total", "Copies: asked for, or refused by the proxy", &["rule", "result"])?,
            compared: setup.counter("shadow_compared_total", "Pairs of answers that were compared", &["rule", "result"])?,
            differences: setup.counter("shadow_differences_total", "What pairs of answers differed in", &["rule", "in"])?,
        })
    }
}

impl RequestHook for Shadow {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let mut asked = Vec::new();
        let mut hashes = false;
        for rule in self.rules.iter().filter(|rule| rule.takes(request)) {
            match rule.copy(request) {
                Ok(copy) => {
                    self.counts.copies.add(&[&rule.name, "asked"], 1.0);
                    hashes |= rule.compares_body();
                    asked.push(copy);
                }
                Err(why) => {
                    self.counts.copies.add(&[&rule.name, "refused"], 1.0);
                    log::warn!("no copy for `{}`: {why}", rule.name);
                }
            }
        }
        if !asked.is_empty() {
            request.notes().set(&self.note, &Asked::written(&asked));
        }
        if hashes {
            request.notes().set(&self.body_note, &BodyHash::default().written());
        }
        Verdict::Next
    }
}

impl ResponseChunkHook for Shadow {
    fn on_response_chunk(&self, response: &mut Response, chunk: Chunk) -> ChunkVerdict {
        let mut notes = response.notes();
        if let Some(mut hash) = notes.get(&self.body_note).and_then(|note| BodyHash::read(&note)) {
            hash.take(&chunk);
            notes.set(&self.body_note, &hash.written());
        }
        ChunkVerdict::Keep
    }
}

impl CompleteHook for Shadow {
    fn on_complete(&self, outcome: &Outcome) {
        let Some(note) = outcome.notes().get(&self.note) else { return };
        for asked in Asked::read(&note) {
            let Some(rule) = self.rules.iter().find(|rule| rule.name == asked.rule) else { continue };
            self.judge(rule, &asked, outcome);
        }
    }
}

tamis_sdk::export!(Shadow: request, response_chunk, complete);
tamis_sdk::config_schema!("schema.json");
