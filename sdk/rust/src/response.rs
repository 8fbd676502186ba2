//! The response of the exchange in hand.

use http::{HeaderValue, StatusCode};

use crate::{BodyError, Connection, Destination, Fields, Notes, Refused, Request, fields, host};

/// The response: the upstream's, or one that the proxy or another filter made.
#[derive(Debug)]
pub struct Response(());

impl Response {
    pub(crate) fn in_hand() -> Self {
        Response(())
    }

    /// The status, 200 to 599: informational answers never reach a hook.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(host::response::status()).unwrap_or_default()
    }

    /// Refused outside of 200 to 599.
    pub fn set_status(&mut self, status: StatusCode) -> Result<(), Refused> {
        host::response::set_status(status.as_u16()).map_err(Refused)
    }

    /// `upstream` if the upstream answered, else the one word that the access log has for an answer of the proxy or a filter.
    pub fn origin(&self) -> String {
        host::response::origin()
    }

    /// All values of the name joined by `, `. Use [`headers`](Self::headers) for `set-cookie`, whose values cannot be joined.
    pub fn header(&self, name: &str) -> Option<HeaderValue> {
        host::response::header(name).map(fields::value)
    }

    /// Each value of the name, in the order in which they came.
    pub fn headers(&self, name: &str) -> Vec<HeaderValue> {
        host::response::headers(name).into_iter().map(fields::value).collect()
    }

    /// All fields at once: cheaper than many calls of [`header`](Self::header).
    pub fn all_headers(&self) -> Fields {
        Fields::new(host::response::all_headers())
    }

    /// Puts one value in the place of all values of the name. Refused if HTTP does not allow the name or the value, or if the
    /// field is part of the framing, which is the proxy's.
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Refused> {
        host::response::set_header(name, value.as_ref()).map_err(Refused)
    }

    /// One more value after those that are there. Refused as in [`set_header`](Self::set_header).
    pub fn add_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Refused> {
        host::response::add_header(name, value.as_ref()).map_err(Refused)
    }

    /// Takes away all values of the name; nothing happens if there are none, or if the field is one that cannot be set.
    pub fn remove_header(&mut self, name: &str) {
        host::response::remove_header(name);
    }

    /// Waits for the whole body, at most `limit` bytes. It still goes to the client, unless it is replaced. Only in the response
    /// hook: later a part of it has gone on.
    pub fn read_body(&self, limit: u32) -> Result<Vec<u8>, BodyError> {
        Ok(host::response::read_body(limit)?)
    }

    /// Sends this body in the place of the response's own, framed anew.
    pub fn set_body(&mut self, body: impl AsRef<[u8]>) {
        host::response::set_body(body.as_ref());
    }

    /// A trailer, `grpc-status` for one; `None` outside of the trailers hook.
    pub fn trailer(&self, name: &str) -> Option<HeaderValue> {
        host::response::trailer(name).map(fields::value)
    }

    /// Sets a trailer; refused outside of the trailers hook, and as in [`set_header`](Self::set_header).
    pub fn set_trailer(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Refused> {
        host::response::set_trailer(name, value.as_ref()).map_err(Refused)
    }

    /// The request that this answers. It can be read as before; what is written no longer goes upstream.
    pub fn request(&self) -> Request {
        Request::in_hand()
    }

    /// Who gets the answer, and over what.
    pub fn connection(&self) -> Connection {
        Connection::in_hand()
    }

    /// Where the request went.
    pub fn destination(&self) -> Destination {
        Destination::in_hand()
    }

    /// What filters tell each other about this exchange.
    pub fn notes(&self) -> Notes {
        Notes::in_hand()
    }
}
