//! The part of a hook that waits: until the guest lets a message go on, and with Higress' ABI while its body comes.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::header::{CONTENT_LENGTH, EXPECT};

use super::callout::count;
use super::stream::{CONTINUE, Next, Stage, Stream};
use crate::exchange::Exchange;
use crate::exchange::body::{Ahead, Body};
use crate::filter::chain::Way;
use crate::filter::hand::Hand;
use crate::filter::{Fault, Verdict};

/// Waits until the guest lets a message go on, no longer than its hook may take.
pub async fn wait(stream: &Rc<Stream>, stage: Stage, way: Way, hand: &mut Hand) -> Result<Verdict, Fault> {
    let limit = stream.vm.filter.config.hook_timeout;
    let waited = async {
        if stage == Stage::HeadWithBody {
            return hold(stream, way, hand).await;
        }
        stream.spoken(way).await;
        Ok(None)
    };
    let outcome = match limit.is_zero() {
        true => Ok(waited.await),
        false => tokio::time::timeout(limit, waited).await,
    };
    if stage == Stage::HeadWithBody {
        // However it ended: where the filter fails open, what it has seen goes on with the rest.
        put_back(stream, way);
    }
    if let Some(verdict) = outcome.map_err(|_| Fault::Late(limit))?? {
        return Ok(verdict);
    }
    if let Some(settled) = stream.settled(stage, way, hand) {
        return settled;
    }
    let side = stream.side(way);
    let next = match stage {
        Stage::Head | Stage::HeadWithBody => return Ok(Verdict::Next),
        Stage::Connection => {
            // With whatever of it the guest has seen meanwhile.
            side.release();
            return Ok(Verdict::Next);
        }
        Stage::Body => {
            side.release();
            stream.pass(way, None, side.ended.get(), hand)?
        }
        Stage::Trailers => stream.pass_trailers(way, hand)?,
    };
    Ok(match next {
        Next::Done(verdict) => verdict,
        Next::Wait(..) => Verdict::Next,
    })
}

/// The head waits while the body comes in, piece by piece, and then its trailers, until the guest lets all of it go on.
async fn hold(stream: &Rc<Stream>, way: Way, hand: &mut Hand) -> Result<Option<Verdict>, Fault> {
    let side = stream.side(way);
    side.readable.set(true);
    loop {
        let piece = tokio::select! {
            biased;
            () = stream.spoken(way) => None,
            piece = poll_fn(|context| poll_ahead(stream, way, context)) => Some(piece),
        };
        let (bytes, end) = match piece {
            None => return Ok(None),
            Some(Ahead::Piece(bytes, end)) => (bytes, end),
            // Whoever waits for the rest of a message is not asked about half of one.
            Some(Ahead::Broken) => {
                stream.broken.replace(body(&mut stream.exchange().borrow_mut(), way).failure());
                return Ok(Some(Verdict::Reset));
            }
            Some(Ahead::Trailers) => return trailers(stream, way).await.map(|()| None),
        };
        side.read.set(side.read.get() + bytes.len());
        side.append(bytes);
        side.clear_resumed();
        side.ended.set(end);
        let visible = count(side.held.borrow().len());
        let action = stream.body_callback(way, visible, end)?;
        if let Some(settled) = stream.settled(Stage::HeadWithBody, way, hand) {
            return settled.map(Some);
        }
        if action == CONTINUE || side.take_resumed() {
            return Ok(None);
        }
        if side.held.borrow().len() > stream.limit(way) {
            return stream.too_large(Stage::HeadWithBody, way, hand).map(Some);
        }
        if end {
            stream.spoken(way).await;
            return Ok(None);
        }
    }
}

/// The guest sees them while the head and the body wait.
async fn trailers(stream: &Rc<Stream>, way: Way) -> Result<(), Fault> {
    let side = stream.side(way);
    let given = body(&mut stream.exchange().borrow_mut(), way).take_trailers().unwrap_or_default();
    let number = count(given.len());
    side.trailers.replace(Some(given));
    side.trailers_seen.set(true);
    side.clear_resumed();
    if stream.trailers_callback(way, number)? != CONTINUE && !side.take_resumed() {
        stream.spoken(way).await;
    }
    Ok(())
}

/// What was read while the head waited is in front of the rest again, as the guest has left it.
fn put_back(stream: &Stream, way: Way) {
    let side = stream.side(way);
    let held = side.held.take();
    side.readable.set(false);
    side.ahead.set(held.len());
    let read = side.read.take();
    let (other_length, whole) = (held.len() != read, side.ended.get().then_some(held.len()));
    let exchange = stream.exchange();
    let exchange = &mut *exchange.borrow_mut();
    let body = body(exchange, way);
    body.put_back(held);
    if side.trailers_seen.get() {
        body.put_trailers(side.trailers.borrow().clone().unwrap_or_default());
    }
    let headers = match way {
        Way::Request => Some(&mut exchange.request.headers),
        Way::Response => exchange.response.as_mut().map(|head| &mut head.headers),
    };
    if let Some(headers) = headers {
        if read > 0 {
            headers.remove(EXPECT);
        }
        let told = headers.get(CONTENT_LENGTH).and_then(|told| told.to_str().ok()?.parse::<usize>().ok());
        if other_length && (told.is_none() || told != whole) {
            headers.remove(CONTENT_LENGTH);
        }
    }
}

fn body(exchange: &mut Exchange, way: Way) -> &mut Body {
    match way {
        Way::Request => &mut exchange.request_body,
        Way::Response => &mut exchange.response_body,
    }
}

fn poll_ahead(stream: &Stream, way: Way, context: &mut Context<'_>) -> Poll<Ahead> {
    body(&mut stream.exchange().borrow_mut(), way).poll_ahead(context)
}
