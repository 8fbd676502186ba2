//! One exchange, from the head of a request to the head of its response: the path that docs/exchange.md draws.
//!
//! Each statement of [`run`] is one phase. What takes longer than a head (bodies, upgrades) goes on after it, in
//! `http/body` and `http/upgrade`, and the access log follows the last byte.

use std::rc::Rc;

use http::{Request, Response};
use hyper::body::Incoming;

use super::body::{Content, Downstream};
use super::headers::Received;
use super::serve::Served;
use super::{forward, headers, reply, upgrade};
use crate::exchange::{Failure, Kind, Origin, Record};
use crate::filter::Chain;
use crate::filter::chain::Step;

/// The exchange ends without an answer: HTTP/1 closes the connection, HTTP/2 resets the stream.
#[derive(Debug, thiserror::Error)]
#[error("the exchange was reset by a filter")]
pub struct Reset;

/// Takes a request through all of its phases.
pub async fn run(served: Rc<Served>, request: Request<Incoming>) -> Result<Response<Downstream>, Reset> {
    let under_way = served.begin_exchange();
    let snapshot = served.live.load_full();
    let listener = served.listener(&snapshot);

    let received = headers::receive(&served, &snapshot, &listener, &under_way, request);
    let Received { mut record, body, upgrade, accepted } = received;
    let mut chain = Chain::new(listener.filters.clone());

    let content = match accepted {
        Err(failure) => answer_failure(&mut record, &failure),
        Ok(()) => match chain.request(&mut record) {
            None => {
                let request = forward::Outbound { body, upgrade: upgrade.as_ref(), keep_head: chain.wants_response() };
                match forward::forward(&snapshot, &listener, &mut record, request).await {
                    Ok(content) => content,
                    Err(failure) => answer_failure(&mut record, &failure),
                }
            }
            Some(step) => answer(&mut record, step)?,
        },
    };

    let mut content = upgrade::begin(&served, &listener, &mut record, upgrade, content);
    // An interim answer, such as the one that switches protocols, is not for filters.
    while !content.is_interim()
        && let Some(step) = chain.response(&mut record)
    {
        content = answer(&mut record, step)?;
    }
    Ok(headers::respond(&served, &listener, under_way, record, content))
}

/// What a filter decided becomes the answer; whatever was the answer before is dropped.
fn answer(record: &mut Record, step: Step) -> Result<Content, Reset> {
    match step {
        Step::Failed(failure) => Ok(answer_failure(record, &failure)),
        Step::Replied => match record.reply.take() {
            Some(reply) => Ok(set_answer(record, reply, Origin::Filter)),
            None => Ok(answer_failure(record, &Failure::new(Kind::FilterFailed, "a filter replied nothing"))),
        },
        Step::Reset => {
            record.origin = Origin::Failure(Kind::FilterReset);
            record.response = None;
            Err(Reset)
        }
    }
}

fn answer_failure(record: &mut Record, failure: &Failure) -> Content {
    record.failed(failure);
    let reply = reply::of_failure(record, failure);
    set_answer(record, reply, Origin::Failure(failure.kind))
}

fn set_answer(record: &mut Record, reply: crate::exchange::Reply, origin: Origin) -> Content {
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = reply.status;
    head.headers = reply.headers;
    record.response = Some(head);
    record.origin = origin;
    Content::Whole(reply.body)
}
