//! The services around the proxy of a behaviour: the upstream, and what filters call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use tamis_tests::{Origin, Reply, body, origin};

use super::behaviour::{behaviours, bytes};
use super::stage::{ID, NAME, TRAILERS};

/// More than a call may bring back.
const LARGE_BYTES: usize = 5 << 20;

/// A request as the upstream saw it.
#[derive(Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
    /// How often it came.
    pub times: usize,
}

/// By the id of the exchange.
pub type AllSeen = Arc<Mutex<HashMap<String, Seen>>>;

/// Answers as the behaviour says, and remembers what it saw.
pub fn upstream(seen: &AllSeen) -> Origin {
    let seen = Arc::clone(seen);
    let answering = move |request: http::Request<hyper::body::Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let text = |name| request.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
            let (name, id) = (text(NAME), text(ID));
            let (head, body) = request.into_parts();
            let Ok(collected) = body.collect().await else { return Reply::new(400) };
            let trailers = collected.trailers().cloned().unwrap_or_default();
            let target = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
            let (method, headers) = (head.method.to_string(), head.headers);
            if let Some(id) = id {
                let mut seen = seen.lock().expect("no panic");
                let times = seen.get(&id).map_or(0, |seen| seen.times) + 1;
                let one = Seen { method, target, headers, body: collected.to_bytes(), trailers, times };
                seen.insert(id, one);
            }
            let Some(one) = behaviours().iter().find(|one| Some(&one.name) == name.as_ref()) else { return Reply::new(200) };
            let fields = one.answer.headers.iter();
            let reply =
                fields.fold(Reply::new(one.answer.status), |reply, (name, value)| reply.header_bytes(name, &bytes(value)));
            let body = one.answer.body.repeat(one.answer.times);
            match one.answer.trailers.as_slice() {
                [] => reply.body(body),
                trailers => reply.header("trailer", TRAILERS).streaming(with_trailers(body, trailers)),
            }
        }
    };
    origin().route_fn("*", answering).run()
}

/// What filters call: tells how it was called, and sends the body back. Some paths are for what goes wrong.
pub fn side() -> Origin {
    let answering = |request: http::Request<hyper::body::Incoming>| async move {
        let status = request.uri().path().strip_prefix("/status/").map_or(200, |status| status.parse().expect("a status"));
        let host = request.headers().get("host").map(|host| host.to_str().expect("text").to_owned()).unwrap_or_default();
        let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let mut reply = Reply::new(status).header("x-side", request.method().as_str()).header("x-sent", &host);
        reply = reply.header("x-target", &target);
        if let Some(value) = request.headers().get("x-a") {
            reply = reply.header_bytes("x-a", value.as_bytes());
        }
        let Ok(collected) = request.into_body().collect().await else { return Reply::new(400) };
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let body = collected.to_bytes();
        match target.as_str() {
            "/large" => reply.body(vec![b'x'; LARGE_BYTES]),
            "/cut" => {
                let (feed, body) = body::channel();
                tokio::spawn(async move {
                    feed.send("a part").await;
                    feed.cut().await;
                });
                reply.streaming(body)
            }
            "/trailers" => {
                let (feed, streaming) = body::channel();
                let mut back = trailers;
                back.insert("x-body", body.len().into());
                tokio::spawn(async move {
                    feed.send(body).await;
                    feed.end_with(back).await;
                });
                reply.streaming(streaming)
            }
            _ => reply.header("x-bytes", &body.len().to_string()).body(body),
        }
    };
    origin().route_fn("*", answering).run()
}

pub fn with_trailers(bytes: impl Into<Bytes>, trailers: &'static [(String, String)]) -> body::Body {
    let trailers: Vec<(&'static str, &str)> = trailers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    body::with_trailers(bytes, &trailers)
}
