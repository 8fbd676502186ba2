//! Finds and replaces in the bodies of requests and responses: texts while the body streams, expressions in the whole of it.

mod config;
mod literals;
mod rule;

use std::cell::RefCell;

use tamis_sdk::metrics::Counter;
use tamis_sdk::prelude::*;

use config::{Message, OnUnfit};
use literals::Stream;
use rule::Rule;

/// The note with the name of the rule for the response: a later filter may have changed the path since the rule was found.
const NOTE: &str = "rewrite-body";

/// Fields that speak of the bytes as they were.
const OF_THE_OLD_BODY: [&str; 6] = ["etag", "accept-ranges", "content-md5", "digest", "content-digest", "repr-digest"];

/// The rules, and the bodies in hand: where one streams, the instance is held until the exchange ends.
#[derive(Debug)]
pub struct RewriteBody {
    rules: Vec<Rule>,
    request: RefCell<Option<Passing>>,
    response: RefCell<Option<Passing>>,
    bodies: Counter,
    replacements: Counter,
}

/// A body on its way through, and the position of its rule.
#[derive(Debug)]
struct Passing {
    rule: usize,
    stream: Stream,
}

impl Filter for RewriteBody {
    type Config = config::Config;

    fn configure(config: config::Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        let mut rules: Vec<Rule> = Vec::with_capacity(config.rules.len());
        for (position, rule) in config.rules.into_iter().enumerate() {
            let at = format!("rules[{position}]");
            let rule = Rule::build(position, rule).map_err(|error| error.within(&at))?;
            if rules.iter().any(|known| known.name == rule.name) {
                let why = format!("expected a name that no other rule has, found \"{}\"", rule.name);
                return Err(ConfigError::at(format_args!("{at}.name"), why));
            }
            rules.push(rule);
        }
        let any = |of: Message, streams: bool| rules.iter().any(|rule| rule.of == of && (!streams || rule.streams()));
        let hooks = [
            (Hook::Request, true),
            (Hook::RequestChunk, any(Message::Request, true)),
            (Hook::Response, any(Message::Response, false)),
            (Hook::ResponseChunk, any(Message::Response, true)),
        ];
        for (hook, _) in hooks.into_iter().filter(|(_, wanted)| *wanted) {
            setup.want(hook).map_err(ConfigError::new)?;
        }
        if any(Message::Request, true) || any(Message::Response, true) {
            setup.keep_state();
        }
        let bodies = setup.counter("rewrite_body_bodies_total", "Bodies that a rule is for", &["rule", "result"]);
        let replacements = setup.counter("rewrite_body_replacements_total", "What was replaced in them", &["rule"]);
        let (bodies, replacements) = (bodies.map_err(ConfigError::new)?, replacements.map_err(ConfigError::new)?);
        Ok(RewriteBody { rules, request: RefCell::default(), response: RefCell::default(), bodies, replacements })
    }
}

impl RequestHook for RewriteBody {
    fn on_request(&self, request: &mut Request) -> Verdict {
        // Whatever the last exchange left here is gone now.
        self.request.take();
        self.response.take();
        if let Some((_, rule)) = self.find(Message::Response, request) {
            request.notes().set(NOTE, &rule.name);
            // A body that comes packed would pass unread, and of a part of one nobody knows how it begins.
            if rule.ask_for_plain {
                request.remove_header("accept-encoding");
                request.remove_header("range");
            }
        }
        let Some((position, rule)) = self.find(Message::Request, request) else { return Verdict::Next };
        let (kind, coding) = (request.header("content-type"), request.header("content-encoding"));
        match self.plan(rule, kind, coding) {
            Plan::Rewrite => {}
            Plan::Leave => return Verdict::Next,
            Plan::Fail => return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected a body that is not compressed\n"),
        }
        if rule.streams() {
            forget(|name| request.remove_header(name));
            self.request.replace(Some(Passing { rule: position, stream: Stream::default() }));
            return Verdict::Next;
        }
        match self.rewritten(rule, request.read_body(rule.body_bytes_max)) {
            Rewritten::As(body) => {
                forget(|name| request.remove_header(name));
                request.set_body(body);
                Verdict::Next
            }
            Rewritten::Same => Verdict::Next,
            Rewritten::Fail => refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than can be rewritten\n"),
            Rewritten::Gone => Verdict::Reset,
        }
    }
}

impl RequestChunkHook for RewriteBody {
    fn on_request_chunk(&self, _: &mut Request, chunk: Chunk) -> ChunkVerdict {
        self.pass(&self.request, chunk)
    }
}

impl ResponseHook for RewriteBody {
    fn on_response(&self, response: &mut Response) -> Verdict {
        let Some(name) = response.notes().get(NOTE) else { return Verdict::Next };
        let Some((position, rule)) = self.rules.iter().enumerate().find(|(_, rule)| rule.name == name) else {
            return Verdict::Next;
        };
        // A part of a body, or none.
        if matches!(response.status(), StatusCode::PARTIAL_CONTENT | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Verdict::Next;
        }
        let (kind, coding) = (response.header("content-type"), response.header("content-encoding"));
        match self.plan(rule, kind, coding) {
            Plan::Rewrite => {}
            Plan::Leave => return Verdict::Next,
            Plan::Fail => return refusal(StatusCode::BAD_GATEWAY, "the answer is compressed and cannot be rewritten\n"),
        }
        // What is said of a body is the same whether it is sent or not.
        let no_body = response.request().method() == Method::HEAD;
        if rule.streams() || no_body {
            forget(|name| response.remove_header(name));
            self.response.replace((!no_body).then(|| Passing { rule: position, stream: Stream::default() }));
            return Verdict::Next;
        }
        match self.rewritten(rule, response.read_body(rule.body_bytes_max)) {
            Rewritten::As(body) => {
                forget(|name| response.remove_header(name));
                response.set_body(body);
                Verdict::Next
            }
            Rewritten::Same => Verdict::Next,
            Rewritten::Fail => refusal(StatusCode::BAD_GATEWAY, "the answer is longer than can be rewritten\n"),
            Rewritten::Gone => Verdict::Reset,
        }
    }
}

impl ResponseChunkHook for RewriteBody {
    fn on_response_chunk(&self, _: &mut Response, chunk: Chunk) -> ChunkVerdict {
        self.pass(&self.response, chunk)
    }
}

tamis_sdk::export!(RewriteBody: request, request_chunk, response, response_chunk);
tamis_sdk::config_schema!("schema.json");

/// What is to be done with a body.
enum Plan {
    Rewrite,
    Leave,
    Fail,
}

/// What has become of a whole body.
enum Rewritten {
    As(Vec<u8>),
    Same,
    Fail,
    /// Whoever sent it has left.
    Gone,
}

impl RewriteBody {
    /// The first rule for this message of the exchange.
    fn find(&self, of: Message, request: &Request) -> Option<(usize, &Rule)> {
        self.rules.iter().enumerate().find(|(_, rule)| rule.of == of && rule.is_for(request))
    }

    /// What is to be done with a body of this type and coding.
    fn plan(&self, rule: &Rule, kind: Option<HeaderValue>, coding: Option<HeaderValue>) -> Plan {
        if !rule.reads(kind.as_ref()) {
            return Plan::Leave;
        }
        if coding.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Plan::Rewrite;
        }
        self.bodies.increment(&[&rule.name, "compressed"]);
        if rule.on_compressed == OnUnfit::Fail { Plan::Fail } else { Plan::Leave }
    }

    fn rewritten(&self, rule: &Rule, body: Result<Vec<u8>, BodyError>) -> Rewritten {
        let too_large = || {
            self.bodies.increment(&[&rule.name, "too-large"]);
            if rule.on_too_large == OnUnfit::Fail { Rewritten::Fail } else { Rewritten::Same }
        };
        let body = match body {
            Ok(body) => body,
            Err(BodyError::PeerGone) => return Rewritten::Gone,
            Err(_) => return too_large(),
        };
        let Some((body, count)) = rule.rewrite(body) else { return too_large() };
        self.count(rule, count);
        if count == 0 { Rewritten::Same } else { Rewritten::As(body) }
    }

    fn pass(&self, body: &RefCell<Option<Passing>>, chunk: Chunk) -> ChunkVerdict {
        let mut passing = body.borrow_mut();
        let Some(Passing { rule, stream }) = passing.as_mut() else { return ChunkVerdict::Keep };
        let rule = &self.rules[*rule];
        let out = stream.pass(&rule.literals, &chunk.bytes, chunk.end, rule.count_max);
        if chunk.end {
            self.count(rule, stream.replaced);
        }
        if out == chunk.bytes { ChunkVerdict::Keep } else { ChunkVerdict::Replace(out) }
    }

    fn count(&self, rule: &Rule, count: usize) {
        self.bodies.increment(&[&rule.name, if count == 0 { "same" } else { "rewritten" }]);
        if count > 0 {
            self.replacements.add(&[&rule.name], count as f64);
        }
    }
}

fn forget(mut remove: impl FnMut(&str)) {
    OF_THE_OLD_BODY.into_iter().for_each(&mut remove);
}

fn refusal(status: StatusCode, text: &str) -> Verdict {
    Reply::new(status).text(text).into()
}
