//! The request of the exchange in hand.

use std::time::Duration;

use http::{HeaderValue, Method};

use crate::{BodyError, Connection, Destination, Fields, Notes, Refused, fields, host};

/// The request, as the filters before this one left it. What is written after the request phase no longer goes upstream, but
/// later hooks see it.
#[derive(Debug)]
pub struct Request(());

impl Request {
    pub(crate) fn in_hand() -> Self {
        Request(())
    }

    /// The method, as it was sent.
    pub fn method(&self) -> Method {
        Method::from_bytes(host::request::method().as_bytes()).unwrap_or_default()
    }

    /// `http` or `https`, as the client spoke it, or as a trusted hop says that it did.
    pub fn scheme(&self) -> String {
        host::request::scheme()
    }

    /// Host and port as the client named them; empty if it named none.
    pub fn authority(&self) -> String {
        host::request::authority()
    }

    /// The path without the query, dot segments resolved, percent-escapes kept.
    pub fn path(&self) -> String {
        host::request::path()
    }

    /// What follows the first `?`; `None` if there is none.
    pub fn query(&self) -> Option<String> {
        host::request::query()
    }

    /// The request id, the same in logs and upstream.
    pub fn id(&self) -> String {
        host::request::id()
    }

    /// What is left of the time that the exchange may take; `None` if it may take any.
    pub fn deadline_left(&self) -> Option<Duration> {
        host::request::deadline_left_ms().map(Duration::from_millis)
    }

    /// All values of the name joined by `, ` (`cookie`: by `; `). Where one of several values decides about access, use
    /// [`headers`](Self::headers): who joins values cannot tell them apart.
    pub fn header(&self, name: &str) -> Option<HeaderValue> {
        host::request::header(name).map(fields::value)
    }

    /// The same as the bytes that it is made of: cheaper where they are only passed on.
    pub fn header_bytes(&self, name: &str) -> Option<Vec<u8>> {
        host::request::header(name)
    }

    /// Each value of the name, in the order in which they came.
    pub fn headers(&self, name: &str) -> Vec<HeaderValue> {
        host::request::headers(name).into_iter().map(fields::value).collect()
    }

    /// All fields at once: cheaper than many calls of [`header`](Self::header).
    pub fn all_headers(&self) -> Fields {
        Fields::new(host::request::all_headers())
    }

    /// Refused if it is not a token, or `CONNECT`.
    pub fn set_method(&mut self, method: &Method) -> Result<(), Refused> {
        host::request::set_method(method.as_str()).map_err(Refused)
    }

    /// Host and port. Refused if they are none.
    pub fn set_authority(&mut self, authority: &str) -> Result<(), Refused> {
        host::request::set_authority(authority).map_err(Refused)
    }

    /// Path and query in one, at most 8 KiB. Refused if it does not begin with `/` (or is not exactly `*`), or has a
    /// character that a URI does not allow.
    pub fn set_target(&mut self, path_and_query: &str) -> Result<(), Refused> {
        host::request::set_target(path_and_query).map_err(Refused)
    }

    /// Puts one value in the place of all values of the name. Refused if HTTP does not allow the name or the value, or if the
    /// field is part of the framing, which is the proxy's; `host` is set by [`set_authority`](Self::set_authority).
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Refused> {
        host::request::set_header(name, value.as_ref()).map_err(Refused)
    }

    /// One more value after those that are there. Refused as in [`set_header`](Self::set_header).
    pub fn add_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Refused> {
        host::request::add_header(name, value.as_ref()).map_err(Refused)
    }

    /// Takes away all values of the name; nothing happens if there are none, or if the field is one that cannot be set.
    pub fn remove_header(&mut self, name: &str) {
        host::request::remove_header(name);
    }

    /// Waits for the whole body, at most `limit` bytes. It still goes upstream, unless it is replaced. Only in the request hook:
    /// later a part of it has gone on.
    pub fn read_body(&self, limit: u32) -> Result<Vec<u8>, BodyError> {
        Ok(host::request::read_body(limit)?)
    }

    /// Sends this body in the place of the request's own, framed anew.
    pub fn set_body(&mut self, body: impl AsRef<[u8]>) {
        host::request::set_body(body.as_ref());
    }

    /// A trailer; `None` outside of the trailers hook.
    pub fn trailer(&self, name: &str) -> Option<HeaderValue> {
        host::request::trailer(name).map(fields::value)
    }

    /// Sets a trailer; refused outside of the trailers hook, and as in [`set_header`](Self::set_header).
    pub fn set_trailer(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Refused> {
        host::request::set_trailer(name, value.as_ref()).map_err(Refused)
    }

    /// Who is speaking, and over what.
    pub fn connection(&self) -> Connection {
        Connection::in_hand()
    }

    /// Where the request goes.
    pub fn destination(&self) -> Destination {
        Destination::in_hand()
    }

    /// What filters tell each other about this exchange.
    pub fn notes(&self) -> Notes {
        Notes::in_hand()
    }
}
