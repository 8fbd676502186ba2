//! What of a message passes: pieces of its body and its trailers, as the guest lets them.

use std::rc::Rc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};

use super::stream::{CONTINUE, Next, Stage, Stream};
use crate::filter::chain::Way;
use crate::filter::hand::{Hand, Trailers};
use crate::filter::{Fault, Verdict};

/// What a callback for a body returns besides the two for a head.
const STOP_AND_WATERMARK: u32 = 2;
const STOP_NO_BUFFER: u32 = 3;

impl Stream {
    /// A piece of the body. `more`: trailers follow its end.
    pub fn chunk(self: &Rc<Self>, way: Way, mut bytes: Bytes, end: bool, more: bool, hand: &mut Hand) -> Result<Next, Fault> {
        let side = self.side(way);
        let known = bytes.split_to(side.ahead.get().min(bytes.len()));
        side.ahead.set(side.ahead.get() - known.len());
        side.released.borrow_mut().extend_from_slice(&known);
        if side.gone.get() == 0 {
            side.length.set(self.told_length(way));
        }
        // What is new: a piece, or that there is none any more. With trailers behind it they are the end.
        let news = !bytes.is_empty() || end && !more;
        if side.ended.get() || !news {
            if (side.paused.get() || self.raw) && self.is_settled() {
                side.paused.set(false);
                if let Some(settled) = self.settled(Stage::Body, way, hand) {
                    return settled.map(Next::Done);
                }
            }
            side.released.borrow_mut().extend_from_slice(&bytes);
            return self.pass(way, None, end && !more, hand);
        }
        let (before, given) = (side.held.borrow().len(), bytes.clone());
        side.append(bytes);
        let visible = u32::try_from(side.held.borrow().len()).unwrap_or(u32::MAX);
        side.changed.set(false);
        side.readable.set(true);
        side.resumed.set(false);
        side.ended.set(end);
        let action = self.body_callback(way, visible, end)?;
        if let Some(settled) = self.settled(Stage::Body, way, hand) {
            return settled.map(Next::Done);
        }
        let goes_on = action == CONTINUE || side.resumed.take();
        if goes_on {
            side.paused.set(false);
            let unchanged = before == 0 && !side.changed.get() && side.released.borrow().is_empty();
            if unchanged {
                side.held.take();
                side.readable.set(false);
                return self.pass(way, Some(&given), end, hand);
            }
            side.release();
            return self.pass(way, None, end, hand);
        }
        if action == STOP_NO_BUFFER {
            side.held.take();
        }
        let full = side.held.borrow().len() > self.limit(way);
        if full && action != STOP_AND_WATERMARK {
            return self.too_large(Stage::Body, way, hand).map(Next::Done);
        }
        if end || full {
            return Ok(Next::Wait(Stage::Body, way));
        }
        side.paused.set(true);
        self.pass(way, None, end, hand)
    }

    pub fn body_callback(self: &Rc<Self>, way: Way, visible: u32, end: bool) -> Result<u32, Fault> {
        if self.raw {
            return self.bytes_callback(way, visible, end);
        }
        self.vm.enter(self.id, Some(self), |machine| {
            let arguments = (self.id, visible, u32::from(end));
            match way {
                Way::Request => machine.store_call(|callbacks| &callbacks.request_body, arguments, CONTINUE),
                Way::Response => machine.store_call(|callbacks| &callbacks.response_body, arguments, CONTINUE),
            }
        })
    }

    /// What goes on in the place of a piece. `as_it_is`: that very piece.
    pub fn pass(&self, way: Way, as_it_is: Option<&Bytes>, end: bool, hand: &mut Hand) -> Result<Next, Fault> {
        let side = self.side(way);
        let bytes = match as_it_is {
            Some(bytes) => bytes.clone(),
            None => side.take_released(),
        };
        side.gone.set(side.gone.get() + bytes.len() as u64);
        let fits = side.length.get().is_none_or(|told| side.gone.get() == told || side.gone.get() < told && !end);
        if !fits {
            let message = "it gave a body another length and left `content-length`, which tells the one before";
            return Err(Fault::Trap(message.to_owned()));
        }
        if as_it_is.is_some() {
            return Ok(Next::Done(Verdict::Next));
        }
        hand.chunk = Some(bytes);
        Ok(Next::Done(Verdict::Replied))
    }

    /// The length that has been told to whoever reads the message.
    fn told_length(&self, way: Way) -> Option<u64> {
        let exchange = self.exchange();
        let exchange = exchange.borrow();
        let headers = match way {
            Way::Request => &exchange.request.headers,
            Way::Response => &exchange.response.as_ref()?.headers,
        };
        headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// Bytes of one body that may wait.
    pub fn limit(&self, way: Way) -> usize {
        let config = &self.vm.filter.config;
        // What has no room in its memory it cannot read.
        let asked = self.side(way).limit.get().map(|asked| asked.min(config.memory));
        asked.unwrap_or(config.proxy_wasm.body_bytes)
    }

    /// More waits than may.
    pub fn too_large(&self, stage: Stage, way: Way, hand: &mut Hand) -> Result<Verdict, Fault> {
        if self.raw {
            self.is_full();
            return Ok(Verdict::Reset);
        }
        let limit = self.limit(way);
        tracing::warn!(filter = %self.vm.filter.name, limit, "a body that waits for a filter is larger than `proxy-wasm.body-bytes`");
        let status = if way == Way::Request { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::INTERNAL_SERVER_ERROR };
        self.reply.replace(Some(super::contexts::plain_reply(status)));
        self.settled(stage, way, hand).unwrap_or(Ok(Verdict::Reset))
    }

    /// `proxy_on_…_trailers`
    pub fn trailers(self: &Rc<Self>, way: Way, hand: &mut Hand) -> Result<Next, Fault> {
        let side = self.side(way);
        let given = match hand.trailers.take() {
            Some(Trailers::Request(trailers) | Trailers::Response(trailers)) => trailers,
            None => HeaderMap::new(),
        };
        if side.trailers_seen.take() {
            side.trailers.replace(Some(given));
            return self.pass_trailers(way, hand);
        }
        let count = u32::try_from(given.len()).unwrap_or(u32::MAX);
        side.trailers.replace(Some(given));
        side.resumed.set(false);
        let action = self.trailers_callback(way, count)?;
        if let Some(settled) = self.settled(Stage::Trailers, way, hand) {
            return settled.map(Next::Done);
        }
        if action != CONTINUE && !side.resumed.take() {
            return Ok(Next::Wait(Stage::Trailers, way));
        }
        self.pass_trailers(way, hand)
    }

    pub fn trailers_callback(self: &Rc<Self>, way: Way, count: u32) -> Result<u32, Fault> {
        self.vm.enter(self.id, Some(self), |machine| match way {
            Way::Request => machine.store_call(|callbacks| &callbacks.request_trailers, (self.id, count), CONTINUE),
            Way::Response => machine.store_call(|callbacks| &callbacks.response_trailers, (self.id, count), CONTINUE),
        })
    }

    /// They go on, and before them whatever of the body has waited.
    pub fn pass_trailers(&self, way: Way, hand: &mut Hand) -> Result<Next, Fault> {
        let side = self.side(way);
        side.paused.set(false);
        side.release();
        let trailers = side.trailers.borrow().clone().unwrap_or_default();
        hand.trailers = Some(match way {
            Way::Request => Trailers::Request(trailers),
            Way::Response => Trailers::Response(trailers),
        });
        let verdict = self.pass(way, None, true, hand)?;
        if hand.chunk.as_ref().is_some_and(Bytes::is_empty) {
            hand.chunk = None;
        }
        Ok(match verdict {
            Next::Done(_) => Next::Done(Verdict::Next),
            wait => wait,
        })
    }
}
