//! Bodies as a whole, and the piece of one that a chunk hook has in hand.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use http::header;

use crate::exchange::body::Unreadable;
use crate::exchange::{Exchange, Failure, Kind};
use crate::filter::hand::{self, InHand};
use crate::filter::{Hook, OutOfPlace};

/// Largest body that a filter can have in one piece, whatever limit it names: each one waits in the proxy's memory.
pub const READ_BYTES_MAX: usize = 16 << 20;

/// `request.read-body`
pub async fn read_request(function: &'static str, limit: u32) -> Result<Result<Bytes, Unreadable>, OutOfPlace> {
    let limit = limit_of(limit);
    let whole = poll_fn(|context| {
        let polled = hand::exchange_mut(function, |exchange| exchange.request_body.poll_whole(context, limit));
        turned(polled)
    });
    let whole = match in_time(function, whole).await? {
        Some(whole) => whole?,
        None => {
            let failure = Failure::new(Kind::ClientTimeout, "the request body did not arrive in time for a filter");
            hand::exchange_mut(function, |exchange| exchange.request_body.break_off(failure))?;
            Err(Unreadable::PeerGone)
        }
    };
    if whole.is_ok() {
        // The client has been told to go on, and the upstream gets the body at once.
        hand::exchange_mut(function, |exchange| exchange.request.headers.remove(header::EXPECT))?;
    }
    Ok(whole)
}

/// `response.read-body`
pub async fn read_response(function: &'static str, limit: u32) -> Result<Result<Bytes, Unreadable>, OutOfPlace> {
    hand::with(function, |hand| in_response(hand, function))??;
    let limit = limit_of(limit);
    let whole =
        poll_fn(|context| turned(hand::exchange_mut(function, |exchange| exchange.response_body.poll_whole(context, limit))));
    match in_time(function, whole).await? {
        Some(whole) => whole,
        None => {
            let failure = Failure::new(Kind::Timeout, "the response did not arrive in time for a filter");
            hand::exchange_mut(function, |exchange| exchange.response_body.break_off(failure))?;
            Ok(Err(Unreadable::PeerGone))
        }
    }
}

/// Waits for a peer no longer than the hook has time: a peer that is slow is not the filter's fault.
async fn in_time<T>(function: &'static str, wait: impl Future<Output = T>) -> Result<Option<T>, OutOfPlace> {
    Ok(match hand::with(function, |hand| hand.until)? {
        Some(until) => tokio::time::timeout_at(until, wait).await.ok(),
        None => Some(wait.await),
    })
}

fn limit_of(limit: u32) -> usize {
    usize::try_from(limit).map_or(READ_BYTES_MAX, |limit| limit.min(READ_BYTES_MAX))
}

fn turned<T, E>(polled: Result<Poll<T>, E>) -> Poll<Result<T, E>> {
    match polled {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(error) => Poll::Ready(Err(error)),
    }
}

/// `request.set-body`. After the request phase nothing of it goes upstream any more.
pub fn set_request(exchange: &mut Exchange, bytes: Vec<u8>) {
    if exchange.request_body.has_begun() {
        return;
    }
    exchange.request.headers.remove(header::CONTENT_LENGTH);
    exchange.request.headers.remove(header::EXPECT);
    // What the client still sends is read away, so that its connection can go on, and its trailers are kept.
    exchange.request_body.replace(Bytes::from(bytes), true);
}

/// `response.set-body`
pub fn set_response(hand: &mut InHand, bytes: Vec<u8>) -> Result<(), OutOfPlace> {
    in_response(hand, "set-body")?;
    let Some(exchange) = &hand.exchange else { return Err(OutOfPlace("set-body", "a response hook")) };
    let exchange = &mut *exchange.borrow_mut();
    if let Some(head) = &mut exchange.response
        && !exchange.response_body.has_begun()
    {
        head.headers.remove(header::CONTENT_LENGTH);
        // What was true of the other bytes is not true of these.
        head.headers.remove(header::ETAG);
        head.headers.remove(header::CONTENT_RANGE);
        head.headers.remove(header::ACCEPT_RANGES);
        // gRPC has its status in trailers. Any other answer need not be awaited to its end.
        exchange.response_body.replace(Bytes::from(bytes), exchange.is_grpc);
    }
    Ok(())
}

fn in_response(hand: &InHand, function: &'static str) -> Result<(), OutOfPlace> {
    let there = hand.exchange.as_ref().is_some_and(|exchange| exchange.borrow().response.is_some());
    if there && hand.hook != Hook::Request { Ok(()) } else { Err(OutOfPlace(function, "a response hook")) }
}

/// `chunk.replace`
pub fn replace_chunk(hand: &mut InHand, bytes: Vec<u8>) -> Result<(), OutOfPlace> {
    if !matches!(hand.hook, Hook::RequestChunk | Hook::ResponseChunk) {
        return Err(OutOfPlace("chunk.replace", "a chunk hook"));
    }
    hand.chunk = Some(Bytes::from(bytes));
    Ok(())
}
