//! An answer of the filter's own.

use http::StatusCode;

use crate::{Refused, host};

/// An answer of the filter's own, sent by returning it as [`Verdict::Reply`](crate::Verdict::Reply). The proxy adds the
/// framing and `date`.
#[derive(Debug, Clone)]
pub struct Reply {
    content: Content,
    /// How it gets to the proxy. It travels with the reply so that a filter that never makes one does not import how to send it.
    hand_over: fn(&Content) -> Result<(), String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    Http { status: StatusCode, fields: Vec<(String, Vec<u8>)>, body: Vec<u8> },
    Grpc { status: u32, message: String },
}

impl Reply {
    /// An answer without fields or body.
    pub fn new(status: StatusCode) -> Self {
        Reply { content: Content::Http { status, fields: Vec::new(), body: Vec::new() }, hand_over: http }
    }

    /// The answer to a gRPC call: HTTP 200, and this gRPC code and message where gRPC clients look for them.
    pub fn grpc(status: u32, message: impl Into<String>) -> Self {
        Reply { content: Content::Grpc { status, message: message.into() }, hand_over: grpc }
    }

    /// One more field. Nothing happens to a gRPC reply.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let Content::Http { fields, .. } = &mut self.content {
            fields.push((name.to_owned(), value.as_ref().to_vec()));
        }
        self
    }

    /// The body. Nothing happens to a gRPC reply.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if let Content::Http { body, .. } = &mut self.content {
            *body = bytes.into();
        }
        self
    }

    /// A body of plain text, with its `content-type`.
    pub fn text(self, text: &str) -> Self {
        self.header("content-type", "text/plain; charset=utf-8").body(text)
    }

    /// A body of JSON, with its `content-type`.
    pub fn json(self, json: impl Into<Vec<u8>>) -> Self {
        self.header("content-type", "application/json").body(json)
    }

    /// Asks the proxy whether it would take this reply: not if the status is outside of 200 to 599, or if a field is one that
    /// [`Response::set_header`](crate::Response::set_header) refuses. Worth it where a part of it comes from outside.
    pub fn check(&self) -> Result<(), Refused> {
        self.hand_over().map_err(Refused)
    }

    /// Gives the reply to the proxy, which forgets it unless the hook's verdict is to reply.
    pub(crate) fn hand_over(&self) -> Result<(), String> {
        (self.hand_over)(&self.content)
    }
}

impl PartialEq for Reply {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

fn http(content: &Content) -> Result<(), String> {
    let Content::Http { status, fields, body } = content else { return Ok(()) };
    let field = |(name, value): &(String, Vec<u8>)| host::Field { name: name.clone(), value: value.clone() };
    let fields: Vec<_> = fields.iter().map(field).collect();
    host::reply::set(status.as_u16(), &fields, body)
}

fn grpc(content: &Content) -> Result<(), String> {
    let Content::Grpc { status, message } = content else { return Ok(()) };
    host::reply::set_grpc(*status, message);
    Ok(())
}
