//! The filter that runs the cases.

use tamis_sdk::prelude::*;

use crate::case::Case;
use crate::cases;

/// The request's field that names the case.
pub const CASE: &str = "x-case";

/// The response's field that tells how it went: `ok`, or what was not as it should be.
pub const RESULT: &str = "x-case-result";

/// Runs the case that a request names; lets pass a request that names none. Notes carry the result from the request to the
/// response, because the two may meet different instances.
#[derive(Debug)]
pub struct Conformance;

impl Filter for Conformance {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Conformance)
    }
}

impl RequestHook for Conformance {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let Some(case) = named(request) else { return Verdict::Next };
        match (case.on_request)(request) {
            Ok(Verdict::Reply(reply)) => reply.header(RESULT, "ok").into(),
            Ok(verdict) => verdict,
            Err(mistake) => failed(&mistake),
        }
    }
}

impl ResponseHook for Conformance {
    fn on_response(&self, response: &mut Response) -> Verdict {
        let Some(case) = named(&response.request()) else { return Verdict::Next };
        match (case.on_response)(response) {
            Ok(Verdict::Next) => match response.set_header(RESULT, "ok") {
                Ok(()) => Verdict::Next,
                Err(why) => failed(&why.to_string()),
            },
            Ok(Verdict::Reply(reply)) => reply.header(RESULT, "ok").into(),
            Ok(Verdict::Reset) => Verdict::Reset,
            Err(mistake) => failed(&mistake),
        }
    }
}

impl ResponseChunkHook for Conformance {
    fn on_response_chunk(&self, response: &mut Response, chunk: Chunk) -> ChunkVerdict {
        match named(&response.request()) {
            Some(case) => (case.on_response_chunk)(response, chunk),
            None => ChunkVerdict::Keep,
        }
    }
}

tamis_sdk::export!(Conformance: request, response, response_chunk);

fn named(request: &Request) -> Option<&'static Case> {
    let name = request.header(CASE)?;
    cases().iter().find(|case| name == case.name)
}

fn failed(mistake: &str) -> Verdict {
    let printable: String = mistake.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    Reply::new(StatusCode::INTERNAL_SERVER_ERROR).header(RESULT, printable).into()
}
