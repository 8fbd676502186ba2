//! Copies of a request for other clusters: sent when the request itself has gone out whole, waited for by nobody.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::cluster::{self, Cluster, Outgoing, Wishes};
use crate::exchange::room::{self, Room};
use crate::exchange::{Attempt, Mirror, MirrorResult, Ticket};
use crate::filter::Reach;
use crate::filter::hand::{CopyCounts, CopyResult};
use crate::worker;

/// How often a worker tells of copies that it did not send.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// Bytes of the head of a copy's answer that are kept for complete hooks: more than the fields of most.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Longest time of one copy where its cluster has no timeout.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Between two copies that are given up because their time is over: to close a connection takes the worker's time, and copies that were
/// sent together run out of theirs together.
const GIVEN_UP_EVERY: Duration = Duration::from_millis(1);

thread_local! {
    /// When the next copy may be given up.
    static GIVES_UP: Cell<Option<tokio::time::Instant>> = const { Cell::new(None) };
    /// Copies that were not sent, and of which nothing was told yet; when something last was.
    static UNSENT: Cell<(u64, Option<Instant>)> = const { Cell::new((0, None)) };
}

/// A slow cluster of copies can do this at each exchange: a line for each would cost more than the copy.
fn tell_of_unsent(cluster: &Cluster) {
    let (untold, told) = UNSENT.get();
    if told.is_some_and(|told| told.elapsed() < TOLD_EVERY) {
        return UNSENT.set((untold + 1, told));
    }
    let copies = untold + 1;
    let (under_way, most) = room::of(&cluster.name);
    tracing::warn!(cluster = %cluster.name, copies, under_way, most, "copies were not sent: their cluster is behind with its answers");
    UNSENT.set((0, Some(Instant::now())));
}

/// What is kept of a request until it can be copied.
#[derive(Debug)]
pub struct Copies {
    copies: Vec<Pending>,
    counts: CopyCounts,
    body: BytesMut,
    trailers: Option<HeaderMap>,
}

/// A copy of a request that is on its way itself.
#[derive(Debug)]
struct Pending {
    ticket: Rc<Ticket>,
    body_limit: usize,
    cluster: Arc<Cluster>,
    head: Request<()>,
}

impl Copies {
    /// `head` renders the request for a cluster. `None` where there is nothing to be copied: no filter asked for it, or so many
    /// copies are under way that nothing is spent on one more.
    pub fn of(mirrors: &[Mirror], reach: &Reach, head: impl Fn(&Cluster, &Mirror) -> Option<Request<()>>) -> Option<Self> {
        if mirrors.is_empty() {
            return None;
        }
        let copies = mirrors.iter().filter_map(|mirror| {
            let cluster = reach.clusters.get(&mirror.cluster)?;
            let has_room = mirror.has_room && room::has(&cluster.name);
            let head = has_room.then(|| head(cluster, mirror)).flatten();
            if !has_room {
                tell_of_unsent(cluster);
            }
            if head.is_none() {
                leave_out(&mirror.ticket, cluster, &reach.copies);
            }
            let (ticket, body_limit, cluster) = (Rc::clone(&mirror.ticket), mirror.body_limit, Arc::clone(cluster));
            Some(Pending { ticket, body_limit, cluster, head: head? })
        });
        let copies: Vec<_> = copies.collect();
        let counts = reach.copies.clone();
        (!copies.is_empty()).then(|| Self { copies, counts, body: BytesMut::new(), trailers: None })
    }

    /// A part of the request has gone out.
    pub fn keep(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            let length = self.body.len() + data.len();
            self.copies.retain(|copy| {
                let fits = length <= copy.body_limit;
                if !fits {
                    leave_out(&copy.ticket, &copy.cluster, &self.counts);
                }
                fits
            });
            if !self.copies.is_empty() {
                self.body.extend_from_slice(data);
            }
        } else {
            self.trailers = frame.trailers_ref().cloned();
        }
    }

    /// The request has gone out whole.
    pub fn send(mut self) {
        let body = std::mem::take(&mut self.body).freeze();
        for Pending { ticket, cluster, head, .. } in std::mem::take(&mut self.copies) {
            let Some(room) = Room::take(&cluster.name) else {
                tell_of_unsent(&cluster);
                leave_out(&ticket, &cluster, &self.counts);
                continue;
            };
            ticket.sent.set(true);
            let body = match (body.is_empty(), &self.trailers) {
                (true, None) => Outgoing::Empty,
                (_, trailers) => Outgoing::Whole { body: body.clone(), trailers: trailers.clone() },
            };
            let request = head.map(|()| body);
            let counts = self.counts.clone();
            worker::spawn(async move {
                let began = Instant::now();
                let usual = cluster.config.timeouts.request;
                let limit = if usual.is_zero() { TIMEOUT } else { usual };
                let mut answer = std::pin::pin!(answer(&cluster, request));
                let answer = match tokio::time::timeout(limit, &mut answer).await {
                    Ok(answer) => answer,
                    Err(_) => {
                        its_turn_to_end().await;
                        None
                    }
                };
                room.end(answer.is_some());
                counts.count(&cluster.name, if answer.is_some() { CopyResult::Answered } else { CopyResult::Unanswered });
                let (status, headers, body_hash) = answer.unwrap_or_default();
                ticket.end(Some(MirrorResult { status, body_hash, headers, duration: began.elapsed() }));
            });
        }
    }
}

/// Until no other copy has been given up a moment ago.
async fn its_turn_to_end() {
    let now = tokio::time::Instant::now();
    let turn = GIVES_UP.get().map_or(now, |next| next.max(now));
    GIVES_UP.set(Some(turn + GIVEN_UP_EVERY));
    tokio::time::sleep_until(turn).await;
}

/// A request that breaks off is not copied.
impl Drop for Copies {
    fn drop(&mut self) {
        self.copies.iter().for_each(|copy| leave_out(&copy.ticket, &copy.cluster, &self.counts));
    }
}

fn leave_out(ticket: &Ticket, cluster: &Cluster, counts: &CopyCounts) {
    counts.count(&cluster.name, CopyResult::Unsent);
    ticket.end(None);
}

/// Status, fields and hash of a whole answer.
async fn answer(cluster: &Arc<Cluster>, request: Request<Outgoing>) -> Option<(u16, HeaderMap, u64)> {
    let cluster::Answer { response, lease, .. } =
        cluster::send(cluster, request, &Wishes::default(), &mut Attempt::default()).await.ok()?;
    let (head, body) = response.into_parts();
    let hash = hash(body).await?;
    lease.finish();
    Some((head.status.as_u16(), kept(head.headers), hash))
}

/// The first fields of a head: it waits in memory until the complete hooks have run.
fn kept(headers: HeaderMap) -> HeaderMap {
    let bytes = |(name, value): (&http::HeaderName, &http::HeaderValue)| name.as_str().len() + value.len();
    if headers.iter().map(bytes).sum::<usize>() <= HEAD_BYTES_MAX {
        return headers;
    }
    let mut left = HEAD_BYTES_MAX;
    let fitting = headers.iter().map_while(|field| {
        left = left.checked_sub(bytes(field))?;
        Some((field.0.clone(), field.1.clone()))
    });
    fitting.collect()
}

/// FNV-1a of the body (Fowler, Noll, Vo; 64 bits).
async fn hash(mut body: Incoming) -> Option<u64> {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.ok()?.into_data() {
            for byte in data {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant as Moment;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn copies_whose_time_is_over_are_given_up_one_after_the_other() {
        let began = Moment::now();
        let ended = futures_of(3).await;
        assert_eq!(ended, [0, 1, 2].map(|turn| began + GIVEN_UP_EVERY * turn));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(futures_of(1).await, [Moment::now()], "nobody waits for those of long ago");
    }

    /// When so many that came at once were let go.
    async fn futures_of(copies: usize) -> Vec<Moment> {
        let mut ends = Vec::new();
        for copy in (0..copies).map(|_| async {
            its_turn_to_end().await;
            Moment::now()
        }) {
            ends.push(Box::pin(copy));
        }
        let mut ended = Vec::new();
        std::future::poll_fn(|context| {
            ends.retain_mut(|copy| match copy.as_mut().poll(context) {
                std::task::Poll::Ready(at) => {
                    ended.push(at);
                    false
                }
                std::task::Poll::Pending => true,
            });
            if ends.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        ended
    }
}
