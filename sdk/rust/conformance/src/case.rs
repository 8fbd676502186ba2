//! One case: an exchange, what a filter does with it, and what the two ends must see of that.

use tamis_sdk::{Chunk, ChunkVerdict, Request, Response, Verdict};

/// What a case does in a hook.
pub(crate) type Step<T> = fn(&mut T) -> Result<Verdict, String>;

/// What a case does with a piece of the response's body.
pub(crate) type Piece = fn(&mut Response, Chunk) -> ChunkVerdict;

/// One thing that the SDK promises.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Unique; what the request's field `x-case` says.
    pub name: &'static str,
    /// The request's method.
    pub method: &'static str,
    /// Path and query, as the client sends them.
    pub target: &'static str,
    /// Fields of the request, beside `x-case` and those that any client sends. A name may occur more than once.
    pub headers: &'static [(&'static str, &'static [u8])],
    /// What the upstream answers, if it is asked.
    pub answer: Answer,
    /// What the upstream must see; `None` if it must not be asked.
    pub upstream: Option<Upstream>,
    /// What the client must see, beside `x-case-result: ok`.
    pub client: Client,
    pub(crate) on_request: Step<Request>,
    pub(crate) on_response: Step<Response>,
    pub(crate) on_response_chunk: Piece,
}

/// What an upstream answers. The body is `upstream`.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Fields beside those that any server sends.
    pub headers: &'static [(&'static str, &'static [u8])],
}

/// What the upstream must see.
#[derive(Debug, Clone, Copy)]
pub struct Upstream {
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub target: &'static str,
    /// Host and port, if the case sets them.
    pub authority: Option<&'static str>,
    /// Fields that must be there; for each name all of its values, in order.
    pub headers: &'static [(&'static str, &'static [&'static [u8]])],
    /// Fields that must not.
    pub absent: &'static [&'static str],
}

/// What the client must see.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The status.
    pub status: u16,
    /// Fields that must be there; for each name all of its values, in order.
    pub headers: &'static [(&'static str, &'static [&'static [u8]])],
    /// Fields that must not.
    pub absent: &'static [&'static str],
    /// The body.
    pub body: &'static str,
}

impl Case {
    /// A GET of `/` that goes to the upstream and back untouched.
    pub(crate) const PLAIN: Case = Case {
        name: "",
        method: "GET",
        target: "/",
        headers: &[],
        answer: Answer { status: 200, headers: &[] },
        upstream: Some(Upstream::PLAIN),
        client: Client::PLAIN,
        on_request: |_| Ok(Verdict::Next),
        on_response: |_| Ok(Verdict::Next),
        on_response_chunk: |_, _| ChunkVerdict::Keep,
    };
}

impl Upstream {
    pub(crate) const PLAIN: Upstream = Upstream { method: "GET", target: "/", authority: None, headers: &[], absent: &[] };
}

impl Client {
    pub(crate) const PLAIN: Client = Client { status: 200, headers: &[], absent: &[], body: "upstream" };
}
