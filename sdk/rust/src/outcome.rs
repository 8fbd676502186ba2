//! How an exchange went.

use std::time::Duration;

use http::{HeaderValue, StatusCode};

use crate::destination::Mirror;
use crate::{Connection, Destination, Notes, Request, Response, fields, host};

/// How the exchange went, once the client has its answer, or has gone.
#[derive(Debug)]
pub struct Outcome(());

/// What became of the copy that [`Destination::mirror`] sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirrored {
    /// `None` if no answer came.
    pub status: Option<StatusCode>,
    /// To compare two answers by.
    pub body_hash: u64,
    /// How long it took.
    pub duration: Duration,
}

impl Outcome {
    pub(crate) fn in_hand() -> Self {
        Outcome(())
    }

    /// What the client got; `None` if it got nothing.
    pub fn status(&self) -> Option<StatusCode> {
        status(host::outcome::status())
    }

    /// How long the request's body was, as the client sent it.
    pub fn request_bytes(&self) -> u64 {
        host::outcome::request_bytes()
    }

    /// How long the response's body was, as the client got it.
    pub fn response_bytes(&self) -> u64 {
        host::outcome::response_bytes()
    }

    /// How long it took in all.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(host::outcome::duration_us())
    }

    /// The address of the endpoint that answered; `None` if none did.
    pub fn upstream(&self) -> Option<String> {
        host::outcome::upstream()
    }

    /// How often the request was sent; zero if it never was.
    pub fn attempts(&self) -> u32 {
        host::outcome::attempts()
    }

    /// The reason word of an answer that the proxy made, or of an exchange that was cut off; `None` if all went well.
    pub fn failure(&self) -> Option<String> {
        host::outcome::failure()
    }

    /// The result of a copy; `None` if it has not ended.
    pub fn mirrored(&self, mirror: Mirror) -> Option<Mirrored> {
        let result = host::outcome::mirrored(mirror.0)?;
        Some(Mirrored {
            status: status(result.status),
            body_hash: result.body_hash,
            duration: Duration::from_micros(result.duration_us),
        })
    }

    /// Each value of the name in the head of a copy's answer, in the order in which they came. The proxy keeps the first 16 KiB
    /// of a head.
    pub fn mirrored_headers(&self, mirror: Mirror, name: &str) -> Vec<HeaderValue> {
        host::outcome::mirrored_headers(mirror.0, name).into_iter().map(fields::value).collect()
    }

    /// The request, as the filters left it. A raw connection has none: its functions trap.
    pub fn request(&self) -> Request {
        Request::in_hand()
    }

    /// The response, as the filters left it; `None` if the client got none.
    pub fn response(&self) -> Option<Response> {
        self.status().map(|_| Response::in_hand())
    }

    /// Who spoke, and over what.
    pub fn connection(&self) -> Connection {
        Connection::in_hand()
    }

    /// Where the request went.
    pub fn destination(&self) -> Destination {
        Destination::in_hand()
    }

    /// What filters told each other about this exchange.
    pub fn notes(&self) -> Notes {
        Notes::in_hand()
    }
}

fn status(status: u16) -> Option<StatusCode> {
    StatusCode::from_u16(status).ok()
}
