//! Calls of a guest's own, to clusters that it is granted: `proxy_http_call`, and what those of gRPC share with it.
//!
//! A call belongs to no exchange: its answer comes to the context of the plugin, and the guest knows whom it concerns. It goes
//! on when the exchange that made it has ended, for guests remember it by its token.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request};

use super::memory::{self, Call as Caller};
use super::pairs::{self, Pair};
use super::room::Claim;
use super::state::{Answered, ROOT, upstream};
use super::status::{Status, buffer, map};
use super::stream::Stream;
use super::vm::{CALLS_MAX, Vm};
use super::{grpc, here, redis};
use crate::cluster::{Cluster, Outgoing, Wishes};
use crate::filter::Identity;
use crate::filter::hand::Reach;
use crate::filter::host::http_client::{self, ANSWER_BYTES_MAX, Answer, Call, TIMEOUT_MAX};
use crate::filter::witness::{self, Event, Missing};
use crate::worker;

/// Calls that an instance asks for while it is configured, before it is on a worker.
const PLANNED_MAX: usize = 64;

/// A call that was checked, and whose answer has a token.
#[derive(Debug)]
pub struct Planned {
    pub token: u32,
    pub call: Kind,
    pub cluster: Arc<str>,
    /// Zero: as long as the host allows.
    pub timeout: Duration,
    /// For its own bytes, and those of the answer.
    pub claim: Claim,
}

#[derive(Debug)]
pub enum Kind {
    Http(Call),
    Grpc(grpc::Unary),
    GrpcStream(grpc::Unary),
    Redis(redis::Asked),
}

/// `proxy_http_call`
#[allow(clippy::too_many_arguments, reason = "as many as the ABI has")]
pub fn http_call(
    call: &mut Caller<'_>,
    name: (u32, u32),
    headers: (u32, u32),
    body: (u32, u32),
    trailers: (u32, u32),
    timeout_ms: u32,
    token_to: u32,
) -> wasmtime::Result<Status> {
    memory::put_u32(call, token_to, 0)?;
    let Some(claim) = claim(call, &[headers.1, body.1, trailers.1]) else { return Ok(Status::InternalFailure) };
    let name = memory::text(call, name.0, name.1)?;
    let headers = memory::copy(call, headers.0, headers.1)?;
    let body = memory::copy(call, body.0, body.1)?;
    let trailers = memory::copy(call, trailers.0, trailers.1)?;
    let (Some(headers), Some(trailers)) = (pairs::read(&headers), pairs::read(&trailers)) else {
        return Ok(Status::BadArgument);
    };
    let Some(outgoing) = outgoing(&headers, &trailers, body) else { return Ok(Status::BadArgument) };
    let timeout = Duration::from_millis(u64::from(timeout_ms));
    plan(call, &name, (Kind::Http(outgoing), claim), timeout, token_to)
}

/// Room for bytes of so many lengths. Asked for before they are copied.
pub fn claim(call: &Caller<'_>, lengths: &[u32]) -> Option<Claim> {
    let bytes: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
    let claim = call.data().room.claim(usize::try_from(bytes).ok()?);
    if claim.is_none() {
        tracing::debug!(filter = %call.data().identity.name, bytes, "a call was refused: the host holds as much for this instance as its `memory` has");
    }
    claim
}

/// Gives a call its token and begins it, or keeps it until the instance is on a worker.
pub fn plan(
    call: &mut Caller<'_>,
    name: &str,
    (kind, claim): (Kind, Claim),
    timeout: Duration,
    token_to: u32,
) -> wasmtime::Result<Status> {
    let identity = Arc::clone(&call.data().identity);
    let name = upstream(&identity.config.proxy_wasm, name);
    let Some(cluster) = identity.grants.clusters.get(name).cloned() else {
        tell_of_missing(&identity, name);
        return Ok(Status::BadArgument);
    };
    let token = call.data_mut().next_token();
    let planned = Planned { token, call: kind, cluster, timeout, claim };
    match here::vm() {
        None if call.data().planned.len() >= PLANNED_MAX => return Ok(Status::InternalFailure),
        None => call.data_mut().planned.push(planned),
        Some(vm) if vm.calls.get() >= CALLS_MAX => return Ok(Status::InternalFailure),
        Some(vm) => {
            let stream = here::stream();
            let reach = stream.as_ref().map_or_else(super::worker::reach, |stream| Arc::clone(&stream.reach));
            if !reach.clusters.contains_key(&planned.cluster) {
                return Ok(Status::BadArgument);
            }
            begin(&vm, planned, &reach, stream.as_deref());
        }
    }
    memory::put_u32(call, token_to, token)?;
    Ok(Status::Ok)
}

pub fn tell_of_missing(identity: &Identity, name: &str) {
    witness::tell(|| Event::Missing(Missing::Cluster, name.to_owned()));
    tracing::debug!(filter = %identity.name, upstream = name, "a call was refused: `allow.clusters` names no such cluster, and `proxy-wasm.upstreams` no other");
}

/// What the pairs ask for; `None` if they lack a method, a path or an authority.
fn outgoing(headers: &[Pair<'_>], trailers: &[Pair<'_>], body: Vec<u8>) -> Option<Call> {
    let pseudo = |name: &[u8]| {
        let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.1).ok()
    };
    let fields = |pairs: &[Pair<'_>]| {
        let sent = pairs.iter().filter(|(name, _)| !name.starts_with(b":") && !super::headers::is_of_one_hop(name));
        sent.map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())).collect()
    };
    Some(Call {
        cluster: String::new(),
        method: pseudo(b":method")?.to_owned(),
        target: pseudo(b":path")?.to_owned(),
        authority: Some(pseudo(b":authority")?.to_owned()),
        fields: fields(headers),
        body,
        trailers: fields(trailers),
        timeout: Duration::ZERO,
    })
}

/// Lets a call run on this worker. Its callback comes, whatever becomes of it.
pub fn begin(vm: &Rc<Vm>, planned: Planned, reach: &Arc<Reach>, stream: Option<&Stream>) {
    let Planned { token, call, cluster, timeout, claim } = planned;
    let limit = if timeout.is_zero() { TIMEOUT_MAX } else { timeout.min(TIMEOUT_MAX) };
    let cluster = reach.clusters.get(&cluster).cloned();
    let (trace, wishes) = beside(stream);
    vm.calls.set(vm.calls.get() + 1);
    match (call, cluster) {
        (Kind::Http(call), cluster) => {
            let request = cluster.and_then(|cluster| {
                witness::effect("proxy_http_call", || format!("{} {} to {}", call.method, call.target, cluster.name));
                Some((http_client::request(&cluster, call)?, cluster))
            });
            let request = request.map(|(mut request, cluster)| {
                trace.iter().for_each(|trace| trace.write(request.headers_mut()));
                (request, cluster)
            });
            let (weak, gone) = (Rc::downgrade(vm), Rc::clone(&vm.gone));
            let claim = RefCell::new(claim);
            worker::spawn(async move {
                // It may be gone before anything of this has run.
                if weak.upgrade().is_none_or(|vm| vm.is_lost()) {
                    return;
                }
                let answer = match request {
                    Some((request, cluster)) => tokio::select! {
                        biased;
                        () = gone.notified() => return,
                        answer = fetch(&cluster, request, &wishes, limit, &claim) => answer,
                    },
                    None => None,
                };
                if let Some(vm) = weak.upgrade() {
                    vm.calls.set(vm.calls.get() - 1);
                    answered(&vm, token, answer);
                }
            });
        }
        (Kind::Grpc(unary), cluster) => grpc::call(vm, token, (unary, claim), cluster, trace, wishes, limit),
        (Kind::Redis(asked), cluster) => redis::ask(vm, token, (asked, claim), cluster),
        (Kind::GrpcStream(unary), cluster) => grpc::open(vm, token, (unary, claim), cluster, trace, wishes),
    }
}

/// Of the exchange that a call is made for: its trace, and where its attempts are written down.
fn beside(stream: Option<&Stream>) -> (Option<crate::telemetry::propagation::Trace>, Wishes) {
    let Some(stream) = stream else { return (None, Wishes::default()) };
    let exchange = stream.exchange();
    let exchange = exchange.borrow();
    (exchange.trace, Wishes { trail: exchange.trail.clone(), ..Wishes::default() })
}

/// The whole answer, if there is one in time.
pub async fn fetch(
    cluster: &Arc<Cluster>,
    request: Request<Outgoing>,
    wishes: &Wishes,
    limit: Duration,
    claim: &RefCell<Claim>,
) -> Option<Answer> {
    let room = room(claim);
    let exchange = Box::pin(http_client::exchange(cluster, request, wishes, &room));
    tokio::time::timeout(limit, exchange).await.ok()?.ok()
}

/// Takes the bytes of an answer as they come, as many as one may have and the host may hold.
pub fn room(claim: &RefCell<Claim>) -> impl Fn(usize) -> bool {
    let left = Cell::new(ANSWER_BYTES_MAX);
    move |bytes| http_client::within(&left)(bytes) && claim.borrow_mut().grow(bytes)
}

fn answered(vm: &Rc<Vm>, token: u32, answer: Option<Answer>) {
    let (headers, body, trailers) = match answer {
        Some(answer) => {
            let mut headers = vec![(Bytes::from_static(b":status"), Bytes::from(answer.status.to_string()))];
            headers.extend(fields_of(&answer.fields));
            (headers, answer.body, fields_of(&answer.trailers).collect())
        }
        None => (Vec::new(), Bytes::new(), Vec::new()),
    };
    let counts = (count(headers.len()), count(body.len()), count(trailers.len()));
    let answered = Answered {
        headers,
        trailers,
        body,
        buffer: buffer::CALL_BODY,
        headers_map: map::CALL_HEADERS,
        trailers_map: map::CALL_TRAILERS,
    };
    vm.deliver("proxy_on_http_call_response", |machine| {
        machine.store.data_mut().answered = Some(Box::new(answered));
        let arguments = (ROOT, token, counts.0, counts.1, counts.2);
        let outcome = machine.store_call(|callbacks| &callbacks.http_call_response, arguments, ());
        machine.store.data_mut().answered = None;
        outcome
    });
}

pub fn fields_of(fields: &HeaderMap) -> impl Iterator<Item = (Bytes, Bytes)> {
    let pair = |(name, value): (&HeaderName, &http::HeaderValue)| {
        (Bytes::copy_from_slice(name.as_str().as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
    };
    fields.iter().map(pair)
}

pub fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_a_method_a_path_and_an_authority() {
        let sound = [(&b":method"[..], &b"GET"[..]), (b":path", b"/a"), (b":authority", b"b"), (b"x-c", b"1"), (b"te", b"x")];
        let call = outgoing(&sound, &[], Vec::new()).expect("it has all three");
        assert_eq!((call.method.as_str(), call.target.as_str(), call.authority.as_deref()), ("GET", "/a", Some("b")));
        assert_eq!(call.fields, [("x-c".to_owned(), b"1".to_vec())]);
        for missing in 0..3 {
            let mut less = sound.to_vec();
            less.remove(missing);
            assert!(outgoing(&less, &[], Vec::new()).is_none());
        }
    }
}
