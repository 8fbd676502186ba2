//! One step: a function of the SDK, with the words of the step as its arguments.

mod exchange;
mod outside;

use std::time::Duration;

use tamis_sdk::prelude::*;

use crate::Steps;
use crate::words::{decoded, done, option, split, value};

/// What the hook was given in which steps are taken.
pub struct At<'a> {
    pub request: &'a mut Request,
    pub response: Option<&'a mut Response>,
    pub outcome: Option<&'a Outcome>,
}

/// What the steps of a hook came to.
#[derive(Default)]
pub struct Taken {
    pub lines: Vec<String>,
    reply: Option<Reply>,
    reset: bool,
}

impl Taken {
    /// What the hook returns. A reply carries the lines of all hooks so far.
    pub fn verdict(self, notes: &Notes) -> Verdict {
        match (self.reset, self.reply) {
            (true, _) => Verdict::Reset,
            (false, None) => Verdict::Next,
            (false, Some(reply)) => crate::lines(notes).iter().fold(reply, |reply, line| reply.header("x-did", line)).into(),
        }
    }
}

/// The words of a step.
pub struct Words<'a> {
    text: Vec<String>,
    raw: Vec<&'a str>,
}

impl Words<'_> {
    pub fn text(&self, at: usize) -> &str {
        self.text.get(at).unwrap_or_else(|| panic!("the step has no word {at}: {:?}", self.text))
    }

    pub fn bytes(&self, at: usize) -> Vec<u8> {
        decoded(self.raw[at])
    }

    pub fn number<T: std::str::FromStr>(&self, at: usize) -> T {
        self.text(at).parse().unwrap_or_else(|_| panic!("{} is no number", self.text(at)))
    }

    /// `-` is none.
    pub fn some(&self, at: usize) -> Option<&str> {
        Some(self.text(at)).filter(|word| *word != "-")
    }

    pub fn time(&self, at: usize) -> Option<Duration> {
        self.some(at).map(|_| Duration::from_millis(self.number(at)))
    }

    /// All words from here on.
    pub fn rest(&self, at: usize) -> Vec<&str> {
        (at..self.raw.len()).map(|at| self.text(at)).collect()
    }

    /// Names and values from here on.
    pub fn pairs(&self, at: usize) -> impl Iterator<Item = (&str, Vec<u8>)> {
        (at..self.raw.len()).step_by(2).map(|at| (self.text(at), self.bytes(at + 1)))
    }
}

/// Takes one and writes its line.
pub fn take(filter: &Steps, step: &str, at: &mut At, taken: &mut Taken) {
    let words = Words { text: split(step), raw: step.split(' ').collect() };
    let result = match words.text(0).split('.').next().unwrap_or_default() {
        "request" => exchange::request(&words, at.request),
        "response" => exchange::response(&words, at.response.as_mut().expect("no response in this hook")),
        "outcome" => exchange::outcome(&words, at.outcome.expect("no outcome in this hook")),
        "connection" => exchange::connection(&words, &at.request.connection()),
        "destination" => exchange::destination(&words, &mut at.request.destination()),
        "notes" => exchange::notes(&words, &mut at.request.notes()),
        "http" => outside::http(&words),
        "store" => outside::store(&words),
        "quota" => outside::quota(&words),
        "metrics" => outside::metrics(&words, &filter.metrics),
        "log" | "clock" | "entropy" => outside::system(&words),
        _ => own(filter, &words, taken),
    };
    taken.lines.push(format!("{} {result}", words.text(0)));
}

fn own(filter: &Steps, words: &Words, taken: &mut Taken) -> String {
    match words.text(0) {
        "config" => value(&filter.greeting),
        "input" => option(filter.inputs.iter().find(|(name, _)| name == words.text(1)).map(|(_, content)| content)),
        "remember" => {
            filter.remembered.replace(Some(words.text(1).to_owned()));
            "ok".to_owned()
        }
        "recall" => option(filter.remembered.borrow().as_ref()),
        "reply" => {
            let status = StatusCode::from_u16(words.number(1)).expect("three digits");
            let reply = Reply::new(status).body(words.bytes(2));
            replied(words.pairs(3).fold(reply, |reply, (name, value)| reply.header(name, value)), taken)
        }
        "reply-grpc" => replied(Reply::grpc(words.number(1), words.text(2)), taken),
        "reset" => {
            taken.reset = true;
            "ok".to_owned()
        }
        "throw" => panic!("{}", words.text(1)),
        other => panic!("no such step: {other}"),
    }
}

/// A reply that is refused is forgotten.
fn replied(reply: Reply, taken: &mut Taken) -> String {
    let checked = reply.check();
    if checked.is_ok() {
        taken.reply = Some(reply);
    }
    done(checked)
}
