//! The request in hand.

use http::{Method, header};

use super::BodyError;
use crate::testing::hand::{Phase, with_request};
use crate::testing::{rules, target};

pub fn method() -> String {
    with_request(|hand| hand.request.method.clone())
}

pub fn scheme() -> String {
    with_request(|hand| hand.request.scheme.clone())
}

pub fn authority() -> String {
    with_request(|hand| hand.request.authority.clone())
}

pub fn path() -> String {
    with_request(|hand| target::split(&hand.request.target).0.to_owned())
}

pub fn query() -> Option<String> {
    with_request(|hand| target::split(&hand.request.target).1.map(str::to_owned))
}

pub fn id() -> String {
    with_request(|hand| hand.id.clone())
}

pub fn deadline_left_ms() -> Option<u64> {
    with_request(|hand| hand.deadline_left.map(|left| left.as_millis() as u64))
}

pub fn set_method(method: &str) -> Result<(), String> {
    match Method::from_bytes(method.as_bytes()) {
        Ok(Method::CONNECT) => Err("CONNECT cannot be set".to_owned()),
        Ok(_) => {
            with_request(|hand| hand.request.method = method.to_owned());
            Ok(())
        }
        Err(_) => Err(format!("`{method}` is not a valid method")),
    }
}

pub fn set_authority(authority: &str) -> Result<(), String> {
    target::check_authority(authority)?;
    with_request(|hand| hand.request.authority = authority.to_owned());
    Ok(())
}

pub fn set_target(path_and_query: &str) -> Result<(), String> {
    target::check(path_and_query)?;
    with_request(|hand| hand.request.target = path_and_query.to_owned());
    Ok(())
}

pub fn header(name: &str) -> Option<Vec<u8>> {
    with_request(|hand| rules::joined(&hand.request.headers, name))
}

pub fn headers(name: &str) -> Vec<Vec<u8>> {
    with_request(|hand| rules::each(&hand.request.headers, name))
}

pub fn all_headers() -> Vec<u8> {
    with_request(|hand| rules::packed(&hand.request.headers))
}

pub fn set_header(name: &str, value: &[u8]) -> Result<(), String> {
    let (name, value) = rules::field(name, value)?;
    with_request(|hand| hand.request.headers.insert(name, value));
    Ok(())
}

pub fn add_header(name: &str, value: &[u8]) -> Result<(), String> {
    let (name, value) = rules::field(name, value)?;
    with_request(|hand| hand.request.headers.append(name, value));
    Ok(())
}

pub fn remove_header(name: &str) {
    with_request(|hand| rules::remove(&mut hand.request.headers, name));
}

pub fn trailer(name: &str) -> Option<Vec<u8>> {
    with_request(|hand| match hand.phase {
        Phase::RequestTrailers => rules::joined(&hand.request.trailers, name),
        _ => None,
    })
}

pub fn set_trailer(name: &str, value: &[u8]) -> Result<(), String> {
    let (name, value) = rules::field(name, value)?;
    with_request(|hand| match hand.phase {
        Phase::RequestTrailers => {
            hand.request.trailers.insert(name, value);
            Ok(())
        }
        _ => Err(rules::NO_TRAILERS.to_owned()),
    })
}

pub fn read_body(limit: u32) -> Result<Vec<u8>, BodyError> {
    with_request(|hand| {
        let body = hand.request.body.read(limit)?;
        // The client has been told to go on.
        hand.request.headers.remove(header::EXPECT);
        Ok(body)
    })
}

pub fn set_body(body: &[u8]) {
    with_request(|hand| {
        if hand.request.body.set(body) {
            hand.request.headers.remove(header::CONTENT_LENGTH);
            hand.request.headers.remove(header::EXPECT);
        }
    });
}
