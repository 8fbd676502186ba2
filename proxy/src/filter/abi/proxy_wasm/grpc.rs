//! Calls of gRPC: one message each way, or a stream of them.
//!
//! A message has five bytes before it, and the status of a call stands in trailers, or in the head where nothing else follows
//! (gRPC over HTTP/2).

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Request};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::sync::{mpsc, oneshot};

use super::callout::{self, Kind, count, fields_of};
use super::grpc_wire::{DEADLINE_EXCEEDED, EXHAUSTED, Ended, INTERNAL, UNAVAILABLE, ended, framed, named, next_message};
use super::here;
use super::machine::Machine;
use super::memory::{self, Call as Caller};
use super::pairs;
use super::room::Claim;
use super::state::{Answered, ROOT};
use super::status::{Status, buffer, map};
use super::vm::Vm;
use crate::cluster::{self, Cluster, Outgoing, Wishes};
use crate::config::UpstreamProtocol;
use crate::exchange::Attempt;
use crate::exchange::failure::BoxError;
use crate::filter::host::http_client::{self, ANSWER_BYTES_MAX, Call};
use crate::telemetry::propagation::Trace;
use crate::worker;

/// Messages that wait to be sent on one stream: a service that reads none of so many is not there.
const SENT_MAX: usize = 1024;

/// Before a message.
const FRAME_BYTES: u32 = 5;

/// A call that is to be sent: its path, its fields, its message.
#[derive(Debug)]
pub struct Unary {
    path: String,
    authority: Option<String>,
    fields: Vec<(String, Vec<u8>)>,
    message: Bytes,
}

/// A call that is under way. Dropped, it ends.
pub struct Sending {
    /// None for a call with one message.
    messages: Option<mpsc::Sender<Bytes>>,
    _cancel: oneshot::Sender<()>,
}

/// Places and lengths of what a call is given.
pub struct Given {
    pub service: (u32, u32),
    pub name: (u32, u32),
    pub method: (u32, u32),
    pub metadata: (u32, u32),
    pub message: (u32, u32),
}

/// `proxy_grpc_call`, and with `stream` `proxy_grpc_stream`
pub fn begin(call: &mut Caller<'_>, given: &Given, timeout_ms: u32, token_to: u32, stream: bool) -> wasmtime::Result<Status> {
    memory::put_u32(call, token_to, 0)?;
    let Some(claim) = callout::claim(call, &[given.service.1, given.name.1, given.method.1, given.metadata.1, given.message.1])
    else {
        return Ok(Status::InternalFailure);
    };
    let service = memory::copy(call, given.service.0, given.service.1)?;
    let name = memory::text(call, given.name.0, given.name.1)?;
    let method = memory::text(call, given.method.0, given.method.1)?;
    let metadata = memory::copy(call, given.metadata.0, given.metadata.1)?;
    let message = Bytes::from(memory::copy(call, given.message.0, given.message.1)?);
    let Some(metadata) = pairs::read(&metadata) else { return Ok(Status::ParseFailure) };
    let Some((cluster, authority, further)) = named(&service) else { return Ok(Status::ParseFailure) };
    let sent = metadata.iter().filter(|(name, _)| !name.starts_with(b":") && !super::headers::is_of_one_hop(name));
    let mut fields: Vec<_> = sent.map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())).collect();
    fields.extend(further);
    let unary = Unary { path: format!("/{name}/{method}"), authority, fields, message };
    let timeout = Duration::from_millis(u64::from(timeout_ms));
    let kind = if stream { Kind::GrpcStream(unary) } else { Kind::Grpc(unary) };
    let status = callout::plan(call, &cluster, (kind, claim), timeout, token_to)?;
    // Of an unknown service guests know no other word.
    Ok(if status == Status::BadArgument { Status::InternalFailure } else { status })
}

/// `proxy_grpc_send`
pub fn send(call: &mut Caller<'_>, token: u32, at: u32, bytes: u32, end: u32) -> wasmtime::Result<Status> {
    // Of all that can be wrong guests know no other word.
    let Some(claim) = callout::claim(call, &[bytes, FRAME_BYTES]) else { return Ok(Status::BadArgument) };
    let message = memory::copy(call, at, bytes)?;
    let Some(vm) = here::vm() else { return Ok(Status::NotFound) };
    let mut open = vm.open.borrow_mut();
    let Some(sending) = open.get_mut(&token) else { return Ok(Status::NotFound) };
    let Some(messages) = &sending.messages else { return Ok(Status::BadArgument) };
    let sent = messages.try_send(claim.on(framed(&message))).is_ok();
    if end != 0 {
        sending.messages = None;
    }
    Ok(if sent { Status::Ok } else { Status::BadArgument })
}

/// `proxy_grpc_cancel`
pub fn cancel(token: u32) -> Status {
    let known = here::vm().and_then(|vm| vm.open.borrow_mut().remove(&token));
    if known.is_some() { Status::Ok } else { Status::NotFound }
}

/// `proxy_grpc_close`: nothing more is sent; what is answered still comes.
pub fn close(token: u32) -> Status {
    let Some(vm) = here::vm() else { return Status::NotFound };
    let mut open = vm.open.borrow_mut();
    match open.get_mut(&token) {
        Some(sending) if sending.messages.is_some() => sending.messages = None,
        Some(_) => drop(open.remove(&token)),
        None => return Status::NotFound,
    }
    Status::Ok
}

/// One message there and one back.
pub fn call(
    vm: &Rc<Vm>,
    token: u32,
    (unary, claim): (Unary, Claim),
    cluster: Option<Arc<Cluster>>,
    trace: Option<Trace>,
    wishes: Wishes,
    limit: Duration,
) {
    let (cancel, cancelled) = oneshot::channel();
    vm.open.borrow_mut().insert(token, Sending { messages: None, _cancel: cancel });
    let weak = Rc::downgrade(vm);
    let claim = RefCell::new(claim);
    worker::spawn(async move {
        let answered = async {
            let message = framed(&unary.message);
            let Some((cluster, request)) = cluster.and_then(|cluster| {
                let request = request(&cluster, unary, Outgoing::Whole { body: message, trailers: None }, trace)?;
                Some((cluster, request))
            }) else {
                return Err(Ended::of(UNAVAILABLE, "the service cannot be called"));
            };
            let room = callout::room(&claim);
            let exchange = Box::pin(http_client::exchange(&cluster, request, &wishes, &room));
            let answer = match tokio::time::timeout(limit, exchange).await {
                Err(_) => return Err(Ended::of(DEADLINE_EXCEEDED, "the service did not answer in time")),
                Ok(Err(_)) => return Err(Ended::of(UNAVAILABLE, "the service did not answer")),
                Ok(Ok(answer)) => answer,
            };
            let ended = ended(answer.status, &answer.fields, &answer.trailers);
            let mut body = BytesMut::from(&answer.body[..]);
            match (ended.status, next_message(&mut body)) {
                (0, Some(Ok(message))) => Ok(message),
                (0, _) => Err(Ended::of(INTERNAL, "the answer has no message that can be read")),
                _ => Err(ended),
            }
        };
        let answered = tokio::select! {
            biased;
            _ = cancelled => None,
            answered = answered => Some(answered),
        };
        let Some(vm) = weak.upgrade() else { return };
        vm.calls.set(vm.calls.get() - 1);
        let Some(answered) = answered else { return };
        vm.open.borrow_mut().remove(&token);
        match answered {
            Ok(message) => received(&vm, token, message),
            Err(ended) => closed(&vm, token, ended),
        }
    });
}

/// Messages as they come, both ways.
pub fn open(
    vm: &Rc<Vm>,
    token: u32,
    (unary, mut claim): (Unary, Claim),
    cluster: Option<Arc<Cluster>>,
    trace: Option<Trace>,
    wishes: Wishes,
) {
    let (cancel, cancelled) = oneshot::channel();
    let (messages, waiting) = mpsc::channel(SENT_MAX);
    vm.open.borrow_mut().insert(token, Sending { messages: Some(messages), _cancel: cancel });
    let weak = Rc::downgrade(vm);
    worker::spawn(async move {
        let body = Outgoing::Streaming(Box::pin(Messages(waiting)));
        let streamed = async {
            let Some((cluster, request)) = cluster.and_then(|cluster| {
                let request = request(&cluster, unary, body, trace)?;
                Some((cluster, request))
            }) else {
                return Ended::of(UNAVAILABLE, "the service cannot be called");
            };
            let mut attempt = Attempt::default();
            let answer = Box::pin(cluster::send(&cluster, request, &wishes, &mut attempt)).await;
            let Ok(cluster::Answer { response, lease, .. }) = answer else {
                return Ended::of(UNAVAILABLE, "the service did not answer");
            };
            let (head, mut body) = response.into_parts();
            metadata(&weak, token, &head.headers, false);
            let (mut buffered, mut trailers) = (BytesMut::new(), HeaderMap::new());
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return Ended::of(UNAVAILABLE, "the service broke its answer off") };
                match frame.into_data() {
                    Ok(data) if !claim.grow(data.len()) => return Ended::of(EXHAUSTED, "there is no room for the answer"),
                    Ok(data) => buffered.extend_from_slice(&data),
                    Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
                }
                if buffered.len() > ANSWER_BYTES_MAX {
                    return Ended::of(INTERNAL, "a message is too large");
                }
                while let Some(message) = next_message(&mut buffered) {
                    claim.shrink(message.as_ref().map_or(0, |message| message.len() + FRAME_BYTES as usize));
                    match (message, weak.upgrade()) {
                        (Ok(message), Some(vm)) => received(&vm, token, message),
                        _ => return Ended::of(INTERNAL, "a message cannot be read"),
                    }
                    // Others have their turn, and a cancellation is seen.
                    tokio::task::yield_now().await;
                }
            }
            lease.finish();
            if !trailers.is_empty() {
                metadata(&weak, token, &trailers, true);
            }
            ended(head.status.as_u16(), &head.headers, &trailers)
        };
        let ended = tokio::select! {
            biased;
            _ = cancelled => None,
            ended = Box::pin(streamed) => Some(ended),
        };
        let Some(vm) = weak.upgrade() else { return };
        vm.calls.set(vm.calls.get() - 1);
        if let Some(ended) = ended {
            vm.open.borrow_mut().remove(&token);
            closed(&vm, token, ended);
        }
    });
}

fn metadata(vm: &std::rc::Weak<Vm>, token: u32, fields: &HeaderMap, trailing: bool) {
    let Some(vm) = vm.upgrade() else { return };
    let found: Vec<_> = fields_of(fields).collect();
    let number = count(found.len());
    let mut answered = Answered { headers_map: map::GRPC_INITIAL, trailers_map: map::GRPC_TRAILING, ..Answered::default() };
    answered.buffer = buffer::GRPC_MESSAGE;
    if trailing {
        answered.trailers = found;
    } else {
        answered.headers = found;
    }
    tell(&vm, "proxy_on_grpc_receive_metadata", answered, |machine| {
        if trailing {
            machine.store_call(|callbacks| &callbacks.grpc_receive_trailing, (ROOT, token, number), ())
        } else {
            machine.store_call(|callbacks| &callbacks.grpc_receive_initial, (ROOT, token, number), ())
        }
    });
}

fn received(vm: &Rc<Vm>, token: u32, message: Bytes) {
    let length = count(message.len());
    let answered = Answered { body: message, buffer: buffer::GRPC_MESSAGE, ..Answered::default() };
    tell(vm, "proxy_on_grpc_receive", answered, |machine| {
        machine.store_call(|callbacks| &callbacks.grpc_receive, (ROOT, token, length), ())
    });
}

fn closed(vm: &Rc<Vm>, token: u32, ended: Ended) {
    tell(vm, "proxy_on_grpc_close", Answered::default(), |machine| {
        let status = ended.status;
        machine.store.data_mut().grpc_status = (status, ended.message);
        machine.store_call(|callbacks| &callbacks.grpc_close, (ROOT, token, status), ())
    });
}

fn tell(vm: &Rc<Vm>, what: &'static str, answered: Answered, job: impl FnOnce(&mut Machine) -> wasmtime::Result<()>) {
    vm.deliver(what, |machine| {
        machine.store.data_mut().answered = Some(Box::new(answered));
        let outcome = job(machine);
        machine.store.data_mut().answered = None;
        outcome
    });
}

/// `None` for a cluster that does not speak HTTP/2, and for what cannot be sent.
fn request(cluster: &Cluster, unary: Unary, body: Outgoing, trace: Option<Trace>) -> Option<Request<Outgoing>> {
    if cluster.config.protocol == UpstreamProtocol::Http1 {
        return None;
    }
    let call = Call {
        cluster: String::new(),
        method: "POST".to_owned(),
        target: unary.path,
        authority: unary.authority,
        fields: unary.fields,
        body: Vec::new(),
        trailers: Vec::new(),
        timeout: Duration::ZERO,
    };
    let mut request = http_client::request(cluster, call)?;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    if let Some(trace) = trace {
        trace.write(request.headers_mut());
    }
    *request.body_mut() = body;
    Some(request)
}

/// What a guest sends, as it sends it.
struct Messages(mpsc::Receiver<Bytes>);

impl http_body::Body for Messages {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(context).map(|message| message.map(|message| Ok(Frame::data(message))))
    }
}
