//! Calls other services, as `x-call` and its kin say, and answers with what came of it, as JSON.

use std::time::Duration;

use serde_json::{Value, json};
use tamis_sdk::http_client::{self, Error, Incoming, Outgoing};
use tamis_sdk::prelude::*;

struct Caller;

impl Filter for Caller {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Caller)
    }
}

impl RequestHook for Caller {
    fn on_request(&self, request: &mut Request) -> Verdict {
        if text(request, "x-call-in").is_some_and(|hook| hook != "request") {
            return Verdict::Next;
        }
        match called(request) {
            Some(json) => Reply::new(StatusCode::OK).json(json.to_string()).into(),
            None => Verdict::Next,
        }
    }
}

impl ResponseHook for Caller {
    fn on_response(&self, response: &mut Response) -> Verdict {
        let request = response.request();
        if text(&request, "x-call-in").is_some_and(|hook| hook == "response")
            && let Some(json) = called(&request)
        {
            response.set_header("x-called", json.to_string()).expect("JSON without line breaks");
        }
        Verdict::Next
    }
}

impl CompleteHook for Caller {
    fn on_complete(&self, outcome: &Outcome) {
        let request = outcome.request();
        if text(&request, "x-call-in").is_some_and(|hook| hook == "complete")
            && let Some(json) = called(&request)
        {
            log::info!("called {json}");
        }
    }
}

tamis_sdk::export!(Caller: request, response, complete);

/// `x-call: CLUSTER METHOD TARGET`, several times for several calls side by side; `x-call-times: N` sends each N times over.
fn called(request: &Request) -> Option<Value> {
    let mut calls = Vec::new();
    for call in request.headers("x-call") {
        let call = call.to_str().ok()?.to_owned();
        let mut words = call.split(' ');
        let (cluster, method, target) = (words.next()?, words.next()?, words.next()?);
        let mut outgoing = Outgoing::new(cluster, Method::from_bytes(method.as_bytes()).ok()?, target);
        if let Some(authority) = text(request, "x-call-authority") {
            outgoing = outgoing.authority(authority);
        }
        if let Some(field) = text(request, "x-call-field") {
            let (name, value) = field.split_once(": ")?;
            outgoing = outgoing.header(name, value);
        }
        if let Some(body) = text(request, "x-call-body") {
            outgoing = outgoing.body(body);
        }
        if let Some(trailer) = text(request, "x-call-trailer") {
            let (name, value) = trailer.split_once(": ")?;
            outgoing = outgoing.trailer(name, value);
        }
        if let Some(ms) = text(request, "x-call-timeout").and_then(|ms| ms.parse().ok()) {
            outgoing = outgoing.timeout(Duration::from_millis(ms));
        }
        let times = text(request, "x-call-times").and_then(|times| times.parse().ok()).unwrap_or(1);
        calls.extend(std::iter::repeat_n(outgoing, times));
    }
    match calls.len() {
        0 => None,
        1 => calls.pop().map(|call| told(call.send())),
        _ => Some(http_client::send_all(calls).into_iter().map(told).collect()),
    }
}

fn told(answer: Result<Incoming, Error>) -> Value {
    match answer {
        Ok(answer) => {
            let fields = answer.all_headers().map(|(name, value)| json!([name, String::from_utf8_lossy(value)]));
            json!({
                "status": answer.status().as_u16(),
                "headers": fields.collect::<Vec<_>>(),
                "body": String::from_utf8_lossy(answer.body()),
                "trailer": answer.trailer("x-trailer").map(|value| value.to_str().unwrap_or_default().to_owned()),
            })
        }
        Err(why) => json!({ "error": word(why) }),
    }
}

fn word(why: Error) -> &'static str {
    match why {
        Error::NotAllowed => "not-allowed",
        Error::NoSuchCluster => "no-such-cluster",
        Error::NoHealthyEndpoint => "no-healthy-endpoint",
        Error::Timeout => "timeout",
        Error::Reset => "reset",
        Error::TooLarge => "too-large",
        Error::Protocol => "protocol",
    }
}

fn text(request: &Request, name: &str) -> Option<String> {
    request.header(name)?.to_str().ok().map(str::to_owned)
}
