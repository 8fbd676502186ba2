//! What is kept of an exchange under way for whoever watches: the fields of the request as they came, and the beginnings of bodies.

use std::cell::RefCell;

use http::HeaderMap;

/// See the module.
#[derive(Debug)]
pub struct Kept {
    pub request_headers: HeaderMap,
    bytes_max: usize,
    request: RefCell<Vec<u8>>,
    response: RefCell<Vec<u8>>,
}

impl Kept {
    /// With `bytes_max` of each body.
    pub fn new(request_headers: HeaderMap, bytes_max: usize) -> Self {
        Self { request_headers, bytes_max, request: RefCell::default(), response: RefCell::default() }
    }

    /// A piece of the request's body, as it came.
    pub fn request(&self, piece: &[u8]) {
        Self::add(&self.request, piece, self.bytes_max);
    }

    /// A piece of the answer's body, as it goes out.
    pub fn response(&self, piece: &[u8]) {
        Self::add(&self.response, piece, self.bytes_max);
    }

    fn add(to: &RefCell<Vec<u8>>, piece: &[u8], bytes_max: usize) {
        let mut kept = to.borrow_mut();
        let room = bytes_max.saturating_sub(kept.len());
        kept.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// The beginnings of both bodies.
    pub fn bodies(&self) -> (std::cell::Ref<'_, Vec<u8>>, std::cell::Ref<'_, Vec<u8>>) {
        (self.request.borrow(), self.response.borrow())
    }
}
