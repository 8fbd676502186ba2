//! Copies of a request for other clusters: sent when the request itself has gone out whole, waited for by nobody.

mod room;

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
use crate::exchange::{Attempt, Mirror, MirrorResult, Ticket};
use crate::filter::Reach;
use crate::filter::hand::{CopyCounts, CopyResult};
use crate::worker;

use room::Room;

/// How often a worker tells of copies that it did not send.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// Bytes of the head of a copy's answer that are kept for complete hooks: more than the fields of most.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Longest time of one copy where its cluster has no timeout.
const TIMEOUT: Duration = Duration::from_secs(15);

thread_local! {
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
            let head = has_room(cluster).then(|| head(cluster, mirror)).flatten();
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
                let answer = tokio::time::timeout(limit, answer(&cluster, request)).await.ok().flatten();
                room.end(answer.is_some());
                counts.count(&cluster.name, if answer.is_some() { CopyResult::Answered } else { CopyResult::Unanswered });
                let (status, headers, body_hash) = answer.unwrap_or_default();
                ticket.end(Some(MirrorResult { status, body_hash, headers, duration: began.elapsed() }));
            });
        }
    }
}

/// A request that breaks off is not copied.
impl Drop for Copies {
    fn drop(&mut self) {
        self.copies.iter().for_each(|copy| leave_out(&copy.ticket, &copy.cluster, &self.counts));
    }
}

/// Whether one more may be under way; it is told if not.
fn has_room(cluster: &Cluster) -> bool {
    let room = room::has(&cluster.name);
    if !room {
        tell_of_unsent(cluster);
    }
    room
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
