//! `GET /tap`: exchanges as server-sent events, for as long as somebody reads.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use tokio::sync::mpsc;

use super::api::Refused;
use super::body::Body;
use super::query::Query;
use crate::config;
use crate::exchange::tap::{Expression, Tap, Wanted, Watching};

/// How often somebody who waits hears that nothing has broken.
const ALIVE: Duration = Duration::from_secs(10);
/// A watcher that takes nothing for this long is given up: what waits for it is held in memory.
const STALL: Duration = Duration::from_secs(30);
/// Pieces between the queue of the watcher, which is bounded by bytes, and the connection.
const PIECES: usize = 1;

/// Begins to watch what the query says.
pub fn answer(tap: &Arc<Tap>, query: Option<&str>, limits: &config::Tap) -> Result<Response<Body>, Refused> {
    let query = Query::parse(query, &["match", "sample", "bodies", "limit"])?;
    let matching = Expression::parse(query.get("match").unwrap_or_default());
    let matching = matching.map_err(|error| Refused::Malformed(format!("match: {error}")))?;
    let sample = query.number("sample", "a share above 0 and up to 1, such as 0.1", |share| *share > 0.0 && *share <= 1.0)?;
    let expected = format!("bytes from 0 to {} (admin.tap.body-bytes)", limits.body_bytes);
    let body_bytes = query.number("bodies", &expected, |bytes| *bytes <= limits.body_bytes)?.unwrap_or(0);
    let left = query.number("limit", "how many exchanges to show, at least 1,", |limit| *limit > 0)?.unwrap_or(u64::MAX);
    let wanted = Wanted { matching, sample: sample.unwrap_or(1.0), body_bytes };
    let watching = tap.watch(wanted, limits).map_err(|full| Refused::Busy(full.to_string()))?;
    let (pieces, stream) = mpsc::channel(PIECES);
    tokio::spawn(show(watching, left, pieces));
    let mut answer = Response::new(Body::Stream(stream));
    *answer.status_mut() = StatusCode::OK;
    let fields = [
        (CONTENT_TYPE, "text/event-stream"),
        // It is about this moment, and holds what others have sent.
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    answer.headers_mut().extend(fields.map(|(name, value)| (name, HeaderValue::from_static(value))));
    Ok(answer)
}

async fn show(mut watching: Watching, mut left: u64, pieces: mpsc::Sender<Bytes>) {
    if pieces.send(Bytes::from_static(b": watching\n\n")).await.is_err() {
        return;
    }
    let mut alive = tokio::time::interval(ALIVE);
    alive.reset();
    while left > 0 {
        let event = tokio::select! {
            event = watching.next() => event,
            _ = alive.tick() => None,
            () = pieces.closed() => return,
        };
        let mut said = Vec::new();
        match event {
            Some(event) => {
                left -= 1;
                said.extend_from_slice(b"event: exchange\ndata: ");
                said.extend_from_slice(&event);
                said.extend_from_slice(b"\n\n");
            }
            None => said.extend_from_slice(b": alive\n\n"),
        }
        let lost = watching.lost();
        if lost > 0 {
            said.extend_from_slice(format!("event: lost\ndata: {{\"count\":{lost}}}\n\n").as_bytes());
        }
        if !matches!(tokio::time::timeout(STALL, pieces.send(said.into())).await, Ok(Ok(()))) {
            return;
        }
    }
}
