//! The response in hand.

use http::header;

use super::BodyError;
use crate::testing::hand::{Phase, ResponseHead, with_request};
use crate::testing::rules;

fn with_response<T>(call: impl FnOnce(&mut ResponseHead) -> T) -> T {
    with_request(|hand| call(hand.response.as_mut().expect("trap: there is no response in the request phase")))
}

pub fn status() -> u16 {
    with_response(|response| response.status.as_u16())
}

pub fn set_status(status: u16) -> Result<(), String> {
    let status = rules::status(status)?;
    with_response(|response| response.status = status);
    Ok(())
}

pub fn origin() -> String {
    with_response(|response| response.origin.clone())
}

pub fn header(name: &str) -> Option<Vec<u8>> {
    with_response(|response| rules::joined(&response.headers, name))
}

pub fn headers(name: &str) -> Vec<Vec<u8>> {
    with_response(|response| rules::each(&response.headers, name))
}

pub fn all_headers() -> Vec<u8> {
    with_response(|response| rules::packed(&response.headers))
}

pub fn set_header(name: &str, value: &[u8]) -> Result<(), String> {
    let (name, value) = rules::field(name, value)?;
    with_response(|response| response.headers.insert(name, value));
    Ok(())
}

pub fn add_header(name: &str, value: &[u8]) -> Result<(), String> {
    let (name, value) = rules::field(name, value)?;
    with_response(|response| response.headers.append(name, value));
    Ok(())
}

pub fn remove_header(name: &str) {
    with_response(|response| rules::remove(&mut response.headers, name));
}

pub fn trailer(name: &str) -> Option<Vec<u8>> {
    let phase = with_request(|hand| hand.phase);
    with_response(|response| match phase {
        Phase::ResponseTrailers => rules::joined(&response.trailers, name),
        _ => None,
    })
}

pub fn set_trailer(name: &str, value: &[u8]) -> Result<(), String> {
    let (name, value) = rules::field(name, value)?;
    let phase = with_request(|hand| hand.phase);
    with_response(|response| match phase {
        Phase::ResponseTrailers => {
            response.trailers.insert(name, value);
            Ok(())
        }
        _ => Err(rules::NO_TRAILERS.to_owned()),
    })
}

pub fn read_body(limit: u32) -> Result<Vec<u8>, BodyError> {
    with_response(|response| response.body.read(limit))
}

pub fn set_body(body: &[u8]) {
    let grpc = with_request(|hand| rules::is_grpc(&hand.request.headers));
    with_response(|response| {
        if response.body.set(body) {
            // What was true of the other bytes is not true of these.
            for name in [header::CONTENT_LENGTH, header::ETAG, header::CONTENT_RANGE, header::ACCEPT_RANGES] {
                response.headers.remove(name);
            }
            // gRPC has its status in trailers; of any other answer nobody waits for the end.
            if !grpc {
                response.trailers.clear();
            }
        }
    });
}
