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
use crate::exchange::{Body, Failure, Kind, Origin, Record, Reply};
use crate::filter::chain::Step;
use crate::filter::{Chain, Hook};

/// The exchange ends without an answer: HTTP/1 closes the connection, HTTP/2 resets the stream.
#[derive(Debug, thiserror::Error)]
#[error("the exchange was reset by a filter")]
pub struct Reset;

/// Takes a request through all of its phases.
pub async fn run(served: Rc<Served>, request: Request<Incoming>) -> Result<Response<Downstream>, Reset> {
    let snapshot = served.live.load();
    let under_way = served.begin_exchange(&snapshot);
    let listener = served.listener(&snapshot);

    let received = headers::receive(&served, &snapshot, &listener, &under_way, request);
    let Received { mut record, upgrade, accepted } = received;
    let chain = Rc::new(Chain::new(listener.filters.clone(), snapshot.reach.clone()));
    drop(snapshot);
    chain.at_end(&mut record, &served.drain);

    let content = match accepted {
        Err(failure) => answer_failure(&mut record, &failure)?,
        Ok(()) => match chain.request(&record).await {
            None => match forward::forward(&listener, &chain, &mut record, upgrade.as_ref()).await {
                Ok(content) => content,
                Err(failure) => answer_failure(&mut record, &failure)?,
            },
            Some(step) => answer(&mut record, step)?,
        },
    };
    let by_connect = upgrade.as_ref().is_some_and(|asked| asked.by_connect);
    let mut content = upgrade::begin(&served, &listener, &mut record, upgrade, content);
    // An interim answer, such as the one that switches protocols, is not for filters.
    if !content.is_interim() && chain.wants(Hook::Response) {
        content = respond(&chain, &mut record, content).await?;
    }
    if let Some(failure) = by_connect.then(|| upgrade::decline(&content, &record)).flatten() {
        content = answer_failure(&mut record, &failure)?;
    }
    Ok(headers::respond(&served, &listener, under_way, &chain, record, content))
}

/// The response hooks, which have the body in hand while they run.
async fn respond(chain: &Chain, record: &mut Record, mut content: Content) -> Result<Content, Reset> {
    loop {
        content.lend_body(record);
        let step = chain.response(record).await;
        content.take_body(record);
        match step {
            None => return Ok(content),
            Some(step) => content = answer(record, step)?,
        }
    }
}

/// What a filter decided becomes the answer; whatever was the answer before is dropped.
fn answer(record: &mut Record, step: Step) -> Result<Content, Reset> {
    match step {
        Step::Failed(failure) => answer_failure(record, &failure),
        Step::Replied(reply) => Ok(set_answer(record, *reply, Origin::Filter)),
        Step::Reset => {
            let mut exchange = record.exchange_mut();
            exchange.origin = Origin::Failure(Kind::FilterReset);
            exchange.response = None;
            Err(Reset)
        }
    }
}

fn answer_failure(record: &mut Record, failure: &Failure) -> Result<Content, Reset> {
    let late = record.exchange_mut().late_reply.take();
    if let Some(reply) = late.filter(|_| failure.kind == Kind::FilterReset) {
        return answer(record, Step::Replied(reply));
    }
    record.failed(failure);
    if failure.kind == Kind::FilterReset {
        return answer(record, Step::Reset);
    }
    let reply = reply::of_failure(&record.exchange(), failure);
    Ok(set_answer(record, reply, Origin::Failure(failure.kind)))
}

fn set_answer(record: &Record, reply: Reply, origin: Origin) -> Content {
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = reply.status;
    head.headers = reply.headers;
    let mut exchange = record.exchange_mut();
    exchange.response = Some(head);
    exchange.origin = origin;
    Content::Made(Body::whole(reply.body))
}
