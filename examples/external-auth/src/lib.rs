//! Asks a service whether a request may pass, and fails closed: whatever is not a clear yes or no is 503.

mod config;

use std::time::Duration;

use tamis_sdk::http_client::{Incoming, Outgoing};
use tamis_sdk::prelude::*;

use config::{Config, Name};

/// What the service is told about the request, beside the fields that are sent on.
const ABOUT: [&str; 5] = ["x-original-method", "x-original-uri", "x-original-host", "x-original-client", "x-request-id"];

/// Whom to ask, what to tell, and what to do with the answer.
#[derive(Debug)]
pub struct ExternalAuth {
    cluster: String,
    target: String,
    timeout: Duration,
    send: Vec<Name>,
    pass: Vec<Name>,
    answer: Vec<Name>,
}

impl Filter for ExternalAuth {
    type Config = Config;

    fn configure(config: Config, _: &mut Setup) -> Result<Self, ConfigError> {
        if config.timeout.is_zero() {
            return Err(ConfigError::at("timeout", "expected more than 0ms, found 0ms"));
        }
        if let Some(at) = config.send.0.iter().position(|name| ABOUT.contains(&name.0.as_str())) {
            let found = &config.send.0[at].0;
            return Err(ConfigError::at(format_args!("send[{at}]"), format_args!("`{found}` is sent by the filter itself")));
        }
        Ok(ExternalAuth {
            cluster: config.cluster,
            target: config.path.0,
            timeout: config.timeout,
            send: config.send.0,
            pass: config.pass.0,
            answer: config.answer.0,
        })
    }
}

impl RequestHook for ExternalAuth {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let answer = match self.question(request).send() {
            Ok(answer) => answer,
            Err(why) => return unknown(format_args!("`{}` gives no answer: {why}", self.cluster)),
        };
        match answer.status() {
            status if status.is_success() => self.let_pass(request, &answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.refuse(answer),
            status => unknown(format_args!("`{}` answers {status}", self.cluster)),
        }
    }
}

tamis_sdk::export!(ExternalAuth: request);

impl ExternalAuth {
    /// Every value of a field goes along: which of several counts is for the service to say.
    fn question(&self, request: &Request) -> Outgoing {
        let target = match request.query() {
            Some(query) => format!("{}?{query}", request.path()),
            None => request.path(),
        };
        let about =
            [request.method().as_str().to_owned(), target, request.authority(), request.connection().source(), request.id()];
        let mut question = Outgoing::get(&self.cluster, &self.target).timeout(self.timeout);
        for (name, value) in ABOUT.iter().zip(about) {
            question = question.header(name, value);
        }
        for name in &self.send {
            for value in request.headers(&name.0) {
                question = question.header(&name.0, value);
            }
        }
        question
    }

    /// What the client says under these names goes away first: only the service's word counts upstream.
    fn let_pass(&self, request: &mut Request, answer: &Incoming) -> Verdict {
        for name in &self.pass {
            request.remove_header(&name.0);
            for value in answer.headers(&name.0) {
                if let Err(why) = request.add_header(&name.0, value) {
                    return unknown(format_args!("`{}` answers with a field that cannot be sent on: {why}", self.cluster));
                }
            }
        }
        Verdict::Next
    }

    fn refuse(&self, answer: Incoming) -> Verdict {
        let mut reply = Reply::new(answer.status());
        for name in &self.answer {
            for value in answer.headers(&name.0) {
                reply = reply.header(&name.0, value);
            }
        }
        let reply = reply.body(answer.into_body());
        match reply.check() {
            Ok(()) => reply.into(),
            Err(why) => unknown(format_args!("`{}` refuses with an answer that cannot be sent: {why}", self.cluster)),
        }
    }
}

/// Nobody said yes.
fn unknown(why: std::fmt::Arguments<'_>) -> Verdict {
    log::warn!("{why}");
    Reply::new(StatusCode::SERVICE_UNAVAILABLE).text("access cannot be checked\n").into()
}
